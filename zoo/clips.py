"""Parts of videos (N, T, ...) in time."""

import torch


def split(video, past):
    """The first `past` frames, and the others; ValueError if there are none."""
    if video.shape[1] <= past:
        raise ValueError(
            f"Videos of {video.shape[1]} frames end before a frame can be predicted: "
            f"data.frames must be larger than model.past={past}."
        )
    return video[:, :past], video[:, past:]


def cut(video, count):
    """`count` frames in a row of each video, from a random one on."""
    if video.shape[1] < count:
        raise ValueError(
            f"Videos of {video.shape[1]} frames are too short to be cut: data.frames must be at "
            f"least {count}."
        )
    start = torch.randint(video.shape[1] - count + 1, (len(video),), device=video.device)
    places = start[:, None] + torch.arange(count, device=video.device)
    return video[torch.arange(len(video), device=video.device)[:, None], places]
