"""Samples do not depend on how many processes draw them."""

import pytest
import torch

import zoo
from tests import kit
from zoo.engine.conditions import to_model
from zoo.engine.sampling import draw


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 99, 100, 250])
def test_samples_do_not_depend_on_the_number_of_processes(processes, count):
    model = kit.build("wgan")
    with model.evaluating():
        whole = torch.cat(list(draw(model, count, seed=3)))
        shards = [list(draw(model, count, 3, None, r, processes)) for r in range(processes)]
    assert whole.shape == (count, 1, 8, 8)
    if count > 100:
        assert not torch.equal(whole[:50], whole[100:150]), "each chunk has noise of its own"
    chunks = max(map(len, shards))
    interleave = [s[chunk] for chunk in range(chunks) for s in shards if chunk < len(s)]
    assert torch.equal(whole, torch.cat(interleave))


def test_draw_passes_each_chunk_its_conditions():
    class Labeled(type(kit.build("wgan"))):
        def sample(self, count, given=None):
            assert len(given["label"]) == count
            return given["label"].view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 200 - 0.5

    model = Labeled(image_size=8, image_channels=1, width=4)
    with model.evaluating():
        images = torch.cat(list(draw(model, 150, condition={"label": torch.arange(150)})))
    assert torch.equal(images[:, 0, 0, 0], torch.arange(150) / 200 - 0.5)


def test_conditions_move_to_the_device_and_the_dtype_of_the_model():
    condition = {"latent": torch.randn(2, 8), "label": torch.arange(2)}
    moved = to_model(kit.build("cgan").to("meta", torch.float64), condition)
    assert {(values.device.type, values.dtype) for values in moved.values()} == {
        ("meta", torch.float64),
        ("meta", torch.int64),
    }
    model = kit.build("cgan").eval()
    expected = zoo.generate(model, 2, condition=condition)
    assert torch.equal(
        zoo.generate(model, 2, condition=condition | {"latent": condition["latent"].double()}),
        expected,
    )
