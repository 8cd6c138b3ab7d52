import math
from types import SimpleNamespace

import pytest
import torch

from tests import kit
from zoo.metrics.codebook import codebook_metrics, perplexity


def test_perplexity_by_hand():
    assert perplexity(torch.tensor([5, 5, 0, 5])) == pytest.approx(3)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert perplexity(torch.tensor([30, 10])) == pytest.approx(math.exp(entropy))


def test_metrics_are_over_all_images():
    """Each image of Toy has a code of its own, beside code 0; nats are means over images."""
    model = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)
    numbers = {}

    def encode(images):
        keys = [numbers.setdefault(image.numpy().tobytes(), len(numbers)) for image in images]
        return torch.tensor([[[0, 1 + key]] for key in keys])

    model.encode, model.code_nll = encode, lambda codes: codes[:, 0, 1].float()
    found = codebook_metrics(model, kit.Toy(count=600), "test")  # two batches
    assert found["codebook_used_test"] == 601
    entropy = 0.5 * math.log(2) + 0.5 * math.log(1200)
    assert found["codebook_perplexity_test"] == pytest.approx(math.exp(entropy))
    assert found["nats_codes_test"] == pytest.approx(300.5)
    assert codebook_metrics(model, kit.Toy(), "val") == {}
