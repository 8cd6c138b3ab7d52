"""Any folder of WAV files."""

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

OVERSHOOT = 0.05  # of resampling
LOUDEST = 2.0  # of floats: a decoder may leave [-1, 1] by less, and is clipped


class AudioFolder(FolderData, AudioDataModule):
    """A folder of your own WAV files, flat or with one subfolder a class, held in memory.

    Subfolders, in the order of their names, are the classes; files directly in `root` have no label
    (-1). Channels are averaged, the rate is brought to `sample_rate`, and a file is cut into pieces
    of `audio_length` samples, of which the unfinished last one is left out.

    The hash of a file's path in `root` and split_seed decides whether all of its pieces are for
    testing, for validation or for training; of many files, about `test_fraction` and `val_fraction`
    are held out, at least one unless it is 0. Files that are added or removed later do not move
    the others. Raises ValueError with the name of a file that cannot be read, or is shorter than a
    piece.
    """

    endings = (".wav",)
    kind = "audio"

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

    def open(self, split):
        files = self.files(split)
        self._clipped = []
        pieces = [self._pieces(file) for file in files]
        if self._clipped:
            rank_zero_warn(
                f"{len(self._clipped)} of {len(files)} files to {split} with, such as "
                f"{self._clipped[0]}, hold floats outside [-1, 1], which are clipped."
            )
        counts = torch.tensor([len(cut) for cut in pieces], dtype=torch.int64)
        audio = torch.cat([torch.empty(0, self.audio_length, dtype=torch.int16), *pieces])
        return TensorSource(audio=audio, label=self.labels_of(files).repeat_interleave(counts))

    def _pieces(self, file):
        """int16 (pieces, T)."""
        audio = torch.from_numpy(read_wav(file, self.sample_rate))
        if audio.numel() and audio.abs().max() > 1 + OVERSHOOT:
            self._clipped.append(file)
        count, length = len(audio) // self.audio_length, self.audio_length
        if not count:
            raise ValueError(
                f"{file} has {len(audio)} samples at {self.sample_rate} Hz, fewer than "
                f"data.audio_length={length}: take it out, or take shorter pieces"
            )
        return to_int16(audio[: count * length]).view(count, length)


def read_wav(file: Path, sample_rate: int) -> np.ndarray:
    """float64 (T,) of a WAV file of PCM or floats, its lowest and highest levels -1 and 1.

    Channels are averaged, another rate is brought to `sample_rate` without what is above half of
    the lower one. ValueError, naming the file, if it cannot be read, is empty or not finite.
    """
    try:
        rate, audio = wavfile.read(file)
    except Exception as error:  # on broken bytes the decoder raises almost anything
        raise ValueError(f"{file} cannot be read as WAV: {error}") from error
    if not len(audio):
        raise ValueError(f"{file} holds no samples")
    if audio.dtype.kind != "f":
        lowest, highest = np.iinfo(audio.dtype).min, np.iinfo(audio.dtype).max
        audio = from_levels(audio.astype(np.float64) - lowest, int(highest) - int(lowest) + 1)
    if not np.isfinite(audio).all():
        raise ValueError(f"{file} holds NaN or infinity")
    if abs(audio).max() > LOUDEST:
        raise ValueError(
            f"{file} holds floats up to {abs(audio).max():g}, but full scale is from -1 to 1: "
            "divide by the largest level, or save it as PCM"
        )
    audio = audio.reshape(len(audio), -1).mean(axis=1, dtype=np.float64)
    if rate == sample_rate:
        return audio
    common = math.gcd(rate, sample_rate)
    return resample_poly(audio, sample_rate // common, rate // common)
