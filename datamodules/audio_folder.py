"""A folder of your own WAV files."""

import math
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_warn
from scipy.io import wavfile
from scipy.signal import resample_poly

from datamodules.audio import AudioDataModule
from datamodules.loading.folder import FolderData
from datamodules.loading.sources import TensorSource
from zoo.media.audio import to_int16
from zoo.media.images import from_levels

OVERSHOOT = 0.05  # beyond [-1, 1], from resampling; no warning below it
LOUDEST = 2.0  # of float files; lower peaks, such as a decoder makes, are clipped with a warning


class AudioFolder(FolderData, AudioDataModule):
    """A folder of your own WAV files, flat or with one subfolder per class, kept in memory.

    Subfolders are the classes, in natural order (2 before 10). Files directly in `root` have no
    label (-1).
    Channels are averaged, audio is resampled to `sample_rate`, and each file is cut into pieces of
    `audio_length` samples. An incomplete last piece is dropped.

    All pieces of a file are in the same split. It is chosen by a hash of split_seed and the file's
    path in `root`, so adding or removing files does not change the split of others. Each held-out
    split gets at least one file unless its fraction is 0.

    Raises:
        ValueError: A file cannot be read, or is shorter than a piece.
    """

    extensions = (".wav",)
    file_kind = "audio"

    def __init__(
        self,
        batch_size: int = 16,
        audio_length: int = 16000,
        sample_rate: int = 16000,
        hop: int = 200,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        root: str = "data/audio",
    ):
        super().__init__()

    def open(self, split: str) -> TensorSource:
        files = self.files(split)
        self._clipped: list[Path] = []
        pieces = [self._pieces(file) for file in files]
        if self._clipped:
            rank_zero_warn(
                f"{len(self._clipped)} of {len(files)} {split} files, such as {self._clipped[0]}, "
                "contain values outside [-1, 1], which are clipped."
            )
        counts = torch.tensor([len(cut) for cut in pieces], dtype=torch.int64)
        audio = torch.cat([torch.empty(0, self.audio_length, dtype=torch.int16), *pieces])
        return TensorSource(audio=audio, label=self.labels_of(files).repeat_interleave(counts))

    def _pieces(self, file: Path):
        """Read the pieces of a file, int16 (pieces, T)."""
        audio = torch.from_numpy(read_wav(file, self.sample_rate))
        if audio.numel() and audio.abs().max() > 1 + OVERSHOOT:
            self._clipped.append(file)
        count, length = len(audio) // self.audio_length, self.audio_length
        if not count:
            raise ValueError(
                f"{file} has {len(audio)} samples at {self.sample_rate} Hz, fewer than "
                f"data.audio_length={length}: remove it, or reduce data.audio_length"
            )
        return to_int16(audio[: count * length]).view(count, length)


def read_wav(file: Path, sample_rate: int) -> np.ndarray:
    """Read a WAV file of PCM or float samples.

    Channels are averaged, and the audio is resampled with an anti-aliasing filter if needed.

    Args:
        file: The file.
        sample_rate: Of the result, in Hz.

    Returns:
        float64 (T,); the full scale of PCM is [-1, 1].

    Raises:
        ValueError: The file cannot be read, is empty, not finite, or beyond full scale.
    """
    try:
        rate, audio = wavfile.read(file)
    except Exception as error:  # decoders raise many kinds of errors for damaged files
        raise ValueError(f"{file} cannot be read as WAV: {error}") from error
    if not len(audio):
        raise ValueError(f"{file} contains no samples")
    if audio.dtype.kind != "f":
        lowest, highest = np.iinfo(audio.dtype).min, np.iinfo(audio.dtype).max
        audio = from_levels(audio.astype(np.float64) - lowest, int(highest) - int(lowest) + 1)
    if not np.isfinite(audio).all():
        raise ValueError(f"{file} contains NaN or infinity")
    if abs(audio).max() > LOUDEST:
        raise ValueError(
            f"{file} contains values up to {abs(audio).max():g}, but full scale is -1 to 1: "
            "divide by the largest level, or save it as PCM"
        )
    audio = audio.reshape(len(audio), -1).mean(axis=1, dtype=np.float64)
    if rate == sample_rate:
        return audio
    common = math.gcd(rate, sample_rate)
    return resample_poly(audio, sample_rate // common, rate // common)
