"""The papers' layers, and sides that are kept."""

import pytest
import torch
from torch import nn

from zoo.networks.segmentation_forecast import FeatureForecaster, Segmenter, scale_forecaster


def test_the_feature_forecaster_is_the_papers_and_takes_any_size():
    network = FeatureForecaster(past=4, features=256, width=128)
    convolutions = network.layers[::2]
    assert [c.out_channels for c in convolutions] == [512, 512, 512, 256, 256, 256, 256]
    assert [c.kernel_size[0] for c in convolutions] == [1, 3, 3, 3, 3, 3, 7]
    assert [c.dilation[0] for c in convolutions] == [1, 2, 1, 4, 4, 2, 1]
    assert convolutions[0].in_channels == 1024
    assert all(isinstance(layer, nn.ReLU) for layer in network.layers[1::2])
    small = FeatureForecaster(past=2, features=3, width=2)
    for height, width in ((5, 9), (16, 8), (1, 1)):
        (found,) = small(torch.rand(2, 6, height, width))
        assert found.shape == (2, 3, height, width)


def test_what_is_forecast_of_maps_is_not_bounded():
    """Nothing to add is the enlarged coarse map, without a tanh."""
    network = scale_forecaster(8, past=2, channels=3, width=4)
    assert [r[0].kernel_size[0] for r in network.refinements] == [3, 5]
    assert [r[2].out_channels for r in network.refinements] == [8, 8]
    for parameter in network.refinements[1][-1].parameters():
        nn.init.zeros_(parameter)
    coarse, fine = network(1e3 * torch.randn(2, 6, 8, 8))
    assert coarse.shape == (2, 3, 4, 4)
    assert coarse.abs().max() > 1
    assert torch.equal(fine, coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


@pytest.mark.parametrize(("height", "width"), [(8, 12), (24, 24), (2, 6)])
def test_the_segmenter_reads_at_half_the_size_and_says_it_of_each_pixel(height, width):
    network, frames = Segmenter(3, 4, 8).eval(), torch.rand(2, 3, height, width)
    features = network.backbone(frames)
    assert features.shape == (2, 8, height // 2, width // 2)
    scores = network(frames)
    assert scores.shape == (2, 4, height, width)
    assert torch.equal(scores, network.head(features))
