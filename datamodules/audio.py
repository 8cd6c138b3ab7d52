"""What audio data share: 16 bits until they are on the device, loudness, spectrograms."""

import torch
from torch import Tensor

from datamodules.base import DataModule
from zoo.media.audio import from_int16, save_wav, spectrograms


class AudioDataModule(DataModule):
    """Audio as batches of `audio`, `label`, `index` and `local`.

    In training a batch holds `audio`, (N, T) float in [-1, 1], `label`, (N,) int64, -1 where
    unlabelled, `index`, (N,) int64, and `local`, (N, frames, 1), the loudness in [0, 1] of each
    `hop` samples: the square root of their mean square. Audio stays int16 until it is on the
    device, and is float32 at least, because half precision has fewer than 16 bits.

    A subclass's constructor has audio_length, sample_rate in Hz, and hop. Where it can hear what
    audio is, it has `audio_metrics(audio, label)`: {what: number} of (N, T) drawn for labels (N,).
    """

    provides = ("audio", "label", "index", "local")
    local_features = 1
    figure = staticmethod(spectrograms)

    def __init__(self):
        super().__init__()
        self.audio_length = self.hparams.audio_length
        self.sample_rate = self.hparams.sample_rate
        self.hop = self.hparams.hop

    def on_after_batch_transfer(self, batch, dataloader_idx):
        audio = from_int16(batch["audio"], torch.promote_types(self.dtype, torch.float32))
        return batch | {"audio": audio, "local": loudness(audio, self.hop)}

    def save(self, samples: Tensor, path: str) -> None:
        """Writes one sample (T,) of a model as <path>.wav."""
        save_wav(samples, f"{path}.wav", self.sample_rate)


def loudness(audio: Tensor, hop: int) -> Tensor:
    """Root mean square of each `hop` samples of (N, T), the last of those that are left."""
    frames = [frame.square().mean(dim=1).sqrt() for frame in audio.split(hop, dim=1)]
    return torch.stack(frames, dim=1)[..., None]
