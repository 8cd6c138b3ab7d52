"""Sounds on the training clock, on disk and in every logger."""

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from scipy.io import wavfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.sounds import Sounds
from datamodules.tones import Tones
from tests import kit
from zoo.autoregressive.wavenet import WaveNet
from zoo.engine.conditions import conditions_of

SIZES = {"audio_length": 64, "conditional": True, "classes": 8}


def small_data():
    return Tones(batch_size=4, audio_length=64, count=40, val_count=0)


def run(folder, steps, callbacks=(), **settings):
    torch.manual_seed(0)
    model = kit.build("wavenet", **SIZES | settings.pop("model", {}))
    kit.fit(model, folder, steps, small_data(), callbacks=callbacks, **settings)
    return model


def test_sounds_every_n_batches_and_at_the_end(tmp_path):
    run(tmp_path, 7, [Sounds(every=3, count=2)])
    names = sorted(file.name for file in (tmp_path / "sounds").iterdir())
    assert names == [f"000000{batch}_{number}.wav" for batch in (3, 6, 7) for number in (0, 1)]
    rate, audio = wavfile.read(tmp_path / "sounds" / names[0])
    assert (rate, audio.dtype, audio.shape) == (4000, np.int16, (64,))
    assert audio.std() > 0
    assert not (tmp_path / "samples").exists()


def test_samples_are_drawn_under_the_conditions_of_the_data(tmp_path, monkeypatch):
    conditions, sample = [], WaveNet.sample

    def noting(self, count, condition=None):
        conditions.append(condition)
        return sample(self, count, condition)

    monkeypatch.setattr(WaveNet, "sample", noting)
    monkeypatch.setattr(WaveNet, "conditions", ("label",))
    model = run(tmp_path, 1, [Sounds(count=3)])
    expected = conditions_of(model, small_data(), 3)
    assert torch.equal(conditions[0]["label"], expected["label"])


def test_the_draws_are_the_same_each_time(tmp_path):
    run(tmp_path, 4, [Sounds(every=2, count=2)], model={"lr": 0.0})
    for number in (0, 1):
        one, other = (tmp_path / f"sounds/000000{batch}_{number}.wav" for batch in (2, 4))
        assert one.read_bytes() == other.read_bytes()


def test_training_is_not_disturbed(tmp_path):
    alone = run(tmp_path, 5)
    watched = run(tmp_path, 5, [Sounds(every=2, count=2)])
    kit.assert_same(kit.weights(alone), kit.weights(watched))


def test_sampling_is_in_eval_mode(tmp_path, monkeypatch):
    modes, sample = [], WaveNet.sample

    def noting(self, count, given=None):
        modes.append(self.training)
        return sample(self, count, given)

    monkeypatch.setattr(WaveNet, "sample", noting)
    run(tmp_path, 3, [Sounds(every=2, count=2)])
    assert modes == [False, False]


def test_several_processes_write_once(tmp_path, monkeypatch):
    written = torch.zeros(2).share_memory_()

    def counting(audio, path, sample_rate):
        written[int(torch.distributed.get_rank())] += 1

    monkeypatch.setattr("callbacks.sounds.save_wav", counting)
    run(tmp_path, 2, [Sounds(every=2, count=3)], **kit.forked(2))
    assert written.tolist() == [3, 0]


def test_a_logger_that_takes_audio_gets_it(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    run(tmp_path, 3, [Sounds(every=2, count=2)], logger=logger)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [audio.step for audio in events.Audio("sounds/0")] == [2, 3]


def test_data_without_sounds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs audio data"):
        kit.fit(kit.build("wgan"), tmp_path, 1, callbacks=[Sounds()])
