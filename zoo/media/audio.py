"""Audio as it is held, saved and drawn: 16 bits, quantised once, by one mapping."""

from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from scipy.io import wavfile
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.atomic_files import replacing
from zoo.media.images import from_levels, grid, to_levels
from zoo.precision import widest

STEPS = 2**16  # of 16 bits
WINDOW = 256  # samples of a spectrum; it has half as many frequencies, and one
COLUMNS = 128  # of a spectrogram, about
LOUDNESS = 70.0  # decibels below the loudest that are still seen
WAVE = 48  # rows of a waveform
# From nothing to the loudest: dark blue, magenta, yellow.
COLOURS = torch.tensor([[0.0, 0.0, 0.1], [0.3, 0.1, 0.5], [0.85, 0.25, 0.35], [1.0, 0.95, 0.6]])


def to_int16(audio: Tensor) -> Tensor:
    """The nearest of the 2^16 levels, evenly spaced from -1 to 1, of floats of any shape."""
    if audio.isnan().any():
        raise ValueError("the audio holds NaN")
    return (to_levels(audio.to(widest(audio.device)), STEPS) - STEPS // 2).to(torch.int16)


def from_int16(audio: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Floats in [-1, 1]."""
    return from_levels(audio.to(dtype) + STEPS // 2, STEPS)


def save_wav(audio: Tensor, path: str | Path, sample_rate: int) -> None:
    """Write floats (T,) in [-1, 1] as 16-bit PCM, making the folder where it is missing.

    A reader never meets half a file.
    """
    with replacing(path) as file:
        wavfile.write(file, sample_rate, to_int16(audio).cpu().numpy())


def log_audio(logger: Logger, name: str, audio: Tensor, sample_rate: int, step: int) -> None:
    """Hand floats (N, T) in [-1, 1] to a Lightning logger; nothing happens if it takes no audio."""
    sounds = to_int16(audio).cpu()
    if hasattr(logger, "log_audio"):  # Weights & Biases
        rates = [sample_rate] * len(sounds)
        logger.log_audio(name, list(sounds.numpy()), step=step, sample_rate=rates)
    elif hasattr(logger.experiment, "add_audio"):  # TensorBoard
        for number, sound in enumerate(sounds):
            named = f"{name}/{number}"
            logger.experiment.add_audio(named, from_int16(sound)[None], step, sample_rate)


def spectrograms(audio: Tensor) -> Tensor:
    """Floats (N, T) in [-1, 1] as uint8 (3, H, W): of each its waveform, and below the spectrogram.

    Time goes to the right and frequencies go upwards, to half the sample rate. Colours are decibels
    below the loudest of all; a waveform's scale is that of [-1, 1].
    """
    audio = audio.float().cpu()
    if audio.isnan().any():
        raise ValueError("the audio holds NaN")
    hop = max(1, audio.shape[1] // COLUMNS)
    window = torch.hann_window(WINDOW)
    spectra = torch.stft(
        audio, WINDOW, hop, window=window, pad_mode="constant", return_complex=True
    ).abs()  # (N, frequencies, columns)
    decibels = 20 * (spectra / spectra.max().clamp(min=1e-12)).clamp(min=1e-12).log10()
    shade = (1 + decibels / LOUDNESS).clamp(min=0).flip(1)
    cells = torch.cat([waveforms(audio, shade.shape[2]), coloured(shade)], dim=2)
    return grid((cells * 255).round().to(torch.uint8))


def waveforms(audio: Tensor, columns):
    """Audio (N, T) as RGB (N, 3, WAVE, columns) in [0, 1]: in a column, from least to most."""
    most = interpolate(audio[:, None], columns * -(-audio.shape[1] // columns))[:, 0]
    pieces = most.unflatten(1, (columns, -1))  # (N, columns, samples of each)
    lowest, highest = pieces.amin(dim=2)[:, None], pieces.amax(dim=2)[:, None]
    rows = torch.linspace(1, -1, WAVE)[:, None]
    half = 1 / (WAVE - 1)  # a row is seen where the wave comes nearer to it than to others
    ink = (rows >= lowest - half) & (rows <= highest + half)  # (N, WAVE, columns)
    return torch.where(ink, 0.25, 1.0)[:, None].expand(-1, 3, -1, -1)


def coloured(shade):
    """Shades (N, H, W) in [0, 1] as RGB (N, 3, H, W), linear between COLOURS."""
    place = shade * (len(COLOURS) - 1)
    below = place.long().clamp(max=len(COLOURS) - 2)
    share = (place - below)[..., None]
    return (COLOURS[below] * (1 - share) + COLOURS[below + 1] * share).movedim(-1, 1)
