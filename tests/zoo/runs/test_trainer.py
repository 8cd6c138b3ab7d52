"""From settings to a Trainer; whole runs are in test_fit.py."""

from dataclasses import replace

from pytorch_lightning.strategies import DDPStrategy

from zoo.config.settings import Choice, Settings
from zoo.engine.gradient_sync import TurnStrategy
from zoo.runs.trainer import build_trainer

SETTINGS = Settings(
    model=Choice("zoo.adversarial.wgan.WGAN", {"image_size": 64, "image_channels": 3}),
    data=Choice("datamodules.digits.Digits", {}),
    callbacks={},
    logger=Choice("zoo.loggers.csv.CSV", {}),
    extractor=None,
    trainer={},
    seed=0,
    folder=None,
    threads=None,
    resume=None,
    init=None,
    trust=None,
)


def trainer(tmp_path, **arguments):
    return build_trainer(replace(SETTINGS, trainer={"accelerator": "cpu", **arguments}), tmp_path)


def test_several_processes_use_turn_strategy_by_default(tmp_path):
    assert isinstance(trainer(tmp_path, devices=2).strategy, TurnStrategy)
    assert not isinstance(trainer(tmp_path, devices=1).strategy, DDPStrategy)
    named = trainer(tmp_path, devices=2, strategy="ddp_find_unused_parameters_true").strategy
    assert type(named) is DDPStrategy


def test_a_run_shorter_than_the_cadence_of_the_log_is_logged_at_its_end(tmp_path):
    assert trainer(tmp_path, max_steps=3, log_every_n_steps=50).log_every_n_steps == 3
    assert trainer(tmp_path, max_steps=300, log_every_n_steps=50).log_every_n_steps == 50
    assert trainer(tmp_path, max_steps=-1, log_every_n_steps=50).log_every_n_steps == 50
