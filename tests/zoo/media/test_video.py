import pytest
import torch

from zoo.media.video import random_window, split_frames


def numbered(count, frames):
    """Videos whose pixels are the numbers of their frames."""
    return torch.arange(float(frames)).view(1, frames, 1, 1, 1).expand(count, frames, 2, 3, 3)


def test_a_past_and_what_follows():
    past, future = split_frames(numbered(2, 5), 3)
    assert past[1, :, 0, 0, 0].tolist() == [0, 1, 2]
    assert future[1, :, 0, 0, 0].tolist() == [3, 4]
    with pytest.raises(
        ValueError, match=r"Videos of 5 frames .* at least 6, or model\.past smaller"
    ):
        split_frames(numbered(2, 5), 5)


def test_pieces_begin_anywhere_and_are_in_order():
    pieces = random_window(numbered(200, 6), 4)
    assert pieces.shape == (200, 4, 2, 3, 3)
    starts = pieces[:, 0, 0, 0, 0]
    assert set(starts.tolist()) == {0, 1, 2}
    assert torch.equal(pieces[:, :, 1, 2, 2], starts[:, None] + torch.arange(4))
    assert torch.equal(random_window(numbered(2, 4), 4), numbered(2, 4))
    with pytest.raises(ValueError, match=r"Videos of 6 frames .* at least 7"):
        random_window(numbered(2, 6), 7)
