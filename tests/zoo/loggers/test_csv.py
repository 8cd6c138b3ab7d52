"""The log that every run has."""

import os

from tests import kit
from zoo.loggers.csv import CSV


def test_the_log_is_in_the_folder_and_on_disk_while_the_run_continues(tmp_path):
    class Reading(type(kit.build("wgan"))):
        def on_train_end(self):
            self.rows = (tmp_path / "metrics.csv").read_text().split()

    model = Reading(image_size=8, image_channels=1, width=4)
    kit.fit(model, tmp_path, 4, logger=CSV(str(tmp_path)), log_every_n_steps=2)
    assert [row.split(",")[0] for row in model.rows] == ["step", "2", "4"]
    assert set(os.listdir(tmp_path)) == {"metrics.csv", "hparams.yaml"}
