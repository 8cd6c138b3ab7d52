"""Synthetic plucked and harmonic tones of eight notes: audio whose pitch is known."""

import math

import torch
from scipy.signal import lfilter
from torch import Generator, Tensor
from torch.fft import irfft, rfft

from datamodules.audio import AudioDataModule
from datamodules.loading.sources import TensorSource
from zoo.engine.seeds import keyed_generator
from zoo.media.audio import to_int16

LOWEST = 110.0  # in Hz, the note A2
MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)  # semitones above LOWEST
HARMONICS = 6  # largest number of harmonics of a tone
TEST_COUNT = 400


class Tones(AudioDataModule):
    """Tones of the A major scale from A2 (110 Hz) to A3; `label` is the note, 0 to 7.

    Half of the tones are plucked strings (Karplus and Strong 1983): noise in a loop of N samples
    with a filter that averages two neighbors. The other half are sums of harmonics with an attack
    and a decay. Loudness, decay, timbre and phase vary. A loop of N samples has a period of N + 1/2
    samples. Both kinds therefore have a pitch of sample_rate / (N + 1/2) with an integer N, which
    is out of tune by up to 2 % at 4000 Hz. There are 400 test tones.

    Args:
        count: Number of training tones, including `val_count` validation tones.
    """

    classes = len(MAJOR)

    def __init__(
        self,
        batch_size: int = 16,
        audio_length: int = 1000,
        sample_rate: int = 4000,
        hop: int = 50,
        count: int = 2000,
        val_count: int = 200,
        split_seed: int = 0,
    ):
        super().__init__()
        tuned = [sample_rate / (LOWEST * 2 ** (step / 12)) for step in MAJOR]
        self.loops = [round(period - 0.5) for period in tuned]  # N for each note

    @property
    def frequencies(self) -> list[float]:
        """The pitch of each note in Hz."""
        return [self.sample_rate / (loop + 0.5) for loop in self.loops]

    def open(self, split: str) -> TensorSource:
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        label = torch.arange(count) // 2 % self.classes
        generator = keyed_generator(hp.split_seed, "tones", split)
        audio = torch.empty(count, self.audio_length, dtype=torch.float64)
        audio[0::2] = self.harmonic_tones(label[0::2], generator)
        audio[1::2] = self.plucked_tones(label[1::2], generator)
        loudest = audio.abs().amax(dim=1, keepdim=True)
        audio *= uniform(0.5, 0.9, (count, 1), generator) / loudest
        return TensorSource(audio=to_int16(audio), label=label)

    def harmonic_tones(self, label: Tensor, generator: Generator) -> Tensor:
        """Generate sums of harmonics below half the sample rate, (N, T), of any scale."""
        count = len(label)
        frequency = torch.tensor(self.frequencies, dtype=torch.float64)[label]
        time = torch.arange(self.audio_length, dtype=torch.float64) / self.sample_rate
        number = torch.arange(1, HARMONICS + 1)
        phase = uniform(0, 2 * math.pi, (count, HARMONICS, 1), generator)
        fall = uniform(1, 2, (count, 1, 1), generator)  # harmonic k has amplitude 1 / k^fall
        turns = number[:, None] * frequency[:, None, None]  # (N, HARMONICS, 1) in Hz
        waves = (2 * math.pi * turns * time + phase).sin() / number[:, None] ** fall
        waves = torch.where(turns < self.sample_rate / 2, waves, 0).sum(dim=1)
        attack, decay = (uniform(*ends, (count, 1), generator) for ends in ((90, 200), (2, 6)))
        return waves * (1 - (-attack * time).exp()) * (-decay * time).exp()

    def plucked_tones(self, label: Tensor, generator: Generator) -> Tensor:
        """Generate y[t] = x[t] + g (y[t-N] + y[t-N-1]) / 2 for noise x of N samples, (N, T)."""
        noise = uniform(-1, 1, (len(label), max(self.loops)), generator)
        gain = uniform(0.985, 0.998, (len(label),), generator)
        tones = torch.zeros(len(label), self.audio_length, dtype=torch.float64)
        for tone, burst, note, g in zip(tones, noise, label.tolist(), gain.tolist(), strict=True):
            loop = self.loops[note]
            tone[:loop] = burst[:loop] - burst[:loop].mean()
            feedback = [1.0, *[0.0] * (loop - 1), -g / 2, -g / 2]
            tone[:] = torch.from_numpy(lfilter([1.0], feedback, tone.numpy()))
        return tones

    def audio_metrics(self, audio: Tensor, label: Tensor) -> dict[str, float]:
        """Measure the share of tones whose pitch is closest to their note.

        Args:
            audio: (N, T).
            label: Notes, (N,).

        Returns:
            accuracy_pitch of the whole tone, and accuracy_pitch_sustained of its second half, in
            which the noise of a plucked string no longer masks the pitch.
        """
        second = audio[:, audio.shape[1] // 2 :]
        return {
            f"accuracy_{what}": (self.nearest_notes(part) == label.cpu()).double().mean().item()
            for what, part in (("pitch", audio), ("pitch_sustained", second))
        }

    def nearest_notes(self, audio: Tensor) -> Tensor:
        """Return the labels (N,) of the notes that are closest to the pitch of audio (N, T)."""
        pitch = estimate_pitch(audio, self.sample_rate, self.frequencies[0], self.frequencies[-1])
        notes = torch.tensor(self.frequencies).log2()
        return (pitch.log2()[:, None] - notes).abs().argmin(dim=1)


def uniform(low: float, high: float, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Draw uniform numbers in [low, high), float64 of this shape."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def estimate_pitch(audio: Tensor, sample_rate: int, lowest: float, highest: float) -> Tensor:
    """Estimate fundamental frequencies from the autocorrelation, interpolated to 1/10 sample.

    The first peak of at least 0.9 times the highest peak counts: the highest peak itself would
    often be an octave too low for the top note.

    Args:
        audio: (N, T).
        sample_rate: In Hz.
        lowest: Lowest frequency to search, less half a semitone.
        highest: Highest frequency to search, plus half a semitone.

    Returns:
        (N,) in Hz.
    """
    finer, margin = 10, 2 ** (1 / 24)
    spectrum = rfft(audio.cpu().double(), 2 * audio.shape[1])
    correlation = irfft(spectrum.abs() ** 2, finer * 2 * audio.shape[1])
    first, last = (int(finer * sample_rate / edge) for edge in (highest * margin, lowest / margin))
    before, here, after = (correlation[:, first + step : last + step] for step in (-1, 0, 1))
    peak = (here > before) & (here >= after)
    best = here.masked_fill(~peak, 0).amax(dim=1, keepdim=True)
    lag = first + (peak & (here >= 0.9 * best)).int().argmax(dim=1)
    return sample_rate * finer / lag
