import pytest
import torch
from torch.nn.functional import one_hot

from zoo.media.segmentation import colorize_classes


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_classes_have_separate_colors(channels):
    maps = one_hot(torch.arange(6).view(1, 2, 3), 6).movedim(-1, 1).double()
    images = colorize_classes(maps, channels)
    assert images.shape == (1, channels, 2, 3)
    colors = images.flatten(2)[0].T
    assert torch.equal(colors[0], torch.full((channels,), -1.0).double())
    assert colors.abs().max() <= 1
    apart = torch.cdist(colors, colors) + torch.eye(6)
    assert apart.min() > 0.3


def test_shares_are_mixed():
    shares = torch.tensor([0.25, 0.0, 0.75]).view(1, 1, 3, 1, 1)
    (value,) = colorize_classes(shares, 1).flatten().tolist()
    assert value == pytest.approx(0.25 * -1 + 0.75 * 1)
    assert colorize_classes(shares, 3).shape == (1, 1, 3, 1, 1)
