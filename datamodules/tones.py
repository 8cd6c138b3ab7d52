"""Tones of eight notes, plucked and blown: audio whose pitch is known."""

import math

import torch
from scipy.signal import lfilter
from torch import Tensor
from torch.fft import irfft, rfft

from datamodules.audio import AudioDataModule
from datamodules.loading.sources import TensorSource
from zoo.engine.seeds import keyed_generator
from zoo.media.audio import to_int16

LOWEST = 110.0  # Hz, the note A2
MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)  # semitones above it
HARMONICS = 6  # of a blown tone, at most
TEST_COUNT = 400


class Tones(AudioDataModule):
    """Tones of the major scale from A2, 110 Hz, to A3; `label` is the note, 0 to 7.

    Half of them are plucked strings (Karplus and Strong 1983, A burst of noise in a loop of N
    samples whose filter is the mean of two neighbours), half are sums of harmonics with an attack
    and a decay. Loudness, decay, timbre and phase vary. A loop sounds N + 1/2 samples long, so the
    notes are those of N: `frequencies`, sample_rate / (N + 1/2), are exact for both kinds, and out
    of tune by up to 2 % at 4000 Hz. Everything depends on split_seed; 400 tones are for testing.

    count: tones to train on, `val_count` of them held out. hop: samples of a frame of loudness.
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
        self.loops = [round(period - 0.5) for period in tuned]  # N of each note

    @property
    def frequencies(self) -> list[float]:
        """Of each note, in Hz."""
        return [self.sample_rate / (loop + 0.5) for loop in self.loops]

    def open(self, split):
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        label = torch.arange(count) // 2 % self.classes
        generator = keyed_generator(hp.split_seed, "tones", split)
        audio = torch.empty(count, self.audio_length, dtype=torch.float64)
        audio[0::2] = self.blown(label[0::2], generator)
        audio[1::2] = self.plucked(label[1::2], generator)
        loudest = audio.abs().amax(dim=1, keepdim=True)
        audio *= between(0.5, 0.9, (count, 1), generator) / loudest
        return TensorSource(audio=to_int16(audio), label=label)

    def blown(self, label, generator):
        """Sums of harmonics below half the sample rate, (n, T); any scale."""
        count, frequency = len(label), torch.tensor(self.frequencies, dtype=torch.float64)[label]
        time = torch.arange(self.audio_length, dtype=torch.float64) / self.sample_rate
        number = torch.arange(1, HARMONICS + 1)
        phase = between(0, 2 * math.pi, (count, HARMONICS, 1), generator)
        fall = between(1, 2, (count, 1, 1), generator)  # the k-th harmonic is 1 / k^fall as loud
        turns = number[:, None] * frequency[:, None, None]  # (n, HARMONICS, 1) per second
        waves = (2 * math.pi * turns * time + phase).sin() / number[:, None] ** fall
        waves = torch.where(turns < self.sample_rate / 2, waves, 0).sum(dim=1)
        attack, decay = (between(*ends, (count, 1), generator) for ends in ((90, 200), (2, 6)))
        return waves * (1 - (-attack * time).exp()) * (-decay * time).exp()

    def plucked(self, label, generator):
        """y_t = x_t + g (y_t-N + y_t-N-1) / 2, the noise x of N samples long: (n, T)."""
        noise = between(-1, 1, (len(label), max(self.loops)), generator)
        gain = between(0.985, 0.998, (len(label),), generator)
        tones = torch.zeros(len(label), self.audio_length, dtype=torch.float64)
        for tone, burst, note, g in zip(tones, noise, label.tolist(), gain.tolist(), strict=True):
            loop = self.loops[note]
            tone[:loop] = burst[:loop] - burst[:loop].mean()
            feedback = [1.0, *[0.0] * (loop - 1), -g / 2, -g / 2]
            tone[:] = torch.from_numpy(lfilter([1.0], feedback, tone.numpy()))
        return tones

    def audio_metrics(self, audio, label):
        """The share of tones whose pitch is nearer to their note than to others.

        accuracy_pitch is of the whole tone, accuracy_pitch_sustained of its second half, when what
        is left of a plucked string's noise no longer hides the pitch.
        """
        second = audio[:, audio.shape[1] // 2 :]
        return {
            f"accuracy_{what}": (self.notes(part) == label.cpu()).double().mean().item()
            for what, part in (("pitch", audio), ("pitch_sustained", second))
        }

    def notes(self, audio):
        """The labels (N,) of the notes nearest to the pitches of audio (N, T)."""
        pitch = pitches(audio, self.sample_rate, self.frequencies[0], self.frequencies[-1])
        notes = torch.tensor(self.frequencies).log2()
        return (pitch.log2()[:, None] - notes).abs().argmin(dim=1)


def between(low, high, shape, generator):
    """Uniform floats (shape), float64."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def pitches(audio: Tensor, sample_rate: int, lowest: float, highest: float) -> Tensor:
    """Fundamental frequencies (N,) in Hz, from `lowest` to `highest` or half a semitone beyond.

    The first peak of the autocorrelation that comes near the highest one, at a tenth of a sample:
    with the highest itself, a tone of the top note would often pass for the octave below it.
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
