"""What is logged is seen by Lightning's own callbacks."""

import csv

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from callbacks.metrics import Metrics
from tests import kit
from zoo.engine import logs
from zoo.loggers.csv import CSV

pytestmark = pytest.mark.filterwarnings("ignore:Fréchet distance")
FID = "val/fid_digits_20"


def test_lightnings_callbacks_follow_results(tmp_path):
    """The best of two by a result, and an end where it no longer falls."""
    model = kit.build("wgan", lr=0.0)
    model.generator = kit.generator_without_statistics()
    best = ModelCheckpoint(tmp_path / "best", monitor=FID, every_n_train_steps=2, save_top_k=2)
    stopping = EarlyStopping(monitor=FID, patience=2)
    callbacks = [Metrics(every=2, count=20), best, stopping]
    run = kit.fit(model, tmp_path, 500, callbacks=callbacks, enable_checkpointing=True)
    assert run.current_epoch == 3, "it is the same in each epoch of 16 batches"
    assert best.best_model_score == model.results[FID][2]
    assert len(list((tmp_path / "best").glob("*.ckpt"))) == 2


def test_callback_metrics_are_updated_on_logging_steps_only(tmp_path, monkeypatch):
    written, seen = [], {}
    write = logs.write

    def noting(trainer, stage, numbers):
        written.append((stage, trainer.global_step))
        write(trainer, stage, numbers)

    class Reading(Callback):
        def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
            seen[trainer.global_step] = dict(trainer.callback_metrics)
            assert trainer.logged_metrics.keys() == trainer.callback_metrics.keys()

    monkeypatch.setattr(logs, "write", noting)
    model = kit.build("gan")
    callbacks = [Metrics(every=4, count=20), Reading()]
    kit.fit(model, tmp_path, 6, callbacks=callbacks, log_every_n_steps=3)
    losses = {"train/discriminator_loss", "train/generator_loss"}
    assert losses.isdisjoint(seen[2])
    assert losses <= seen[3].keys()
    assert seen[3]["train/generator_loss"] == seen[5]["train/generator_loss"]
    assert seen[3]["train/generator_loss"] != seen[6]["train/generator_loss"]
    assert seen[3][FID] == model.results[FID][0]
    assert seen[4][FID] == model.results[FID][4]
    assert all(isinstance(value, torch.Tensor) for value in seen[6].values())
    assert written == [("val", 0), ("train", 3), ("val", 4), ("train", 6), ("val", 6), ("test", 6)]


def test_the_log_has_one_row_for_each_time_that_it_is_written(tmp_path):
    """And none at the ends of epochs, where Lightning writes what `self.log` was given."""
    logger = CSV(str(tmp_path))
    kit.fit(kit.build("gan"), tmp_path, 40, logger=logger, log_every_n_steps=10)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["10", "20", "30", "40"]
