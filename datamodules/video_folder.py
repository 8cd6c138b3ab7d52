"""Any folder of videos, and UCF101's (Soomro, Zamir, Shah 2012)."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop

from datamodules.folder import FolderData
from datamodules.sources import resized
from datamodules.video import VideoDataModule

LIST = "testlist01.txt"


class VideoFolder(FolderData, VideoDataModule):
    """A folder of your own videos, flat or with one subfolder a class, decoded when asked for.

    Subfolders, in the order of their names, are the classes; files directly in `root` have no label
    (-1). A file is cut into clips of `frames` frames, of which the unfinished last one is left out;
    a clip is the centre square, resized to (image_size, image_size). Files whose names differ in
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
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        workers: int = 4,
        root: str = "data/videos",
    ):
        super().__init__()

    def open(self, split):
        pyav()
        hp = self.hparams
        files = self.files(split)
        with ThreadPoolExecutor() as pool:
            counts = torch.tensor(list(pool.map(frame_count, files))).long() // hp.frames
        return Clips(files, counts, self.labels_of(files), hp.frames, hp.image_size)

    def group_of(self, file):
        return recording(file.relative_to(self.root))

    def fixed_splits(self, files):
        if not (self.root / LIST).exists():
            return super().fixed_splits(files)
        listed = {
            self.root / line.strip()
            for line in (self.root / LIST).read_text(encoding="utf-8-sig").splitlines()
        }
        return {file: "test" for file in files if file in listed}


class Clips:
    """Clips of files, decoded when they are asked for: counts (F,) of them in each of the files."""

    def __init__(self, files, counts, labels, frames, size):
        self.files = files
        self.labels = labels
        self.frames = frames
        self.size = size
        self.last = counts.cumsum(dim=0)  # the number of clips up to the end of each file
        self.counts = counts

    def __len__(self):
        return int(self.counts.sum())

    def __getitem__(self, positions):
        files = torch.searchsorted(self.last, positions, right=True)
        places = positions - self.last[files] + self.counts[files]
        clips = [
            self.clip(self.files[file], place * self.frames)
            for file, place in zip(files.tolist(), places.tolist(), strict=True)
        ]
        return {"video": torch.stack(clips), "label": self.labels[files]}

    def clip(self, file, start):
        frames = read_frames(file, start, self.frames)
        side = min(frames.shape[-2:])
        return resized(center_crop(frames, [side, side]), self.size)


def recording(file: Path) -> str:
    """What names the recording that a file is a part of."""
    return file.with_name(re.sub(r"_c\d+$", "", file.stem)).as_posix()


def frame_count(file: Path) -> int:
    """The number of frames of a video: its header's, or, where that says nothing, all decoded."""
    with opened(file) as container:
        stream = container.streams.video[0]
        return stream.frames or sum(1 for _ in container.decode(stream))


def read_frames(file: Path, start: int, count: int) -> Tensor:
    """uint8 (count, 3, H, W): frames of a video of a constant rate, from number `start` on."""
    with opened(file) as container:
        stream = container.streams.video[0]
        ticks, first = 1 / (stream.average_rate * stream.time_base), stream.start_time or 0
        container.seek(int(first + start * ticks), stream=stream)  # to a key frame at or before it
        frames = []
        for frame in container.decode(stream):
            if round((frame.pts - first) / ticks) >= start:
                frames.append(torch.from_numpy(frame.to_ndarray(format="rgb24")))
            if len(frames) == count:
                return torch.stack(frames).permute(0, 3, 1, 2)
    raise ValueError(
        f"{file} ends {count - len(frames)} frame(s) earlier than it says: take it out, or "
        "encode it again"
    )


def opened(file: Path):
    """PyAV's container of a file; ValueError, naming it, if it holds no video that can be read."""
    try:
        container = pyav().open(str(file))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read as a video: {error}") from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"{file} cannot be read as a video: it holds none")
    return container


def pyav():
    """The module av; ImportError that names the way out, if it is missing."""
    try:
        import av
    except ImportError as error:
        raise ImportError("data=video_folder decodes by PyAV: python -m pip install av") from error
    return av
