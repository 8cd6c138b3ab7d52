"""Read frames of video files by timestamp: upright, with square pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop

from datamodules.loading.sources import resize_images

UNIT = 2**16  # the fixed-point number 1 in a display matrix


class Timeline(NamedTuple):
    """The positions of a video's frames in time.

    Args:
        times: int64 (frames,), increasing: the timestamp of each frame, or its number if `counted`.
        counted: Whether frames have no distinct timestamps, so that reading one starts at the
            beginning of the file.
        rate: Mean number of frames per second; 0.0 if unknown.
        regular: Whether the frames are evenly spaced.
        tick: Unit of the timestamps in seconds.
    """

    times: Tensor
    counted: bool
    rate: float
    regular: bool
    tick: Fraction


def read_timeline(file: Path) -> Timeline:
    """Find the frames of a video from its packets or, without distinct timestamps, by decoding it.

    Raises:
        ValueError: The file cannot be read as a video.
    """
    with open_video(file) as (container, stream):
        tick, rate = stream.time_base, float(stream.average_rate or 0)
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
    times = [packet.pts for packet in packets]
    if None in times or len(set(times)) < len(times):
        with open_video(file) as (container, stream):
            count = sum(1 for _ in container.decode(stream))
        return Timeline(torch.arange(count), True, rate, True, tick)
    stamps = torch.tensor(sorted(times), dtype=torch.int64)
    if len(stamps) < 2:
        return Timeline(stamps, False, rate, True, tick)
    steps = stamps.diff()
    middle = steps.median()
    regular = bool((2 * steps <= 3 * middle).all() and (2 * steps >= middle).all())
    seconds = float((stamps[-1] - stamps[0]).item() * tick)
    return Timeline(stamps, False, (len(stamps) - 1) / seconds, regular, tick)


def frames_at_rate(timeline: Timeline, fps: float) -> Tensor:
    """Choose the frames that a player shows at a constant rate.

    Args:
        timeline: The frames of the video.
        fps: Number of frames to choose per second.

    Returns:
        Entries of `timeline.times`, int64. A frame may be repeated.
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
    """Read the center square of frames, resized.

    The rotation and the pixel aspect ratio in the file are applied, as in a player.

    Args:
        file: The video.
        times: Entries of its timeline, not decreasing.
        counted: As in its timeline.
        size: Height and width of the result.

    Returns:
        uint8 (T, 3, size, size).

    Raises:
        ValueError: A frame is missing, or the rotation is not a multiple of 90 degrees.
    """
    frames, display = ({}, None) if counted else _decode(file, times, seek=True)
    if not frames.keys() >= set(times):  # the seek ended behind the first frame
        frames, display = _decode(file, times, counted=counted)
    missing = sum(time not in frames for time in times)
    if missing:
        raise ValueError(
            f"{file} is damaged: {missing} of {len(times)} frames cannot be decoded. Remove it, or "
            "encode it again"
        )
    matrix, aspect = display
    images = torch.from_numpy(np.stack([frames[time] for time in times]))  # (T, H, W, 3)
    images = images.permute(0, 3, 1, 2)  # (T, 3, H, W)
    height, width = images.shape[-2:]
    side = min(Fraction(height), width * aspect)  # of the square, in heights of a pixel
    images = center_crop(images, [round(side), round(side / aspect)])
    return apply_display_matrix(resize_images(images, size), matrix)


def apply_display_matrix(images: Tensor, matrix: tuple[int, int, int, int]) -> Tensor:
    """Rotate and mirror images by a display matrix.

    Args:
        images: (..., H, W).
        matrix: (a, b, c, d), each -1, 0 or 1. A pixel at (x, y) is shown at (a x + c y, b x + d y),
            up to a shift.
    """
    a, b, c, d = matrix
    if b and c:
        images, a, d = images.mT, c, b
    flipped = [axis for axis, sign in ((-1, a), (-2, d)) if sign < 0]
    return images.flip(flipped)


def _display_matrix(file: Path, frame: Any) -> tuple[int, int, int, int]:
    """Read (a, b, c, d) as in `apply_display_matrix` from a frame of PyAV."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    numbers = np.frombuffer(bytes(data), dtype=np.int32)[[0, 1, 3, 4]]
    matrix = tuple((np.sign(numbers) * (abs(numbers) > UNIT / 100)).tolist())
    if np.count_nonzero(matrix) != 2:
        raise ValueError(
            f"{file} is rotated, but not by a multiple of 90 degrees: encode it again without "
            "rotation"
        )
    return matrix


def _decode(
    file: Path, times: list[int], seek: bool = False, counted: bool = False
) -> tuple[dict[int, np.ndarray], tuple[Any, Fraction]]:
    """Decode the frames at these times.

    Returns:
        {time: uint8 (H, W, 3)} of the frames that are found; and the display matrix with the width
        of a pixel over its height.
    """
    frames, wanted, matrix = {}, set(times), None
    convert = import_av().video.reformatter.VideoReformatter()  # one for all frames is faster
    with open_video(file) as (container, stream):
        stream.thread_type = "NONE"  # the workers are parallel already
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
    """Open a file with PyAV, as its container and its video stream.

    Raises:
        ValueError: The file contains no readable video.
    """
    av = import_av()
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise ValueError("it contains no video stream")
            yield container, container.streams.video[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read as a video: {error}") from error


def import_av() -> ModuleType:
    """Import PyAV.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("data=video_folder needs PyAV: python -m pip install av") from error
    return av
