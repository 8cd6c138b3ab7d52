"""Any folder of videos, and UCF101's (Soomro, Zamir, Shah 2012)."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from datamodules.loading.folder import FolderData
from datamodules.loading.video_files import frames_at_rate, import_av, read_square, read_timeline
from datamodules.video import VideoDataModule

LIST = "testlist01.txt"


class VideoFolder(FolderData, VideoDataModule):
    """A folder of your own videos, flat or with one subfolder a class, decoded when asked for.

    Subfolders, in the order of their names, are the classes; files directly in `root` have no label
    (-1). A file is cut into clips of `frames` frames, of which the unfinished last one is left out;
    a clip is the centre square, resized to (image_size, image_size). The rotation and the pixel
    aspect ratio in the file's metadata are applied. fps: frames a second of a clip, each the frame
    that a player shows at that time; 0 takes all frames of the file. Files whose names differ in
    what follows a last `_c` alone, such as v_Archery_g01_c01.avi and v_Archery_g01_c02.avi, are of
    one recording.

    The hash of a recording's path in `root` and split_seed decides whether all of its clips are for
    testing, for validation or for training; of many recordings, about `test_fraction` and
    `val_fraction` are held out, at least one unless it is 0. Files that are added or removed later
    do not move the others. Where testlist01.txt of UCF101 lies in the folder, it says which files
    are for testing, and the others are for training and validation.

    Needs PyAV, the extra `video`. Raises ValueError with the name of a file that cannot be decoded.
    """

    provides = ("video", "label", "index")
    endings = (".avi", ".mp4", ".m4v", ".mkv", ".mov", ".mpg", ".mpeg", ".webm")
    beside = (".txt",)  # UCF101's lists
    kind = "video"

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

    def open(self, split):
        import_av()
        hp, files = self.hparams, self.files(split)
        lines = [self._timelines[file] for file in files]
        times = [frames_at_rate(line, hp.fps) if hp.fps else line.times for line in lines]
        counted = [line.counted for line in lines]
        return Clips(files, times, counted, self.labels_of(files), hp.frames, hp.image_size)

    @cached_property
    def _timelines(self):
        """{file: its Timeline}; warns once of files whose frames are not evenly spaced."""
        with ThreadPoolExecutor() as pool:
            lines = dict(zip(self._files, pool.map(read_timeline, self._files), strict=True))
        uneven = [file for file, line in lines.items() if not line.regular]
        rates = [line.rate for line in lines.values() if line.rate]
        unknown = [file for file, line in lines.items() if line.counted and not line.rate]
        if self.hparams.fps and unknown:
            raise ValueError(
                f"{unknown[0]} has neither timestamps nor a frame rate, which data.fps needs: take "
                "data.fps=0, or encode it again"
            )
        if self.hparams.fps:
            return lines
        if uneven:
            rank_zero_warn(
                f"{len(uneven)} of {len(lines)} videos, such as {uneven[0]}, have a variable frame "
                "rate: their clips show frames at uneven times. data.fps=N takes N a second"
            )
        elif rates and max(rates) > 1.1 * min(rates):
            rank_zero_warn(
                f"{self.root.absolute()} has videos of {min(rates):.4g} to {max(rates):.4g} frames "
                "a second: their clips last unequally long. data.fps=N takes N a second of each"
            )
        return lines

    def group_of(self, file):
        return recording(file.relative_to(self.root))

    def fixed_splits(self, files):
        if not (self.root / LIST).exists():
            return super().fixed_splits(files)
        listed = {
            self.root / line.strip()
            for line in (self.root / LIST).read_text(encoding="utf-8-sig").splitlines()
        }
        if listed.isdisjoint(files):
            raise ValueError(f"{self.root / LIST} names no video in {self.root.absolute()}")
        return {file: "test" for file in files if file in listed}


class Clips:
    """Clips of files, decoded when they are asked for.

    times, counted: the frames of each file, as entries of its Timeline.
    """

    def __init__(self, files, times, counted, labels, frames, size):
        self.files = files
        self.times = times
        self.counted = counted
        self.labels = labels
        self.frames = frames
        self.size = size
        self.counts = torch.tensor([len(of_file) // frames for of_file in times]).long()
        self.last = self.counts.cumsum(dim=0)  # the number of clips up to the end of each file

    def __len__(self):
        return int(self.counts.sum())

    def __getitem__(self, positions):
        files = torch.searchsorted(self.last, positions, right=True)
        places = positions - self.last[files] + self.counts[files]
        clips = [self.clip(*place) for place in zip(files.tolist(), places.tolist(), strict=True)]
        return {"video": torch.stack(clips), "label": self.labels[files]}

    def clip(self, file: int, place: int) -> Tensor:
        """uint8 (T, 3, H, W): the place-th clip of a file."""
        times = self.times[file][place * self.frames : (place + 1) * self.frames].tolist()
        return read_square(self.files[file], times, self.counted[file], self.size)


def recording(file: Path) -> str:
    """What names the recording that a file is a part of."""
    return file.with_name(re.sub(r"_c\d+$", "", file.stem)).as_posix()
