"""Averages of players: which buffers they have, in closed form."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from callbacks.ema import EMA
from tests import kit
from zoo.base import GenerativeModule
from zoo.config.errors import UserError
from zoo.engine.conditions import batch_of
from zoo.engine.seeds import reseed
from zoo.engine.weight_averages import BATCH_SIZE, BATCHES, average_of
from zoo.runs.checkpoints import load_model


class Doubling(GenerativeModule):
    """The generator's weight begins at 1 and doubles in each batch; its batch norm is first."""

    def __init__(self, conditional: bool = False, **shared):
        super().__init__(**shared)
        if conditional:
            self.conditions = ("image",)
        self.generator = self.build_generator()
        self.critic = nn.BatchNorm1d(1)

    def build_generator(self):
        scale = nn.Linear(1, 1, bias=False)
        nn.init.ones_(scale.weight)
        return nn.Sequential(scale, nn.Dropout(0.5), nn.BatchNorm1d(1, momentum=0.7))

    def sample(self, count, given=None):
        latent = given["image"].mean((1, 2, 3))[:, None] if given else 3 + torch.randn(count, 1)
        return self.generator(latent)[:, :, None, None]

    def training_step(self, batch, batch_idx):
        optimizer, weight = self.optimizers(), self.generator[0].weight
        self.sample(4)  # the player's own statistics move
        with self.turn(optimizer):
            self.manual_backward((weight * weight.detach()).sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.generator[0].parameters(), lr=1.0, maximize=True)


def draws():
    """The latents that the statistics are estimated from, (B, N)."""
    batches = []
    for index in range(BATCHES):
        reseed(torch.device("cpu"), "batch norm", index)
        batches.append(3 + torch.randn(BATCH_SIZE))
    return torch.stack(batches)


def expected_statistics(weight, latents):
    """The mean and variance of weight * latents, means over the batches."""
    return weight * latents.mean(), weight**2 * latents.var(dim=1).mean()


def averaged_weight():
    """After two batches: of 1, 2 and 4 with the decays 0.1 and 0.1."""
    return 0.9 * 4 + 0.1 * (0.9 * 2 + 0.1 * 1)


def assert_statistics(norm, mean, var):
    torch.testing.assert_close(norm.running_mean[0], mean)
    torch.testing.assert_close(norm.running_var[0], var)


def test_batch_norm_has_the_statistics_of_the_averaged_network(tmp_path):
    """And not those of the player, nor of dropout; the checkpoint and what it loads have them."""
    model = Doubling()
    run = kit.fit(model, tmp_path, 2, callbacks=[EMA(decay=0.1)])
    expected = expected_statistics(averaged_weight(), draws())
    with model.evaluating():
        assert model.generator is model.averages["generator"]
        assert_statistics(model.generator[2], *expected)
        assert model.generator[2].momentum == 0.7
        assert not model.generator[2].training
    assert abs(model.generator[2].running_mean.item() - expected[0].item()) > 0.5
    run.save_checkpoint(tmp_path / "c.ckpt")
    assert_statistics(load_model(tmp_path / "c.ckpt").generator[2], *expected)


def test_a_checkpoint_needs_no_evaluation_before_it(tmp_path):
    model = Doubling()
    run = kit.fit(model, tmp_path, 2, callbacks=[EMA(decay=0.1)])
    run.save_checkpoint(tmp_path / "c.ckpt")
    state = torch.load(tmp_path / "c.ckpt", weights_only=True)["zoo"]["averages"]["generator"]
    mean, _ = expected_statistics(averaged_weight(), draws())
    torch.testing.assert_close(state["2.running_mean"][0], mean)


def test_conditions_are_those_of_training_samples(tmp_path):
    model, data = Doubling(conditional=True), kit.Toy(count=96)
    kit.fit(model, tmp_path, 2, data, callbacks=[EMA(decay=0.1)])
    with model.evaluating():
        norm = model.generator[2]
        latents = torch.stack(
            [
                batch_of(model, data, "train", BATCH_SIZE, start * BATCH_SIZE)["image"]
                for start in range(BATCHES)
            ]
        ).mean((2, 3, 4))
        assert_statistics(norm, *expected_statistics(averaged_weight(), latents))


def test_evaluating_twice_at_a_batch_costs_one_estimation(tmp_path, monkeypatch):
    passes = []
    original = GenerativeModule.batch_norm_pass

    def counted(self, count, training_batch):
        passes.append(self.trainer.global_step)
        original(self, count, training_batch)

    monkeypatch.setattr(GenerativeModule, "batch_norm_pass", counted)
    model = Doubling()
    run = kit.fit(model, tmp_path, 4, callbacks=[EMA(decay=0.1)])
    for _ in range(2):
        with model.evaluating():
            pass
    run.save_checkpoint(tmp_path / "c.ckpt")
    assert passes == [0] * BATCHES + [4] * BATCHES


def test_training_is_the_same_without_averages(tmp_path):
    models = [Doubling(), Doubling()]
    for model, callbacks in zip(models, ([], [EMA(decay=0.1)]), strict=True):
        kit.fit(model, tmp_path, 3, callbacks=callbacks)
    kit.assert_same(*map(kit.weights, models))


def test_players_without_batch_norm_need_no_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(GenerativeModule, "batch_norm_pass", None)
    model = Doubling()
    model.generator = nn.Sequential(
        model.generator[0], nn.BatchNorm1d(1, track_running_stats=False)
    )
    kit.fit(model, tmp_path, 2, callbacks=[EMA()])
    with model.evaluating():
        assert model.generator is model.averages["generator"]


def test_batch_norm_that_no_sample_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not run the batch norm critic"):
        kit.fit(Doubling(), tmp_path, 2, callbacks=[EMA(players=("critic",))])


def test_other_buffers_are_copies_of_the_players(tmp_path):
    """Spectral norm's vectors move in training; estimating statistics leaves them alone."""

    class Normalised(Doubling):
        def build_generator(self):
            scale, layer = nn.Linear(1, 3), spectral_norm(nn.Linear(3, 3))
            return nn.Sequential(scale, layer, nn.BatchNorm1d(3))

        def configure_optimizers(self):
            return torch.optim.SGD(self.generator[0].parameters(), lr=0.1)

    model = Normalised()
    begin = kit.weights(model.generator)
    kit.fit(model, tmp_path, 3, callbacks=[EMA(decay=0.5)])
    vectors = [f"1.parametrizations.weight.0.{name}" for name in ("_u", "_v")]
    with model.evaluating():
        average = kit.weights(model.generator)
    player = kit.weights(model.generator)
    for name in vectors:
        assert torch.equal(average[name], player[name])
    assert not torch.equal(player[vectors[0]], begin[vectors[0]])
    own = [
        dict(network.named_buffers()) for network in (model.generator, model.averages["generator"])
    ]
    assert all(own[0][name] is not own[1][name] for name in own[0])


def test_processes_estimate_the_same_statistics(tmp_path):
    states = []
    for processes in ({}, kit.forked(2)):
        saving = kit.Checkpoint(every=0)
        kit.fit(Doubling(), tmp_path, 2, callbacks=[EMA(decay=0.1), saving], **processes)
        content = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
        states.append(content["zoo"]["averages"]["generator"])
    kit.assert_same(*states)


def test_synchronized_batch_norm_is_the_processs_own_in_an_average():
    player = nn.Sequential(nn.SyncBatchNorm(2))
    average = average_of(player)
    kit.assert_same(kit.weights(player), kit.weights(average))
    assert not isinstance(average[0], nn.SyncBatchNorm)
    assert isinstance(player[0], nn.SyncBatchNorm)
    average.train()(torch.randn(8, 2, 3, 3))  # the synchronized one refuses the CPU in processes
    assert not torch.equal(average[0].running_mean, player[0].running_mean)
    assert not any(p.requires_grad for p in average.parameters())
    assert average[0].weight is not player[0].weight
