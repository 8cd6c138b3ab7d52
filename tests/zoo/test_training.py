"""From settings to a Trainer; whole runs are in test_fit.py."""

from pytorch_lightning.strategies import DDPStrategy

from zoo.strategy import TurnStrategy
from zoo.training import build_trainer, new_folder, withdraw

SETTINGS = {
    "folder": None,
    "model": {"_target_": "zoo.adversarial.wgan.WGAN", "image_size": 64, "image_channels": 3},
    "data": {"_target_": "datamodules.digits.Digits"},
    "callbacks": {},
    "logger": {"_target_": "zoo.loggers.csv.CSV"},
}


def trainer(tmp_path, **arguments):
    return build_trainer(SETTINGS | {"trainer": {"accelerator": "cpu", **arguments}}, tmp_path)


def test_several_processes_take_turns_unless_the_user_says_otherwise(tmp_path):
    assert isinstance(trainer(tmp_path, devices=2).strategy, TurnStrategy)
    assert not isinstance(trainer(tmp_path, devices=1).strategy, DDPStrategy)
    named = trainer(tmp_path, devices=2, strategy="ddp_find_unused_parameters_true").strategy
    assert type(named) is DDPStrategy


def test_a_run_shorter_than_the_cadence_of_the_log_is_logged_at_its_end(tmp_path):
    assert trainer(tmp_path, max_steps=3, log_every_n_steps=50).log_every_n_steps == 3
    assert trainer(tmp_path, max_steps=300, log_every_n_steps=50).log_every_n_steps == 50
    assert trainer(tmp_path, max_steps=-1, log_every_n_steps=50).log_every_n_steps == 50


def test_the_folder_of_a_run_that_never_began_is_taken_back(tmp_path):
    for name, stays in (("config.yaml", False), ("notes.txt", True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("")
        withdraw(trainer(folder))
        assert folder.exists() == stays


def test_two_runs_in_one_second_have_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(3):
        folders.append(new_folder(SETTINGS))
        folders[-1].mkdir(parents=True)
    assert len(set(folders)) == 3
