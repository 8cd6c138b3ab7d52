import math

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from scipy.io import wavfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo.media.audio import WAVE, from_int16, log_audio, save_wav, spectrograms, to_int16


def tone(frequency, length=1000, rate=4000):
    return (2 * math.pi * frequency * torch.arange(length) / rate).sin()


def test_the_levels_of_16_bits_are_spread_evenly_and_come_back():
    levels = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    for dtype in (torch.float32, torch.float64):
        audio = from_int16(levels, dtype)
        assert (audio[0], audio[-1], audio.dtype) == (-1, 1, dtype)
        assert torch.equal(to_int16(audio), levels)
    assert to_int16(torch.tensor([-9.0, 9.0, 0.0])).tolist() == [-(2**15), 2**15 - 1, 0]
    with pytest.raises(ValueError, match="NaN"):
        to_int16(torch.tensor([0.0, math.nan]))


def test_a_wav_is_pcm_of_16_bits_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "tone.wav"
    for audio in (-tone(440), tone(440)):
        save_wav(audio, path, 4000)
        rate, saved = wavfile.read(path)
        assert (rate, saved.dtype, saved.shape) == (4000, np.int16, (1000,))
        assert np.array_equal(saved, to_int16(audio).numpy())
    assert list(path.parent.iterdir()) == [path]


def test_loggers_get_the_sounds_if_they_take_them(tmp_path, monkeypatch):
    audio = torch.stack([tone(200), tone(300)])
    board = TensorBoardLogger(tmp_path, name="", version="")
    log_audio(board, "sounds", audio, 4000, step=7)
    board.finalize("success")
    heard = EventAccumulator(str(tmp_path), size_guidance={"audio": 0}).Reload()
    assert [(a.step, a.sample_rate) for a in heard.Audio("sounds/1")] == [(7, 4000.0)]
    log_audio(CSVLogger(tmp_path), "sounds", audio, 4000, step=7)
    handed = {}
    wandb = WandbLogger(save_dir=tmp_path, mode="disabled")
    monkeypatch.setattr(
        wandb, "log_audio", lambda key, sounds, **rest: handed.update({key: (sounds, rest)})
    )
    log_audio(wandb, "sounds", audio, 4000, step=7)
    sounds, rest = handed["sounds"]
    assert rest == {"step": 7, "sample_rate": [4000, 4000]}
    assert all(np.array_equal(s, to_int16(a).numpy()) for s, a in zip(sounds, audio, strict=True))


def brightness(figure):
    return figure.float().sum(dim=0)


def test_a_spectrogram_has_its_line_at_the_frequency_upwards():
    """A tone of a quarter of the highest frequency: a quarter of the rows from below."""
    figure = spectrograms(tone(500)[None])[:, 2:-2, 2:-2]
    assert (figure.dtype, figure.shape[0]) == (torch.uint8, 3)
    spectrogram = brightness(figure)[WAVE:, 60]  # one column in the middle of time
    assert len(spectrogram) == 129
    assert 128 - spectrogram.argmax().item() == 32
    assert (spectrogram > spectrogram.min()).sum() < 16, "one line"


def test_time_goes_to_the_right_under_the_waveform():
    audio = tone(500) * (torch.arange(1000) >= 500)
    figure = spectrograms(audio[None])[:, 2:-2, 2:-2]
    wave, spectrum = brightness(figure).split([WAVE, 129])
    assert spectrum[:, 90].max() > 2 * spectrum[:, 30].max()
    ink = (wave < 700).sum(dim=0)  # rows of ink in each column
    assert ink[:50].max() <= 2
    assert ink[75:].min() > WAVE / 2


def test_axes_are_beside_the_spectrogram():
    plain, axes = spectrograms(tone(500)[None]), spectrograms(tone(500)[None], sample_rate=4000)
    height, width = plain.shape[1] - 4, plain.shape[2] - 4
    left = axes.shape[2] - 2 - width
    assert torch.equal(axes[:, 2 : 2 + height, left:-2], plain[:, 2:-2, 2:-2])
    seconds, hertz = axes[:, 2 + height : -2, left:-2], axes[:, 2 + WAVE : 2 + height, 2:left]
    for labels in (seconds, hertz):
        assert (labels == 255).any()
        assert (labels < 100).any()
    longer = spectrograms(tone(500)[None], sample_rate=2000)
    assert not torch.equal(longer[:, 2 + height : -2, left:-2], seconds)
    assert not torch.equal(longer[:, 2 + WAVE : 2 + height, 2:left], hertz)


@pytest.mark.parametrize("length", [7, 64, 1000, 1003])
def test_any_length_and_number_can_be_plotted(length):
    assert spectrograms(torch.rand(3, length)).dtype == torch.uint8
    assert spectrograms(torch.zeros(1, length)).float().std() > 0
    with pytest.raises(ValueError, match="NaN"):
        spectrograms(torch.full((1, length), math.nan))


def test_the_loudest_of_all_sets_the_colors():
    loud, quiet = tone(500), tone(500) / 100
    alone, together = spectrograms(quiet[None]), spectrograms(torch.stack([loud, quiet]))
    alone = alone[:, 2:-2, 2:-2]
    second = together[:, 2:-2, -alone.shape[2] - 2 : -2]
    assert second.shape == alone.shape
    assert brightness(second)[WAVE:].max() < brightness(alone)[WAVE:].max()
