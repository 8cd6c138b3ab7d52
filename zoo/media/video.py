"""Split and crop videos (N, T, ...) in time."""

import torch
from torch import Tensor


def check_frames(video: Tensor, count: int) -> None:
    """Check that videos (N, T, ...) have at least `count` frames.

    Raises:
        ValueError: They have fewer.
    """
    if video.shape[1] < count:
        raise ValueError(
            f"Videos of {video.shape[1]} frames are too short: data.frames must be at least "
            f"{count}, or model.past smaller."
        )


def split_frames(video: Tensor, past: int) -> tuple[Tensor, Tensor]:
    """Split videos (N, T, ...) into the first `past` frames and the others.

    Raises:
        ValueError: There are no others.
    """
    check_frames(video, past + 1)
    return video[:, :past], video[:, past:]


def random_window(video: Tensor, count: int) -> Tensor:
    """Take `count` consecutive frames of each video (N, T, ...), from a random start.

    Raises:
        ValueError: The videos have fewer frames.
    """
    check_frames(video, count)
    start = torch.randint(video.shape[1] - count + 1, (len(video),), device=video.device)
    places = start[:, None] + torch.arange(count, device=video.device)  # (N, count)
    return video[torch.arange(len(video), device=video.device)[:, None], places]
