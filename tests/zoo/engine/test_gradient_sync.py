"""Many processes by one all-reduce a turn; the exactness is in tests/test_contract.py."""

import pytest
import torch
from pytorch_lightning.strategies import StrategyRegistry
from torch import nn

from tests import kit
from zoo.base import GenerativeModule
from zoo.config.errors import Diverged
from zoo.engine.evaluation import check_finite
from zoo.engine.gradient_sync import TurnStrategy
from zoo.loggers.csv import CSV


class Counting(GenerativeModule):
    """A weight whose gradient is the process's rank + 1, and a batch norm."""

    def __init__(self, **shared):
        super().__init__(**shared)
        self.weight = nn.Parameter(torch.zeros(3))
        self.norm = nn.BatchNorm1d(1)

    def training_step(self, batch, batch_idx):
        with self.turn(self.optimizers()):
            self.norm(batch["image"].flatten()[:, None])
            loss = self.weight.sum() * (self.trainer.global_rank + 1)
            loss.backward()

    def sample(self, count, condition=None):
        return torch.zeros(count, 1, 8, 8)

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], lr=1.0)


def test_it_is_registered():
    assert isinstance(StrategyRegistry.get("turns"), TurnStrategy)


def test_gradients_are_averaged_even_without_manual_backward(tmp_path):
    model = Counting()
    kit.fit(model, tmp_path, 2, **kit.forked(2))
    assert model.weight.tolist() == [-3.0, -3.0, -3.0]  # two steps of (1 + 2) / 2


def test_logged_losses_are_means_over_the_processes(tmp_path):
    class Logging(Counting):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.log_losses(rank=torch.tensor(float(self.trainer.global_rank)))

    logger = CSV(str(tmp_path))
    kit.fit(Logging(), tmp_path, 1, logger=logger, log_every_n_steps=1, **kit.forked(2))
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,train/rank", "1,0.5"]


def test_evaluation_sees_averaged_statistics_and_every_process_the_same_fault(tmp_path):
    class Evaluating(Counting):
        def on_train_end(self):
            self.norm.running_mean.fill_(self.trainer.global_rank)
            with self.evaluating():
                assert self.norm.running_mean.item() == 0.5
            if self.trainer.global_rank == 1:
                self.norm.running_mean.fill_(float("nan"))
            with pytest.raises(Diverged, match="running_mean"):
                check_finite(self)

    kit.fit(Evaluating(), tmp_path, 1, **kit.forked(2))


def test_the_clipped_gradient_is_the_averaged_one(tmp_path):
    model = Counting(gradient_clip=1.0)
    kit.fit(model, tmp_path, 1, **kit.forked(2))
    assert torch.allclose(model.weight, torch.full((3,), -(3**-0.5)))


def test_weights_and_buffers_begin_equal_and_buffers_are_saved_averaged(tmp_path):
    class Diverse(Counting):
        def setup(self, stage):
            with torch.no_grad():
                self.weight += self.trainer.global_rank
                self.norm.running_mean += self.trainer.global_rank

        def on_train_start(self):
            assert self.weight.tolist() == [0, 0, 0]
            assert self.norm.running_mean.item() == 0

        def on_train_end(self):
            self.norm.running_mean.fill_(self.trainer.global_rank)
            self.trainer.save_checkpoint(tmp_path / "c.ckpt")

    kit.fit(Diverse(), tmp_path, 1, **kit.forked(2))
    state = torch.load(tmp_path / "c.ckpt", weights_only=True)["state_dict"]
    assert state["norm.running_mean"].item() == 0.5
