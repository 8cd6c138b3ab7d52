import math

import pytest
import torch

from datamodules.audio import loudness
from datamodules.tones import Tones, estimate_pitch


def everything(data, split="test"):
    source = data.source(split)
    return data.on_after_batch_transfer(source[torch.arange(len(source))], 0)


def test_a_batch_is_what_models_of_audio_need():
    data = Tones(batch_size=8, audio_length=300, hop=100)
    assert (data.name, data.classes, data.audio_length, data.sample_rate) == ("tones", 8, 300, 4000)
    assert (data.hop, data.local_features, data.extractor) == (100, 1, None)
    raw = next(iter(data.train_dataloader()))
    assert raw["audio"].dtype == torch.int16
    batch = data.on_after_batch_transfer(raw, 0)
    assert set(batch) == set(data.provides)
    assert batch["audio"].shape == (8, 300)
    assert batch["audio"].dtype == torch.float32
    assert batch["local"].shape == (8, 3, 1)
    assert torch.equal(data.source("train")[batch["index"]]["audio"], raw["audio"])
    loudest = everything(data)["audio"].abs().amax(dim=1)
    assert loudest.min() > 0.49
    assert loudest.max() < 0.91


@pytest.mark.parametrize("name", ["audio_length", "sample_rate", "hop"])
def test_sizes_of_nothing_are_refused(name):
    with pytest.raises(ValueError, match=f"data.{name}=0 must be at least 1"):
        Tones(**{name: 0})


def test_loudness_is_the_root_of_the_mean_square_of_each_frame():
    audio = torch.tensor([[3.0, 4.0, 0.0, 0.0, 2.0], [1.0, 1.0, -1.0, 1.0, -5.0]])
    expected = [[math.sqrt(12.5), 0.0, 2.0], [1.0, 1.0, 5.0]]
    assert loudness(audio, 2)[..., 0].tolist() == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("sample_rate", [4000, 8000])
def test_frequencies_are_those_of_loops_near_the_major_scale(sample_rate):
    data = Tones(sample_rate=sample_rate)
    scale = [110 * 2 ** (step / 12) for step in (0, 2, 4, 5, 7, 9, 11, 12)]
    for frequency, note in zip(data.frequencies, scale, strict=True):
        period = sample_rate / frequency
        assert period % 1 == pytest.approx(0.5)
        assert abs(period - sample_rate / note) <= 0.5
    assert data.frequencies[0] == pytest.approx(
        sample_rate / (round(sample_rate / 110 - 0.5) + 0.5)
    )


def strongest(tone, sample_rate, near):
    """The frequency near `near` whose sinusoid explains most of a tone."""
    steady = tone.double()
    window = torch.hann_window(len(steady), dtype=torch.float64)
    grid = torch.linspace(0.97 * near, 1.03 * near, 601, dtype=torch.float64)
    turns = 2 * math.pi * grid[:, None] * torch.arange(len(steady)) / sample_rate
    waves = torch.polar(torch.ones_like(turns), -turns)
    return grid[(waves @ (window * steady).to(torch.complex128)).abs().argmax()].item()


def test_both_kinds_have_exactly_the_frequency_of_their_label():
    data = Tones(audio_length=4000)
    batch = everything(data)
    for place in (
        0,
        1,
        6,
        7,
        14,
        15,
    ):  # harmonic and plucked, of the lowest, a middle, the top note
        expected = data.frequencies[batch["label"][place]]
        found = strongest(batch["audio"][place], 4000, expected)
        assert found == pytest.approx(expected, rel=1e-3)


def test_a_plucked_string_is_its_noise_and_what_the_loop_makes_of_it():
    data = Tones(audio_length=200)
    generator = torch.Generator().manual_seed(0)
    tone = data.plucked_tones(torch.tensor([3]), generator)[0]
    loop = data.loops[3]
    means = (tone[: -loop - 1] + tone[1:-loop]) / 2  # of the neighbors N + 1 and N samples ago
    gains = tone[loop + 1 :] / means
    assert gains.min() == pytest.approx(gains.max().item())
    assert 0.985 < gains.mean() < 0.998
    assert tone[:loop].mean().abs() < 1e-12
    assert tone[-loop:].norm() < tone[:loop].norm()


def test_a_harmonic_tone_has_an_attack_a_decay_and_nothing_above_half_the_rate():
    data = Tones(audio_length=4000, sample_rate=1000)
    tone = data.harmonic_tones(torch.tensor([7]), torch.Generator().manual_seed(0))[0]
    loud = loudness(tone[None], 100)[0, :, 0]
    assert tone[0].abs() < 1e-6
    assert loud[1] > loud[10] > loud[30]
    spectrum = torch.fft.rfft(tone * torch.hann_window(4000)).abs()
    peaks = (spectrum > 0.02 * spectrum.max()).nonzero() / 4  # Hz
    harmonics = data.frequencies[7] * torch.tensor([1, 2])  # the third would be folded
    assert ((peaks - harmonics).abs().amin(dim=1) < 20).all()


def test_notes_and_kinds_are_balanced_and_splits_differ():
    data = Tones()
    batch = everything(data)
    assert batch["label"][::2].bincount().tolist() == [25] * 8
    assert batch["label"][1::2].bincount().tolist() == [25] * 8
    assert [len(data.source(split)) for split in ("train", "val")] == [1800, 200]
    rows = [everything(data, split)["audio"] for split in ("train", "val", "test")]
    assert len(torch.cat(rows).unique(dim=0)) == 2400, "no tone comes twice"
    assert torch.equal(everything(Tones())["audio"], batch["audio"])
    assert not torch.equal(everything(Tones(split_seed=1))["audio"], batch["audio"])


@pytest.mark.parametrize("sample_rate", [4000, 8000])
def test_pitches_of_real_tones_are_heard_and_those_of_noise_are_not(sample_rate):
    data = Tones(sample_rate=sample_rate, audio_length=sample_rate // 4)
    batch = everything(data)
    heard = data.audio_metrics(batch["audio"], batch["label"])
    assert set(heard) == {"accuracy_pitch", "accuracy_pitch_sustained"}
    assert min(heard.values()) >= 0.98
    noise = torch.randn(batch["audio"].shape, generator=torch.Generator().manual_seed(0))
    assert max(data.audio_metrics(noise, batch["label"]).values()) < 0.25
    wrong = (batch["label"] + 1) % 8
    assert max(data.audio_metrics(batch["audio"], wrong).values()) <= 0.02


def test_what_is_sustained_is_the_second_half():
    """The first half sounds the next note."""
    data = Tones()
    batch = everything(data)
    places = torch.arange(0, 400, 2)  # harmonic
    audio, label = batch["audio"][places], batch["label"][places]
    other = audio[(places // 2 + 1) % 200]
    half = data.audio_length // 2
    audio = torch.cat([4 * other[:, :half], audio[:, half:]], dim=1)
    heard = data.audio_metrics(audio, label)
    assert heard["accuracy_pitch_sustained"] >= 0.98
    assert heard["accuracy_pitch"] < 0.1


def test_a_pitch_is_found_between_whole_periods_and_without_its_fundamental():
    time = torch.arange(1000, dtype=torch.float64) / 4000
    frequency = torch.tensor([111.3, 150.0, 207.7], dtype=torch.float64)
    waves = [(2 * math.pi * k * frequency[:, None] * time).sin() for k in (2, 3, 4)]
    found = estimate_pitch(sum(waves), 4000, 110, 220)
    assert found.tolist() == pytest.approx(frequency.tolist(), rel=0.01)
