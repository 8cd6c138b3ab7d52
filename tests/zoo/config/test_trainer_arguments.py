"""Each argument of Lightning's Trainer is honoured, or refused in words: none is ignored."""

import csv
import inspect

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.strategies import DDPStrategy

from zoo.adversarial.gan import GAN
from zoo.config import catalog, composition
from zoo.config.errors import UserError
from zoo.config.trainer_arguments import DEFAULT_MAX_STEPS, check_arguments
from zoo.engine.gradient_sync import TurnStrategy
from zoo.runs import trainer as trainers
from zoo.runs import training

PARAMETERS = set(inspect.signature(Trainer.__init__).parameters) - {"self"}


class Watch(Callback):
    """Notes what holds in training; stops after the first batch where it is to."""

    def __init__(self):
        self.stops = False
        self.seen = []  # the places of the samples of each batch
        self.loaders = []
        self.validated = 0

    def on_train_start(self, trainer, model):
        self.deterministic = torch.are_deterministic_algorithms_enabled()
        self.benchmark = torch.backends.cudnn.benchmark

    def on_train_epoch_start(self, trainer, model):
        self.loaders.append(trainer.train_dataloader)

    def on_before_optimizer_step(self, trainer, model, optimizer):
        self.anomaly = torch.is_anomaly_enabled()
        self.autocast = torch.is_autocast_enabled("cpu")

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.seen.append(set(batch["index"].tolist()))
        trainer.should_stop = trainer.should_stop or self.stops


def settings_of(folder, **trainer):
    def node(group, name, **values):
        component = catalog.describe(group, name)
        return {"_target_": component.target, **component.defaults, **values}

    composed = {
        "seed": 0,
        "folder": str(folder / "run"),
        "threads": None,
        "resume": None,
        "model": node("model", "gan", network="mlp", width=8),
        "data": node("data", "gaussians", count=320, batch_size=16, val_count=32),
        "logger": node("logger", "csv"),
        "callbacks": {},
        "trainer": {"accelerator": "cpu", "devices": 1, "log_every_n_steps": 50, **trainer},
    }
    return composition.check(OmegaConf.create(composed))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(**arguments) -> (trainer, watch) after training with a callback that watches."""

    def run(stops=False, **arguments):
        watch = Watch()
        watch.stops = stops

        def make(callbacks, **others):
            return Trainer(callbacks=[*callbacks, watch], **others)

        monkeypatch.setattr(trainers, "Trainer", make)
        return training.train(settings_of(tmp_path, **arguments)), watch

    return run


def build(folder, **arguments):
    """The Trainer of a run, which is not begun."""
    return trainers.build_trainer(settings_of(folder, **arguments), folder)


def logged_steps(folder):
    with open(folder / "run/metrics.csv") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def accelerator(run, tmp_path, capsys):
    assert build(tmp_path, accelerator="cpu").strategy.root_device.type == "cpu"
    with pytest.raises(UserError, match="Lightning rejects the trainer"):
        build(tmp_path, accelerator="hpu")


def strategy(run, tmp_path, capsys):
    found = build(tmp_path, strategy="ddp_find_unused_parameters_true", devices=2).strategy
    assert type(found) is DDPStrategy


def devices(run, tmp_path, capsys):
    found = build(tmp_path, devices=2)
    assert found.world_size == 2
    assert isinstance(found.strategy, TurnStrategy)


def num_nodes(run, tmp_path, capsys):
    assert build(tmp_path, devices=2, num_nodes=3).world_size == 6


def precision(run, tmp_path, capsys):
    assert run(precision="bf16-mixed", max_steps=1)[1].autocast


def fast_dev_run(run, tmp_path, capsys):
    assert run(fast_dev_run=2)[0].global_step == 2
    assert not (tmp_path / "run/metrics.csv").exists(), "it logs nothing"


def max_epochs(run, tmp_path, capsys):
    assert run(max_epochs=2)[0].global_step == 2 * (288 // 16)


def min_epochs(run, tmp_path, capsys):
    assert run(stops=True, min_epochs=2, limit_train_batches=3)[0].global_step == 6


def max_steps(run, tmp_path, capsys):
    assert run(max_steps=3)[0].global_step == 3


def min_steps(run, tmp_path, capsys):
    trainer, _ = run(stops=True, min_steps=20)
    assert trainer.global_step == 20, "and one epoch at least, which is Lightning's rule"


def max_time(run, tmp_path, capsys):
    assert run(max_time="00:00:00:00")[0].global_step == 0


def limit_train_batches(run, tmp_path, capsys):
    assert run(limit_train_batches=3, max_epochs=1)[0].global_step == 3


def overfit_batches(run, tmp_path, capsys):
    trainer, watch = run(overfit_batches=2, max_epochs=4)
    assert trainer.global_step == 8
    assert set.union(*watch.seen) == set(range(32))


def log_every_n_steps(run, tmp_path, capsys):
    run(log_every_n_steps=2, max_steps=5)
    assert logged_steps(tmp_path) == [2, 4]


def enable_model_summary(run, tmp_path, capsys):
    run(enable_model_summary=True, max_steps=1)
    assert "Trainable params" in capsys.readouterr().out


def deterministic(run, tmp_path, capsys):
    try:
        assert run(deterministic=True, max_steps=1)[1].deterministic
    finally:
        torch.use_deterministic_algorithms(False)


def benchmark(run, tmp_path, capsys):
    before = torch.backends.cudnn.benchmark
    try:
        assert run(benchmark=not before, max_steps=1)[1].benchmark is not before
    finally:
        torch.backends.cudnn.benchmark = before


def profiler(run, tmp_path, capsys):
    run(profiler="simple", max_steps=1)
    (report,) = (tmp_path / "run").glob("*profile*.txt")
    assert "run_training_batch" in report.read_text()


def detect_anomaly(run, tmp_path, capsys):
    assert run(detect_anomaly=True, max_steps=1)[1].anomaly


def sync_batchnorm(run, tmp_path, capsys):
    with pytest.raises(UserError, match="sync_batchnorm=true needs GPUs"):
        build(tmp_path, sync_batchnorm=True, devices=2)
    assert build(tmp_path, sync_batchnorm=True).world_size == 1, "there is nothing to do"


def reload_dataloaders_every_n_epochs(run, tmp_path, capsys):
    watch = run(reload_dataloaders_every_n_epochs=1, limit_train_batches=1, max_epochs=2)[1]
    assert watch.loaders[0] is not watch.loaders[1]


HONOURED = [
    accelerator, strategy, devices, num_nodes, precision, fast_dev_run, max_epochs, min_epochs,
    max_steps, min_steps, max_time, limit_train_batches, overfit_batches, log_every_n_steps,
    enable_model_summary, deterministic, benchmark, profiler, detect_anomaly, sync_batchnorm,
    reload_dataloaders_every_n_epochs,
]  # fmt: skip

# The value to be refused, and what the message must name.
REFUSED = {
    "accumulate_grad_batches": (2, "model.accumulate=2"),
    "gradient_clip_val": (1.0, "model.gradient_clip=1.0"),
    "gradient_clip_algorithm": ("value", "model.gradient_clip=VALUE"),
    "callbacks": ("x", "callbacks=NAME"),
    "logger": (False, "logger=NAME"),
    "default_root_dir": ("here", "folder=here"),
    "enable_checkpointing": (False, "~callbacks.checkpoint"),
    "enable_progress_bar": (False, "~callbacks.progress"),
    "enable_autolog_hparams": (True, "all settings already"),
    "barebones": (True, "benchmarks/train.py"),
    "plugins": (["x"], "a Trainer of your own"),
    "model_registry": ("x", "zoo.export"),
    "limit_test_batches": (2, "zoo.evaluate"),
    "limit_predict_batches": (2, "zoo.sample"),
    "inference_mode": (False, "zoo.evaluate"),
    "use_distributed_sampler": (False, "share their samples"),
}
OF_VALIDATION = {
    "limit_val_batches": 2,
    "num_sanity_val_steps": 2,
    "val_check_interval": 4,
    "check_val_every_n_epoch": 2,
}


def test_every_argument_is_decided_here():
    """A new argument of Lightning's fails this: prove that it is honoured, or refuse it."""
    decided = [*(proof.__name__ for proof in HONOURED), *REFUSED, *OF_VALIDATION]
    assert sorted(decided) == sorted(PARAMETERS)


@pytest.mark.parametrize("proof", HONOURED)
def test_it_is_honoured(proof, run, tmp_path, capsys):
    proof(run, tmp_path, capsys)


@pytest.mark.parametrize("name", [*REFUSED, *OF_VALIDATION])
def test_refused_arguments_name_a_replacement(name, run, tmp_path):
    value, way_out = REFUSED.get(name) or (OF_VALIDATION[name], "callbacks.metrics.every")
    with pytest.raises(UserError, match=f"trainer.{name}") as error:
        run(max_steps=1, **{name: value})
    assert way_out in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "validated"),
    [
        ({}, 2 * 2),  # epochs of two batches each
        ({"limit_val_batches": 1}, 2),
        ({"num_sanity_val_steps": 1}, 1 + 2 * 2),
        ({"val_check_interval": 9}, 2 * 2 * 2),
        ({"check_val_every_n_epoch": 2}, 2),
    ],
)
def test_a_users_validation_step_runs(given, validated, run, monkeypatch):
    batches = []
    monkeypatch.setattr(
        GAN, "validation_step", lambda self, batch, index: batches.append(index), raising=False
    )
    run(max_epochs=2, **given)
    assert len(batches) == validated


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, DEFAULT_MAX_STEPS),
        ({"max_steps": None}, DEFAULT_MAX_STEPS),
        ({"max_steps": 7, "max_epochs": 3}, 7),
        ({"max_steps": None, "max_epochs": 3}, -1),
        ({"max_time": "00:00:00:05"}, -1),
        ({"max_epochs": -1}, DEFAULT_MAX_STEPS),
        ({"max_steps": -1}, -1),
    ],
)
def test_the_default_limit_is_that_of_a_run_without_one(given, expected):
    assert check_arguments(given)["max_steps"] == expected


@pytest.mark.parametrize("value", [20, 1.5, "20", "00:00:20", {"moments": 3}, {"hours": "x"}])
def test_a_time_in_another_form_is_refused(value):
    with pytest.raises(UserError, match="must be DAYS:HOURS:MINUTES:SECONDS"):
        check_arguments({"max_time": value})


@pytest.mark.parametrize("value", ["00:00:00:20", {"minutes": 5}])
def test_the_forms_of_a_time(value):
    assert check_arguments({"max_time": value})["max_time"] == value


def test_a_share_of_the_batches_cannot_be_overfitted(run):
    with pytest.raises(UserError, match=r"overfit_batches=0.5 must be a number of batches"):
        run(overfit_batches=0.5, max_steps=3)


def test_a_cadence_below_zero_is_refused():
    with pytest.raises(UserError, match="log_every_n_steps=-1 must be at least 0"):
        check_arguments({"log_every_n_steps": -1})
