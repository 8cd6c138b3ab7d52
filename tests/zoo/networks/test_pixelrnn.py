import pytest
import torch
from torch.nn.functional import conv2d

from zoo.networks.pixelrnn import FirstConv, PixelLSTMs


@pytest.mark.parametrize("colors", [1, 3])
def test_the_first_convolution_is_one_of_mask_a(colors):
    """One of 7 x 7 whose weights are 0 for the pixel itself and what comes after."""
    torch.manual_seed(0)
    conv = FirstConv(colors, 2 * colors, 7, colors)
    weight = torch.zeros(2 * colors, colors, 7, 7)
    weight[:, :, :3] = conv.above.weight
    left = conv.left.weight * conv.left.mask
    weight[:, :, 3, : left.shape[3]] = left[:, :, 0]
    own = torch.arange(2 * colors)[:, None] // 2 > torch.arange(colors)
    assert torch.equal(weight[:, :, 3, 3] != 0, own), "a color sees those before it"
    assert not weight[:, :, 3, 4:].any()
    images = torch.randn(2, colors, 8, 9)
    expected = conv2d(images, weight, conv.left.bias, padding=3)
    torch.testing.assert_close(conv(images), expected)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        # first 3*7*32 + 3*32 + 32; a layer's input, state, up; head 32*32 + 32 + 2*32 + 2
        ("row", 800 + 7 * (64 * 32 * 2 + 64 + 3 * 16 * 64 + 32 * 16 + 32) + 1122),
        ("diagonal", 800 + 7 * (128 * 32 + 128 + 2 * 32 * 64 + 32 * 16 + 32) + 1122),
    ],
)
def test_the_papers_network_for_binarised_mnist(kind, count):
    network = PixelLSTMs(1, 2, kind, 16, 7, 32, 3, 7)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("kind", ["row", "diagonal"])
def test_layers_are_residual_and_two_convolutions_follow(kind):
    torch.manual_seed(0)
    network = PixelLSTMs(1, 3, kind, 4, 2, 5, 3, 3)
    images = torch.randn(2, 1, 6, 7)
    for layer in network.layers:
        layer.up.weight.data.zero_()
        layer.up.bias.data.zero_()
    hidden = network.hidden(network.first(images).relu())
    assert hidden.shape == (2, 5, 6, 7)
    expected = network.output(hidden.relu())[:, None]
    torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "column"}, "model.lstm=column: choose one of row, diagonal"),
        ({"kernel": 4}, "must be odd"),
        ({"first_kernel": 1}, "at least 3"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed, message):
    settings = {"kind": "row", "width": 4, "layers": 1, "head_width": 4}
    settings |= {"kernel": 3, "first_kernel": 3}
    with pytest.raises(ValueError, match=message):
        PixelLSTMs(1, 2, **settings | changed)
