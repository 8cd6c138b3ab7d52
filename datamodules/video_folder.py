"""A folder of your own videos, or UCF101 (Soomro, Zamir, Shah 2012)."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from datamodules.loading.folder import FolderData
from datamodules.loading.video_files import (
    Timeline,
    frames_at_rate,
    import_av,
    read_square,
    read_timeline,
)
from datamodules.video import VideoDataModule

TEST_LIST = "testlist01.txt"  # of UCF101


class VideoFolder(FolderData, VideoDataModule):
    """A folder of your own videos, flat or with one subfolder per class, decoded on access.

    Subfolders are the classes, in natural order (2 before 10). Files directly in `root` have no
    label (-1).
    A file is cut into clips of `frames` frames; an incomplete last clip is dropped. The center
    square of each frame is resized. The rotation and the pixel aspect ratio in the file's metadata
    are applied.

    All clips of a recording are in the same split. Files whose names differ only after the last
    `_c`, such as v_Archery_g01_c01.avi and v_Archery_g01_c02.avi, are one recording. The split is
    chosen by a hash of split_seed and the recording's path in `root`, so adding or removing files
    does not change the split of others. Each held-out split gets at least one recording unless its
    fraction is 0. If UCF101's testlist01.txt is in the folder, it lists the test files.

    Needs PyAV, the extra `video`.

    Args:
        fps: Frames per second of a clip, resampled as a video player would; 0 uses all frames of
            the file.

    Raises:
        ValueError: A file cannot be decoded.
    """

    provides = ("video", "label", "index")
    extensions = (".avi", ".mp4", ".m4v", ".mkv", ".mov", ".mpg", ".mpeg", ".webm")
    ignored_extensions = (".txt",)  # lists of UCF101
    file_kind = "video"

    def __init__(
        self,
        batch_size: int = 8,
        image_size: int = 64,
        frames: int = 6,
        fps: Annotated[float, "[0, 100000]"] = 0.0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        workers: int = 4,
        root: str = "data/videos",
    ):
        super().__init__()

    def open(self, split: str) -> "VideoClips":
        import_av()
        hp, files = self.hparams, self.files(split)
        lines = [self._timelines[file] for file in files]
        times = [frames_at_rate(line, hp.fps) if hp.fps else line.times for line in lines]
        counted = [line.counted for line in lines]
        return VideoClips(files, times, counted, self.labels_of(files), hp.frames, hp.image_size)

    @cached_property
    def _timelines(self) -> dict[Path, Timeline]:
        """The Timeline of each file; warns once about frames that are not evenly spaced."""
        with ThreadPoolExecutor() as pool:
            lines = dict(zip(self._files, pool.map(read_timeline, self._files), strict=True))
        uneven = [file for file, line in lines.items() if not line.regular]
        rates = [line.rate for line in lines.values() if line.rate]
        unknown = [file for file, line in lines.items() if line.counted and not line.rate]
        if self.hparams.fps and unknown:
            raise ValueError(
                f"{unknown[0]} has neither timestamps nor a frame rate, which data.fps needs: set "
                "data.fps=0, or encode it again"
            )
        if self.hparams.fps:
            return lines
        if uneven:
            rank_zero_warn(
                f"{len(uneven)} of {len(lines)} videos, such as {uneven[0]}, have a variable frame "
                "rate: their clips show frames at uneven times. data.fps=N takes N per second"
            )
        elif rates and max(rates) > 1.1 * min(rates):
            rank_zero_warn(
                f"{self.root.absolute()} has videos of {min(rates):.4g} to {max(rates):.4g} frames "
                "per second: their clips differ in duration. data.fps=N takes N per second of each"
            )
        return lines

    def group_of(self, file: Path) -> str:
        return recording_of(file.relative_to(self.root))

    def fixed_splits(self, files: list[Path]) -> dict[Path, str]:
        if not (self.root / TEST_LIST).exists():
            return super().fixed_splits(files)
        listed = {
            self.root / line.strip()
            for line in (self.root / TEST_LIST).read_text(encoding="utf-8-sig").splitlines()
        }
        if listed.isdisjoint(files):
            raise ValueError(f"{self.root / TEST_LIST} lists no video in {self.root.absolute()}")
        return {file: "test" for file in files if file in listed}


class VideoClips:
    """Clips of video files that are decoded on access.

    Args:
        files: The files.
        times: The frames to use of each file, as entries of its Timeline.
        counted: Whether each file's Timeline is `counted`.
        labels: Of the files, (files,) int64.
        frames: Frames per clip.
        size: Height and width of the frames.
    """

    def __init__(
        self,
        files: list[Path],
        times: list[Tensor],
        counted: list[bool],
        labels: Tensor,
        frames: int,
        size: int,
    ):
        self.files = files
        self.times = times
        self.counted = counted
        self.labels = labels
        self.frames = frames
        self.size = size
        self.counts = torch.tensor([len(of_file) // frames for of_file in times]).long()
        self.ends = self.counts.cumsum(dim=0)  # number of clips up to the end of each file

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        files = torch.searchsorted(self.ends, positions, right=True)
        places = positions - self.ends[files] + self.counts[files]
        clips = [self.clip(*place) for place in zip(files.tolist(), places.tolist(), strict=True)]
        return {"video": torch.stack(clips), "label": self.labels[files]}

    def clip(self, file: int, place: int) -> Tensor:
        """Read the clip at a place in a file, uint8 (T, 3, H, W)."""
        times = self.times[file][place * self.frames : (place + 1) * self.frames].tolist()
        return read_square(self.files[file], times, self.counted[file], self.size)


def recording_of(file: Path) -> str:
    """Return the name of the recording that a file is a part of."""
    return file.with_name(re.sub(r"_c\d+$", "", file.stem)).as_posix()
