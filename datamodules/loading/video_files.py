"""Video files as frames: found by their timestamps, upright, with square pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop

from datamodules.loading.sources import resize_images

UNIT = 2**16  # 1 in a display matrix


class Timeline(NamedTuple):
    """Where the frames of a video are.

    times: int64 (frames,), increasing: the timestamp of each frame, or its number if `counted`.
    counted: no timestamps tell the frames apart; the file is decoded from its beginning.
    rate: frames a second, on average; 0.0 where it is unknown.
    regular: whether the frames are evenly spaced.
    tick: seconds between two timestamps.
    """

    times: Tensor
    counted: bool
    rate: float
    regular: bool
    tick: Fraction


def read_timeline(file: Path) -> Timeline:
    """Find the frames of a video from its packets, or, where these do not tell, by decoding it.

    Raises:
        ValueError: the file cannot be read as a video.
    """
    with open_video(file) as (container, stream):
        tick, rate = stream.time_base, float(stream.average_rate or 0)
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
    times = [packet.pts for packet in packets]
    if None in times or len(set(times)) < len(times):
        with open_video(file) as (container, stream):
            count = sum(1 for _ in container.decode(stream))
        return Timeline(torch.arange(count), True, rate, True, tick)
    times = torch.tensor(sorted(times), dtype=torch.int64)
    if len(times) < 2:
        return Timeline(times, False, rate, True, tick)
    steps = times.diff()
    middle = steps.median()
    regular = bool((2 * steps <= 3 * middle).all() and (2 * steps >= middle).all())
    seconds = float((times[-1] - times[0]).item() * tick)
    return Timeline(times, False, (len(times) - 1) / seconds, regular, tick)


def frames_at_rate(timeline: Timeline, fps: float) -> Tensor:
    """Choose the frames that are seen at `fps` moments a second.

    Returns:
        int64, entries of `times`: a frame that is seen for long comes more than once.
    """
    times = timeline.times
    if len(times) < 2:
        return times
    unit = 1 / timeline.rate if timeline.counted else float(timeline.tick)  # seconds
    step = 1 / (fps * unit)
    rounding = min(1.0, times.diff().median().item() / 10)  # of timestamps
    count = int((times[-1] - times[0] + rounding) / step) + 1
    moments = times[0] + step * torch.arange(count, dtype=torch.float64)
    seen = torch.searchsorted(times.double(), moments + rounding, right=True) - 1
    return times[seen]


def read_square(file: Path, times: list[int], counted: bool, size: int) -> Tensor:
    """Read frames as they are seen: the centre square of each, resized.

    As a player does, it takes pixels that are not square and the rotation of the file into account.

    Args:
        file: the video.
        times: entries of its timeline, not decreasing.
        counted: as in its timeline.
        size: side of the frames.

    Returns:
        uint8 (T, 3, size, size).

    Raises:
        ValueError: a frame is missing, or the video is rotated by no quarter turn.
    """
    frames, seen = ({}, None) if counted else _decode(file, times, seek=True)
    if not frames.keys() >= set(times):  # the key frame that was found lies behind the first
        frames, seen = _decode(file, times, counted=counted)
    missing = sum(time not in frames for time in times)
    if missing:
        raise ValueError(
            f"{file} is damaged: {missing} of {len(times)} frames cannot be decoded. Take it "
            "out, or encode it again"
        )
    matrix, aspect = seen
    images = torch.from_numpy(np.stack([frames[time] for time in times]))  # (T, H, W, 3)
    images = images.permute(0, 3, 1, 2)  # (T, 3, H, W)
    height, width = images.shape[-2:]
    side = min(Fraction(height), width * aspect)  # of the square, in the height of a pixel
    images = center_crop(images, [round(side), round(side / aspect)])
    return apply_display_matrix(resize_images(images, size), matrix)


def apply_display_matrix(images: Tensor, matrix: tuple[int, int, int, int]) -> Tensor:
    """Show images (..., H, W) as a display matrix (a, b, c, d) says.

    A pixel at (x, y) is seen at (a x + c y, b x + d y), up to a shift; each number is -1, 0 or 1.
    """
    a, b, c, d = matrix
    if b and c:
        images, a, d = images.mT, c, b
    flipped = [axis for axis, sign in ((-1, a), (-2, d)) if sign < 0]
    return images.flip(flipped)


def _display_matrix(file, frame):
    """(a, b, c, d) as in `apply_display_matrix`."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    numbers = np.frombuffer(bytes(data), dtype=np.int32)[[0, 1, 3, 4]]
    matrix = tuple((np.sign(numbers) * (abs(numbers) > UNIT / 100)).tolist())
    if np.count_nonzero(matrix) != 2:
        raise ValueError(
            f"{file} is rotated by no quarter turn: encode it again as it is to be seen"
        )
    return matrix


def _decode(file, times, seek=False, counted=False):
    """Decode the frames at these times.

    Returns:
        {time: uint8 (H, W, 3)} of those that are found; the display matrix, and the width of a
        pixel over its height.
    """
    frames, wanted, matrix = {}, set(times), None
    convert = (
        import_av().video.reformatter.VideoReformatter()
    )  # one of its own for each frame is slower
    with open_video(file) as (container, stream):
        stream.thread_type = "NONE"  # workers decode side by side already
        if seek:
            container.seek(times[0], stream=stream)  # to a key frame at or before it
        for number, frame in enumerate(container.decode(stream)):
            time = number if counted else frame.pts
            if time in wanted:
                matrix = matrix or _display_matrix(file, frame)
                frames[time] = convert.reformat(frame, format="rgb24").to_ndarray()
            if time is not None and time >= times[-1]:
                break
        return frames, (matrix, Fraction(stream.sample_aspect_ratio or 1))


@contextmanager
def open_video(file: Path) -> Iterator:
    """PyAV's container of a file and its video stream.

    Raises:
        ValueError: the file holds no video that can be read.
    """
    av = import_av()
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise ValueError("it holds none")
            yield container, container.streams.video[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read as a video: {error}") from error


def import_av():
    """The module av; ImportError that names the way out, if it is missing."""
    try:
        import av
    except ImportError as error:
        raise ImportError("data=video_folder decodes by PyAV: python -m pip install av") from error
    return av
