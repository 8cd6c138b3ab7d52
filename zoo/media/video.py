"""Parts of videos (N, T, ...) in time."""

import torch
from torch import Tensor


def check_frames(video: Tensor, count: int):
    """ValueError unless there are `count` frames."""
    if video.shape[1] < count:
        raise ValueError(
            f"Videos of {video.shape[1]} frames are too short: data.frames must be at least "
            f"{count}, or model.past less."
        )


def split_frames(video: Tensor, past):
    """The first `past` frames, and the others; ValueError if there are none."""
    check_frames(video, past + 1)
    return video[:, :past], video[:, past:]


def random_window(video: Tensor, count: int):
    """`count` frames in a row of each video, from a random one on."""
    check_frames(video, count)
    start = torch.randint(video.shape[1] - count + 1, (len(video),), device=video.device)
    places = start[:, None] + torch.arange(count, device=video.device)
    return video[torch.arange(len(video), device=video.device)[:, None], places]
