"""One step axis for all loggers, and files in the run's folder only."""

import csv

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import kit
from zoo.loggers.csv import CSV
from zoo.loggers.tensorboard import TensorBoard


def test_batches_are_the_axis_of_every_logger(tmp_path):
    class Measured(type(kit.build("wgan"))):
        def on_train_start(self):
            self.log_results({"toy": 1.0})

        def on_train_batch_end(self, outputs, batch, batch_idx):
            if self.trainer.global_step == 6:
                self.log_results({"toy": 2.0})

    model = Measured(image_size=8, image_channels=1, width=4)
    loggers = [CSV(str(tmp_path)), TensorBoard(str(tmp_path))]
    kit.fit(model, tmp_path, 10, logger=loggers, log_every_n_steps=5)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["step"] for row in rows if row["val/toy"]] == ["0", "6"]
    assert [row["step"] for row in rows if row["train/critic_loss"]] == ["5", "10"]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("val/toy")] == [0, 6]
    assert [event.step for event in events.Scalars("train/critic_loss")] == [5, 10]


def test_discarding_keeps_the_event_files_of_other_processes(tmp_path):
    other = tmp_path / "events.out.tfevents.1.host.1.0"
    other.touch()
    logger = TensorBoard(str(tmp_path))
    logger.discard()  # before it has written anything
    logger.log_metrics({"loss": 1.0}, 1)
    assert len(list(tmp_path.iterdir())) == 2
    logger.discard()
    assert list(tmp_path.iterdir()) == [other]
