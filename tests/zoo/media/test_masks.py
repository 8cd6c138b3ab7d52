"""Masks of Context Encoders: where they hide, how much, and what is left as it was."""

import pytest
import torch

from zoo.media import masks


def test_the_middle_is_hidden_but_for_the_overlap():
    mask = masks.center(2, 16, 1)
    assert mask.shape == (2, 1, 16, 16)
    assert mask.dtype == torch.bool
    assert mask[1, 0, 5:11, 5:11].all()
    assert mask.sum().item() == 2 * 6 * 6


def test_of_128_pixels_the_middle_56_are_hidden():
    """As in the authors' code: a patch of 64, of which 4 at each edge are known."""
    assert masks.center(1, 128, 4).sum().item() == 56**2


def test_blocks_are_squares_of_a_quarter_of_the_side(monkeypatch):
    places = torch.tensor([[0, 0], [12, 12], [12, 12], [1, 2]])
    monkeypatch.setattr(torch, "randint", lambda high, shape, **_: places.view(1, 4, 2, 1))
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[:4, :4] = expected[12:, 12:] = expected[1:5, 2:6] = True
    assert torch.equal(masks.blocks(1, 16)[0, 0], expected)


def test_blocks_hide_up_to_a_quarter_and_reach_all_places():
    torch.manual_seed(0)
    mask = masks.blocks(1000, 8)
    shares = mask.flatten(1).double().mean(dim=1)
    assert shares.max() == 0.25
    assert shares.min() >= 1 / 16
    assert mask.any(dim=0).all()
    assert not torch.equal(mask[0], mask[1])


@pytest.mark.parametrize("size", [6, 8, 28, 32])
def test_regions_hide_20_to_30_percent(size):
    torch.manual_seed(0)
    shares = masks.regions(500, size).flatten(1).double().mean(dim=1)
    assert shares.min() >= 0.2
    assert shares.max() <= 0.3
    assert shares.min() < 0.23
    assert shares.max() > 0.27


def test_regions_hide_any_place_as_often_and_hang_together():
    torch.manual_seed(0)
    mask = masks.regions(4000, 32).double()
    assert mask.mean(dim=0)[0].flatten().sub(0.25).abs().max() < 0.05
    both = (mask[:, :, 1:] * mask[:, :, :-1]).mean() / mask.mean()
    assert both > 0.7, "0.25 of independent pixels"


def test_masks_follow_the_generators_state():
    for draw in (masks.blocks, masks.regions):
        torch.manual_seed(0)
        first, second = draw(4, 8), draw(4, 8)
        torch.manual_seed(0)
        assert torch.equal(draw(4, 8), first)
        assert not torch.equal(second, first)


def test_the_band_contains_visible_pixels_near_hidden_ones():
    mask = torch.zeros(1, 1, 7, 7, dtype=torch.bool)
    mask[0, 0, 3, 3] = mask[0, 0, 0, 0] = True
    band = masks.band(mask, 1)
    assert band.sum().item() == 8 + 3
    assert band[0, 0, 2, 2]
    assert not band[0, 0, 3, 3]
    assert not masks.band(mask, 0).any()


def test_visible_pixels_are_unchanged():
    torch.manual_seed(0)
    image, fake, mask = torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8), masks.regions(4, 8)
    pasted = masks.paste(image, fake, mask)
    hidden = mask.expand_as(image)
    assert torch.equal(pasted[~hidden], image[~hidden])
    assert torch.equal(pasted[hidden], fake[hidden])
