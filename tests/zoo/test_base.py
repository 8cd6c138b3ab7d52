"""The contract itself, on toy models whose numbers are known."""

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from callbacks.ema import EMA
from tests import kit
from zoo.base import GenerativeModule
from zoo.config.errors import Diverged, UserError
from zoo.engine.stepping import optimizer_of
from zoo.engine.weight_averages import Averages


class Scalars(GenerativeModule):
    """`players` scalars, of which player p moves each (p + 1)-th batch; the loss is the scalar."""

    def __init__(self, players: int = 2, lr: float = 1.0, decay: bool = False, **shared):
        super().__init__(**shared)
        self.players = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(players))
        for player in self.players:
            nn.init.zeros_(player.weight)
        self.rates, self.turns = [], []

    def training_step(self, batch, batch_idx):
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        for position, optimizer in enumerate(optimizers):
            if self.every(position + 1):
                self.turns.append((self.trainer.global_step, position))
                self.rates.append(optimizer.param_groups[0]["lr"])
                with self.turn(optimizer):
                    self.manual_backward(self.loss(self.players[position], batch))

    def sample(self, count, condition=None):
        return torch.zeros(count, 1, 8, 8)

    def loss(self, player, batch):
        return player.weight.sum() * batch["image"].mean()

    def configure_optimizers(self):
        optimizers = [torch.optim.SGD(p.parameters(), lr=self.hparams.lr) for p in self.players]
        if not self.hparams.decay:
            return optimizers
        decays = [torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 - t / 10) for o in optimizers]
        return optimizers, decays


class Noisy(Scalars):
    """Notes the noise of each batch."""

    def __init__(self):
        super().__init__(1)
        self.noise = []

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        self.noise.append(torch.randn(()).item())
        self.log_losses(loss=self.players[0].weight.sum())
        self.log_results({"fid_toy": 1.0})


def test_a_second_training_begins_as_the_first(tmp_path):
    """Its noise is that of its own seed; results, averages and terms of the first are gone."""
    model, fresh = Noisy(), Noisy()
    averaging = [EMA(players=("players",))]
    kit.fit(model, tmp_path, 4, callbacks=averaging, log_every_n_steps=1)
    assert model.averages
    model.extra_losses[None] = [lambda: 0.0]  # as after a run that was killed
    model.noise.clear()
    kit.fit(model, tmp_path, 2, seed=1, log_every_n_steps=4)
    kit.fit(fresh, tmp_path, 2, seed=1)
    assert model.noise == fresh.noise
    assert model.results == {"val/fid_toy": {1: 1.0, 2: 1.0}}
    assert not model.losses
    assert not model.averages
    assert not model.extra_losses


def test_training_after_the_evaluation_of_a_checkpoint_forgets_its_averages(tmp_path):
    averaging = [EMA(decay=0.5, players=("players",))]
    run = kit.fit(Noisy(), tmp_path, 4, callbacks=averaging)
    run.save_checkpoint(tmp_path / "c.ckpt")
    model, data = Noisy(), kit.Toy(val_count=4)
    evaluator = kit.trainer(tmp_path, 4, [Measuring()], limit_val_batches=1.0)
    evaluator.validate(model, data, ckpt_path=tmp_path / "c.ckpt", verbose=False)
    assert model.averages
    kit.fit(model, tmp_path, 1)
    assert not model.averages


def test_a_resumed_training_keeps_the_seed_results_and_averages(tmp_path):
    def averaging():
        return [EMA(decay=0.5, players=("players",))]

    first, straight = Noisy(), Noisy()
    run = kit.fit(first, tmp_path, 2, seed=3, callbacks=averaging())
    run.save_checkpoint(tmp_path / "c.ckpt")
    kit.fit(straight, tmp_path, 4, seed=3, callbacks=averaging())
    first.noise.clear()
    kit.fit(first, tmp_path, 4, checkpoint=tmp_path / "c.ckpt", callbacks=averaging())
    assert first.noise == straight.noise[2:]
    assert first.results == straight.results
    kit.assert_same(*(kit.weights(model.averages["players"]) for model in (first, straight)))


class Measuring(Callback):
    measures = True


@pytest.mark.parametrize("players", [1, 2, 3])
def test_one_clock(players, tmp_path):
    """global_step, max_steps and checkpoints count batches; cadence survives short epochs."""
    model = Scalars(players)
    run = kit.fit(model, tmp_path, 7, kit.Toy(count=8))  # 2 batches an epoch
    assert run.global_step == 7
    for position in range(players):
        moves = [batch for batch, player in model.turns if player == position]
        assert moves == list(range(position + 1, 8, position + 1))


def test_the_clock_survives_a_resume(tmp_path):
    first = kit.fit(Scalars(2), tmp_path, 5)
    first.save_checkpoint(tmp_path / "c.ckpt")
    model = Scalars(2)
    kit.fit(model, tmp_path, 8, checkpoint=tmp_path / "c.ckpt")
    assert model.turns == [(6, 0), (6, 1), (7, 0), (8, 0), (8, 1)]


def test_the_rate_of_a_player_follows_its_own_steps(tmp_path):
    model = Scalars(2, decay=True)
    kit.fit(model, tmp_path, 6)
    of = {0: [], 1: []}
    for (_, player), rate in zip(model.turns, model.rates, strict=True):
        of[player].append(rate)
    assert of[0] == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5])
    assert of[1] == pytest.approx([1, 0.9, 0.8])


def test_schedules_that_need_a_metric_are_refused(tmp_path):
    class Plateau(Scalars):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "monitor": "loss"},
            }

    with pytest.raises(MisconfigurationException, match="ReduceLROnPlateau"):
        kit.fit(Plateau(), tmp_path, 1)


def test_gradient_clip_bounds_the_norm_of_a_players_gradient(tmp_path):
    class Steep(Scalars):
        def loss(self, player, batch):
            return 100 * player.weight.sum()

    free, clipped = Steep(1), Steep(1, gradient_clip=0.5)
    for model in (free, clipped):
        kit.fit(model, tmp_path, 2)
    assert free.players[0].weight.item() == -200
    assert clipped.players[0].weight.item() == pytest.approx(-1.0, abs=1e-5)


def test_accumulated_micro_batches_equal_one_big_batch(tmp_path, monkeypatch):
    """Four batches of 4 accumulated, and one of 16: the same samples, the same step."""
    monkeypatch.setattr("zoo.engine.loader.keyed_permutation", lambda n, *key: torch.arange(n))
    many, one = Scalars(1, accumulate=4), Scalars(1)
    kit.fit(many, tmp_path, 8, kit.Toy(batch_size=4))
    kit.fit(one, tmp_path, 2, kit.Toy(batch_size=16))
    assert many.players[0].weight.item() == pytest.approx(one.players[0].weight.item(), abs=1e-7)


def test_accumulation_of_nothing_is_refused():
    with pytest.raises(ValueError, match="accumulate=0"):
        Scalars(accumulate=0)


def test_cadence_counts_groups_of_accumulated_batches(tmp_path):
    model = Scalars(2, accumulate=2)
    kit.fit(model, tmp_path, 8)
    second = [batch for batch, player in model.turns if player == 1]
    assert second == [3, 4, 7, 8], "the second player accumulates over whole groups"


def test_noise_depends_only_on_the_batch(tmp_path):
    class Drawing(Scalars):
        greedy = False

        def training_step(self, batch, batch_idx):
            self.drawn = [*getattr(self, "drawn", []), torch.rand(1).item()]
            if self.greedy:
                torch.rand(1000)
            super().training_step(batch, batch_idx)

    one, other, reseeded = Drawing(), Drawing(), Drawing()
    other.greedy = True
    for model, seed in ((one, 0), (other, 0), (reseeded, 1)):
        kit.fit(model, tmp_path, 4, seed=seed)
    assert one.drawn == other.drawn
    assert len({*one.drawn, *reseeded.drawn}) == 8


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(bad, tmp_path):
    class Bad(Scalars):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.log_losses(fine_loss=torch.tensor(1.0), bad_loss=torch.tensor(bad))

    with pytest.raises(Diverged, match=r"bad_loss is .* at batch 3"):
        kit.fit(Bad(), tmp_path, 10, log_every_n_steps=3)


def test_weights_that_are_not_finite_at_the_end_are_an_error(tmp_path):
    with pytest.raises(Diverged, match=r"players\.0\.weight is not finite at batch 2"):
        kit.fit(Scalars(1, lr=1e300), tmp_path, 2)


def test_losses_are_logged_on_the_logging_steps_only(tmp_path):
    from zoo.loggers.csv import CSV

    class Logging(Scalars):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.log_losses(loss=torch.tensor(float(self.trainer.global_step)))

    kit.fit(Logging(), tmp_path, 10, logger=CSV(str(tmp_path)), log_every_n_steps=4)
    rows = (tmp_path / "metrics.csv").read_text().split()
    assert rows == ["step,train/loss", "4,4.0", "8,8.0"]


def test_a_loss_that_was_not_computed_is_not_logged_again(tmp_path):
    from zoo.loggers.csv import CSV

    class Uneven(Scalars):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            number = torch.tensor(float(self.trainer.global_step))
            self.log_losses(always=number, **({"rare": number} if self.every(3) else {}))

    kit.fit(Uneven(), tmp_path, 6, logger=CSV(str(tmp_path)), log_every_n_steps=1)
    rows = (tmp_path / "metrics.csv").read_text().split()[1:]
    assert [row.split(",")[2] for row in rows] == ["", "", "3.0", "", "", "6.0"]


def test_evaluating_leaves_no_trace(tmp_path):
    model = Scalars(2)
    model.players[0].eval()
    trained, model.averages = model.players, Averages({"players": model.players})
    average = model.averages["players"]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with model.evaluating() as evaluated:
        assert evaluated is model
        assert model.players is average
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        torch.rand(5)
    assert model.players is trained
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert torch.equal(state, torch.get_rng_state())


def test_evaluating_restores_after_an_error():
    model = Scalars(1)
    with pytest.raises(KeyError), model.evaluating():
        raise KeyError
    assert model.training
    assert torch.is_grad_enabled()


def test_the_other_players_rest_in_a_turn(tmp_path):
    class Noting(Scalars):
        def loss(self, player, batch):
            free = [p.weight.requires_grad for p in self.players]
            assert free == [p is player for p in self.players]
            return super().loss(player, batch)

    model = Noting(3)
    kit.fit(model, tmp_path, 3)
    assert all(p.requires_grad for p in model.parameters())


def test_a_failed_turn_does_not_step(tmp_path):
    class Failing(Scalars):
        def loss(self, player, batch):
            super().loss(player, batch).backward()
            raise KeyError("mine")

    model = Failing(2)
    with pytest.raises(KeyError, match="mine"):
        kit.fit(model, tmp_path, 1)
    assert model.players[0].weight.item() == 0
    assert all(p.requires_grad for p in model.parameters())


def test_plain_ddp_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(Exception, match=r"zoo.engine.gradient_sync.TurnStrategy") as caught:
        kit.fit(Scalars(), tmp_path, 1, devices=2, strategy="ddp_fork")
    assert MisconfigurationException.__name__ in str(caught.value)


def test_a_checkpoint_holds_nothing_that_must_be_unpickled(tmp_path):
    run = kit.fit(Scalars(), tmp_path, 2)
    run.save_checkpoint(tmp_path / "c.ckpt")
    assert not torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "c.ckpt")
    content = torch.load(tmp_path / "c.ckpt", weights_only=True)["zoo"]
    assert content["seed"] == 0
    assert content["data"]["_target_"] == "tests.kit.Toy"
    assert content["data"]["count"] == 64


def test_terms_are_added_to_the_loss_of_their_player_alone(tmp_path):
    """The loss is w, the term 3w: one player moves by 4 at a rate of 1, the other by 1."""
    model, seen = Scalars(2), []
    model.loss = lambda player, batch: player.weight.sum()
    run = kit.trainer(tmp_path, 2)

    class Adding(Callback):
        def on_train_start(self, trainer, model):
            player = model.players[1]
            optimizer = optimizer_of(model.trainer, player)
            seen.append(optimizer is trainer.optimizers[1])
            model.extra_losses[optimizer] = [lambda: 3 * player.weight.sum()]

    run.callbacks.append(Adding())
    run.fit(model, datamodule=kit.Toy())
    assert seen == [True]
    assert model.players[0].weight.item() == -2  # moves twice
    assert model.players[1].weight.item() == -4  # moves once


def test_a_network_that_no_optimizer_updates_has_none(tmp_path):
    model = Scalars(1)
    kit.fit(model, tmp_path, 1)
    assert optimizer_of(model.trainer, nn.Linear(1, 1)) is None
    assert optimizer_of(model.trainer, nn.Flatten()) is None


def test_terms_are_added_in_their_players_turn_and_notes_logged_with_its_losses(tmp_path):
    class Noting(Scalars):
        def __init__(self, **shared):
            super().__init__(**shared)
            self.told, self.between = [], []

        def on_fit_start(self):
            super().on_fit_start()
            self.extra_losses[self.trainer.optimizers[1]] = [self.term]

        def term(self):
            term = 7 * self.players[1].weight.sum()
            self.log_with_losses(term=term)
            return term

        def loss(self, player, batch):
            return 0 * player.weight.sum()

        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.between.append(self.active_optimizer)
            self.losses.clear()
            self.log_losses(loss=torch.tensor(1.0))
            self.told.append(sorted(self.losses))

    model = Noting()
    kit.fit(model, tmp_path, 4, log_every_n_steps=1)
    assert [player.weight.item() for player in model.players] == [0, -14], "2 steps of -7"
    assert model.between == [None] * 4
    assert model.told == [["loss"], ["loss", "term"]] * 2


def test_a_returned_loss_is_refused_after_the_first_batch(tmp_path):
    class Ordinary(Scalars):
        def training_step(self, batch, batch_idx):
            return self.loss(self.players[0], batch)

    model = Ordinary()
    with pytest.raises(UserError, match=r"Ordinary.* returned a loss.*with self.turn\(optimizer\)"):
        kit.fit(model, tmp_path, 5)
    assert model.trainer.global_step == 1


def test_a_run_that_updates_no_network_is_refused_at_its_end(tmp_path):
    class Idle(Scalars):
        def training_step(self, batch, batch_idx):
            pass

    with pytest.raises(UserError, match="updated no network in 3 batches"):
        kit.fit(Idle(), tmp_path, 3)


def test_a_first_turn_may_come_late_and_after_a_resume(tmp_path):
    class Late(Scalars):
        def every(self, count):
            return super().every(3 * count)

    kit.fit(Late(1), tmp_path, 4).save_checkpoint(tmp_path / "c.ckpt")
    model = Late(1)
    kit.fit(model, tmp_path, 5, checkpoint=tmp_path / "c.ckpt")
    assert model.turns == []


def test_a_model_without_sample_is_refused_before_the_first_batch(tmp_path):
    class Silent(Scalars):
        sample = GenerativeModule.sample

    model = Silent()
    with pytest.raises(UserError, match=r"Silent must define sample\(count, condition=None\)"):
        kit.fit(model, tmp_path, 2)
    assert model.trainer.global_step == 0


@pytest.mark.parametrize(("setting", "value"), [("width", "8"), ("lr", "0.1"), ("accumulate", 1.5)])
def test_settings_of_a_wrong_type_are_refused(setting, value):
    with pytest.raises(TypeError, match=rf"model\.{setting}={value!r} is of the wrong type"):
        kit.build("gan", **{setting: value})


def test_an_unknown_parameter_names_the_class_and_the_nearest_one():
    with pytest.raises(TypeError, match=r"no WGAN parameter lrr\. Did you mean lr"):
        kit.build("wgan", lrr=1.0)
    with pytest.raises(TypeError, match=r"no Scalars parameter playrs\. Did you mean players"):
        Scalars(playrs=1)


def test_a_checkpoint_of_another_class_is_refused_with_the_way_out(tmp_path):
    model = kit.build("wgan")
    kit.fit(model, tmp_path, 1).save_checkpoint(tmp_path / "c.ckpt")
    with pytest.raises(TypeError, match=r"no VAE parameter .* of another class: zoo\.load"):
        kit.class_of("zoo.latent.vae.VAE").load_from_checkpoint(tmp_path / "c.ckpt")


def test_a_wrong_type_of_a_data_setting_is_refused():
    with pytest.raises(TypeError, match=r"data\.batch_size='4' .* must be int"):
        kit.Toy(batch_size="4")


@pytest.mark.parametrize(
    ("setting", "value"), [("width", 0), ("latent_dim", 0), ("lr", -1.0), ("gradient_clip", -1.0)]
)
def test_settings_that_no_model_can_have_are_refused(setting, value):
    with pytest.raises(ValueError, match=rf"model\.{setting}={value} must be at least"):
        kit.build("gan", **{setting: value})
