"""The base class of audio data: int16 in memory, [-1, 1] on the device, loudness."""

import torch
from torch import Tensor

from datamodules.base import DataModule
from zoo.media.audio import from_int16, save_wav, spectrograms


class AudioDataModule(DataModule):
    """Audio as batches of `audio`, `label`, `index` and `local`.

    In training a batch holds `audio`, (N, T) float in [-1, 1], `label`, (N,) int64, -1 for
    unlabeled audio, `index`, (N,) int64, and, if the model needs it, `local`, (N, frames, 1), the
    loudness in [0, 1].
    Audio stays int16 until it is on the device. It becomes at least float32, because half
    precision has fewer than 16 bits.

    A subclass has the parameters below. It may have a method `audio_metrics(audio, label)`, which
    returns {metric: number} of samples (N, T) generated for labels (N,).

    Args:
        audio_length: Samples per piece of audio, T.
        sample_rate: Samples per second, in Hz.
        hop: Samples per frame of loudness.
    """

    provides = ("audio", "label", "index", "local")
    local_features = 1  # of `local`

    def __init__(self):
        super().__init__()
        self.audio_length = self.hparams.audio_length
        self.sample_rate = self.hparams.sample_rate
        self.hop = self.hparams.hop

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        audio = from_int16(batch["audio"], torch.promote_types(self.dtype, torch.float32))
        batch = batch | {"audio": audio}
        if "local" in getattr(self.reader, "needs", ("local",)):
            batch["local"] = loudness(audio, self.hop)
        return batch

    def figure(self, samples: Tensor) -> Tensor:
        """Draw samples (N, T) as waveforms and spectrograms, uint8 (3, H, W)."""
        return spectrograms(samples, self.sample_rate)

    def save(self, samples: Tensor, path: str) -> None:
        """Write one sample (T,) of a model to PATH.wav."""
        save_wav(samples, f"{path}.wav", self.sample_rate)


def loudness(audio: Tensor, hop: int) -> Tensor:
    """Compute the root mean square of each frame.

    Args:
        audio: (N, T).
        hop: Samples per frame; the last frame may be shorter.

    Returns:
        (N, frames, 1).
    """
    count, squares = audio.shape[1] // hop, audio.square()
    means = [squares[:, : count * hop].reshape(len(audio), count, hop).mean(dim=2)]
    if audio.shape[1] % hop:
        means.append(squares[:, count * hop :].mean(dim=1, keepdim=True))
    return torch.cat(means, dim=1).sqrt()[..., None]
