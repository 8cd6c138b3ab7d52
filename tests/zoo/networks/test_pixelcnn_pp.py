"""The sizes of maps, and who sees what. Steps are tested with all that draw pixels."""

import pytest
import torch

from zoo.networks.pixelcnn_pp import TwoStreams


def network(resolutions=3, layers=1, given=0):
    torch.manual_seed(0)
    return TwoStreams(2, 5, 4, layers, resolutions, given).double()


def levels_of(model):
    level, levels = model.level, []
    while level is not None:
        levels.append(level)
        level = level.coarser
    return levels


@pytest.mark.parametrize(
    ("size", "sizes"),
    [((32, 32), [(32, 32), (16, 16), (8, 8)]), ((7, 10), [(7, 10), (4, 5), (2, 3)])],
)
def test_each_resolution_has_half_the_sides_of_the_one_before(size, sizes):
    model, seen = network(layers=2), []
    for level in levels_of(model):
        for layer in (*level.down, *level.up):
            layer.register_forward_hook(lambda layer, inputs, outputs: seen.append(outputs))
    assert model(torch.zeros(1, 2, *size).double()).shape == (1, 5, *size)
    shapes = [above.shape[-2:] for above, left in seen]
    assert all(above.shape == left.shape for above, left in seen)
    full, half, quarter = sizes
    # down: two layers each; up: two at the coarsest, and one more at the others
    assert shapes == [full] * 2 + [half] * 2 + [quarter] * 4 + [half] * 3 + [full] * 3


@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_above_sees_the_rows_above_and_left_what_is_on_its_left_too(resolutions):
    model = network(resolutions)
    heard = []
    model.level.register_forward_hook(lambda level, inputs, outputs: heard.append(outputs))
    images = torch.randn(1, 2, 8, 8).double()
    changed = images.clone()
    changed[:, :, 3, 4] += 1
    model(images), model(changed)
    above, left = ((one != other).any(dim=1)[0] for one, other in zip(*heard, strict=True))
    rows, columns = torch.arange(8)[:, None], torch.arange(8)
    later = (rows > 3) | ((rows == 3) & (columns > 4))
    assert not (above & (rows <= 3)).any()
    assert not (left & ~later).any()
    assert above[4, 4]
    assert left[3, 5]
    assert left[4, 3]


def test_a_black_image_is_no_margin():
    """The channel of ones: what is on the left of pixel 1 is 0 but there, of pixel 0 not there."""
    messages = network()(torch.zeros(1, 2, 8, 8).double())
    assert not torch.allclose(messages[..., 0, 0], messages[..., 0, 1])


def test_the_output_is_not_computed_in_half_precision():
    model = network().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.zeros(1, 2, 4, 4)).dtype == torch.float32
