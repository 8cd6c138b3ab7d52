"""Audio: 16-bit quantization, WAV files, logging, spectrograms."""

from pathlib import Path
from typing import Any

import torch
from scipy.io import wavfile
from torch import Tensor
from torch.nn.functional import interpolate, pad

from zoo.atomic_files import replacing
from zoo.media.images import from_levels, grid, to_levels
from zoo.media.text_images import LINE_HEIGHT, text_image
from zoo.precision import widest

STEPS = 2**16  # of 16 bits
WINDOW = 256  # samples per spectrum, which has WINDOW / 2 + 1 frequencies
COLUMNS = 128  # approximate width of a spectrogram
LOUDNESS = 70.0  # range of the colors in decibels below the maximum
WAVE = 48  # height of a waveform
AXIS = 48  # columns of the labels of an axis
# From silence to the maximum: dark blue, magenta, yellow.
COLORS = torch.tensor([[0.0, 0.0, 0.1], [0.3, 0.1, 0.5], [0.85, 0.25, 0.35], [1.0, 0.95, 0.6]])


def to_int16(audio: Tensor) -> Tensor:
    """Quantize floats in [-1, 1] of any shape to 16 bits.

    Raises:
        ValueError: The audio contains NaN.
    """
    if audio.isnan().any():
        raise ValueError("the audio contains NaN")
    return (to_levels(audio.to(widest(audio.device)), STEPS) - STEPS // 2).to(torch.int16)


def from_int16(audio: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert 16-bit audio of any shape to floats in [-1, 1]."""
    return from_levels(audio.to(dtype) + STEPS // 2, STEPS)


def save_wav(audio: Tensor, path: str | Path, sample_rate: int) -> None:
    """Write a 16-bit WAV file atomically, and its folder if it does not exist.

    Args:
        audio: Floats (T,) in [-1, 1].
        path: The file.
        sample_rate: In Hz.
    """
    with replacing(path) as file:
        wavfile.write(file, sample_rate, to_int16(audio).cpu().numpy())


def log_audio(logger: Any, name: str, audio: Tensor, sample_rate: int, step: int) -> None:
    """Log audio, if the logger takes any.

    Args:
        logger: A Lightning logger.
        name: Name in the log.
        audio: Floats (N, T) in [-1, 1].
        sample_rate: In Hz.
        step: Number of the batch.
    """
    sounds = to_int16(audio).cpu()
    if hasattr(logger, "log_audio"):  # Weights & Biases
        rates = [sample_rate] * len(sounds)
        logger.log_audio(name, list(sounds.numpy()), step=step, sample_rate=rates)
    elif hasattr(logger.experiment, "add_audio"):  # TensorBoard
        for number, sound in enumerate(sounds):
            named = f"{name}/{number}"
            logger.experiment.add_audio(named, from_int16(sound)[None], step, sample_rate)


def spectrograms(audio: Tensor, sample_rate: int | None = None) -> Tensor:
    """Draw waveforms, and below each its spectrogram.

    Time goes to the right, and frequencies go upwards to half the sample rate. Colors are decibels
    below the loudest of all; the scale of a waveform is [-1, 1].

    Args:
        audio: Floats (N, T) in [-1, 1].
        sample_rate: Samples per second; adds axes in seconds and Hz.

    Returns:
        uint8 (3, H, W).

    Raises:
        ValueError: The audio contains NaN.
    """
    audio = audio.float().cpu()
    if audio.isnan().any():
        raise ValueError("the audio contains NaN")
    hop = max(1, audio.shape[1] // COLUMNS)
    window = torch.hann_window(WINDOW)
    spectra = torch.stft(
        audio, WINDOW, hop, window=window, pad_mode="constant", return_complex=True
    ).abs()  # (N, frequencies, columns)
    decibels = 20 * (spectra / spectra.max().clamp(min=1e-12)).clamp(min=1e-12).log10()
    shade = (1 + decibels / LOUDNESS).clamp(min=0).flip(1)
    cells = torch.cat([waveforms(audio, shade.shape[2]), colored(shade)], dim=2)
    cells = (cells * 255).round().to(torch.uint8)  # (N, 3, H, W)
    if sample_rate:
        axes = audio.shape[1] / sample_rate, sample_rate / 2
        cells = torch.stack([with_axes(cell, *axes) for cell in cells])
    return grid(cells)


def with_axes(cell: Tensor, seconds: float, hertz: float) -> Tensor:
    """Add axes to a waveform above a spectrogram.

    Args:
        cell: uint8 (3, H, W).
        seconds: Time at the right edge.
        hertz: Frequency at the upper edge of the spectrogram.

    Returns:
        uint8 (3, H + h, W + w): amplitudes and frequencies on the left, time below.
    """
    height, width = cell.shape[1:]
    blank = torch.full((3, height, AXIS), 255, dtype=torch.uint8)
    places = {
        0: "1",
        WAVE - LINE_HEIGHT: "-1",
        WAVE + 2: f"{hertz:g} Hz",
        height - LINE_HEIGHT: "0 Hz",
    }
    for row, text in places.items():
        label = text_image([text], AXIS - 3, LINE_HEIGHT, "right")
        blank[:, row : row + LINE_HEIGHT, : AXIS - 3] = label
    time = [
        text_image(["0"], width // 2, LINE_HEIGHT),
        text_image([f"{seconds:g} s"], width - width // 2, LINE_HEIGHT, "right"),
    ]
    below = pad(torch.cat(time, dim=2), (AXIS, 0, 2, 0), value=255)
    return torch.cat([torch.cat([blank, cell], dim=2), below], dim=1)


def waveforms(audio: Tensor, columns: int) -> Tensor:
    """Draw waveforms of audio (N, T) as RGB (N, 3, WAVE, columns) in [0, 1]."""
    wide = interpolate(audio[:, None], columns * -(-audio.shape[1] // columns))[:, 0]
    pieces = wide.unflatten(1, (columns, -1))  # (N, columns, samples of each)
    lowest, highest = pieces.amin(dim=2)[:, None], pieces.amax(dim=2)[:, None]
    rows = torch.linspace(1, -1, WAVE)[:, None]
    half = 1 / (WAVE - 1)  # half of the distance between rows
    ink = (rows >= lowest - half) & (rows <= highest + half)  # (N, WAVE, columns)
    return torch.where(ink, 0.25, 1.0)[:, None].expand(-1, 3, -1, -1)


def colored(shade: Tensor) -> Tensor:
    """Return shades (N, H, W) in [0, 1] as RGB (N, 3, H, W), linear between COLORS."""
    place = shade * (len(COLORS) - 1)
    below = place.long().clamp(max=len(COLORS) - 2)
    share = (place - below)[..., None]
    return (COLORS[below] * (1 - share) + COLORS[below + 1] * share).movedim(-1, 1)
