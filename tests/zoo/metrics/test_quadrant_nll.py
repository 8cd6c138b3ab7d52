import math

import pytest
import torch

from datamodules.digits import Digits
from zoo.latent.quadrant_vae import QuadrantVAE
from zoo.metrics.quadrant_nll import completion_errors


def test_the_numbers_by_hand():
    """A guess of even chances, samples that are white, and the nearest of two training images."""
    model = QuadrantVAE(image_size=8, latent_dim=2, width=4, quadrants=2)
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    half = black.clone()
    half[..., 4:] = 255  # hidden: the right half
    left = black.clone()
    left[..., :4] = 255
    data = Digits()
    data._sources = {
        "train": Rows(torch.cat([half, left])),
        "test": Rows(torch.cat([black, half])),
    }
    for parameter in model.baseline.parameters():
        parameter.data.zero_()
    model.sample = lambda count, given: torch.ones(count, 1, 8, 8)
    with torch.no_grad():
        found = completion_errors(model, data, "test")
    assert found["nats_baseline_given_quadrants2_test"] == pytest.approx(32 * math.log(2))
    assert found["wrong_guess_given_quadrants2_test"] == 0.5, "grey is white"
    assert found["wrong_sample_given_quadrants2_test"] == 0.5
    assert found["wrong_neighbor_given_quadrants2_test"] == 0.5, "half is nearest to both"


class Rows:
    """A source of images."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, positions):
        return {"image": self.images[positions], "label": torch.zeros(len(positions)).long()}


def test_without_test_images_there_are_no_numbers():
    model = QuadrantVAE(image_size=8, latent_dim=2, width=4)
    data = Digits()
    data._sources = {"train": Rows(torch.zeros(2, 1, 8, 8)), "test": Rows(torch.zeros(0, 1, 8, 8))}
    assert completion_errors(model, data, "test") == {}
