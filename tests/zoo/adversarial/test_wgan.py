"""Algorithm 1 of Arjovsky et al. 2017: who moves when, on what, and where the weights stay."""

import pytest
import torch
from torch import nn

from tests import kit
from zoo.adversarial.wgan import WGAN


class Watched(WGAN):
    """Notes the batch of every generator step, and what the critic sees."""

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self.moves, self.seen = [], []

    def critic_loss(self, real):
        self.seen.append(real.clone())
        return super().critic_loss(real)

    def generator_loss(self, count):
        self.moves.append(self.trainer.global_step)
        return super().generator_loss(count)


def small(cls=WGAN, **parameters):
    return cls(**{"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 4} | parameters)


def test_the_generator_is_updated_after_every_fifth_critic_step(tmp_path):
    model = small(Watched)
    kit.fit(model, tmp_path, max_steps=23, data=kit.Toy(count=16))  # 4 batches an epoch
    assert model.moves == [5, 10, 15, 20]
    assert len(model.seen) == 23
    assert not torch.equal(model.seen[0], model.seen[1]), "fresh data for each critic step"


def test_the_authors_warm_up(tmp_path):
    """100 critic steps for each of the first 25 generator steps and for the 501st."""
    model = small(Watched, critic_warmup=True)

    def count_only(batch, batch_idx):
        model.had_turn = True
        if model.is_generator_turn():
            model.moves.append(model.trainer.global_step)

    model.training_step = count_only
    kit.fit(model, tmp_path, max_steps=5000)
    after = 2500 + 475 * 5
    expected = [100 * move for move in range(1, 26)]
    expected += [2500 + 5 * move for move in range(1, 476)]
    expected += [after + 100, after + 105, after + 110, after + 115, after + 120, after + 125]
    assert model.moves == expected


def test_every_weight_of_the_critic_is_clipped_after_its_step(tmp_path, monkeypatch):
    model = small(clip=0.003, image_size=16)
    assert max(p.abs().max() for p in model.critic.parameters()) > 0.5, "batch norm's gains too"
    clip, largest = WGAN.clip_critic, []

    def watched(self):
        clip(self)
        largest.append(max(p.abs().max().item() for p in self.critic.parameters()))

    monkeypatch.setattr(WGAN, "clip_critic", watched)
    kit.fit(model, tmp_path, max_steps=6, data=kit.Toy(image_size=16))
    assert len(largest) == 6
    assert largest == pytest.approx([0.003] * 6)


def test_the_critics_turn_leaves_no_gradient_in_the_generator():
    model = small()
    model.critic_loss(torch.rand(4, 1, 8, 8)).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.critic.parameters())


def test_the_players_pull_in_opposite_directions():
    """The critic raises f(real) - f(fake); the generator raises f(fake)."""
    model = small()
    model.critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False), nn.Flatten(0))
    real = torch.ones(4, 1, 8, 8)
    model.generator = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))
    nn.init.zeros_(model.generator[0].weight)
    nn.init.constant_(model.generator[0].bias, -1.0)
    model.critic_loss(real).backward()
    assert torch.allclose(model.critic[1].weight.grad, torch.full((1, 64), -2.0))
    nn.init.ones_(model.critic[1].weight)
    model.generator_loss(4).backward()
    assert torch.allclose(model.generator[0].bias.grad, torch.full((64,), -1.0))


def test_the_optimizers_are_rmsprop_in_the_order_of_the_updates():
    model = small(lr=0.25)
    optimizers = model.configure_optimizers()
    for optimizer, player in zip(optimizers, (model.critic, model.generator), strict=True):
        assert isinstance(optimizer, torch.optim.RMSprop)
        assert optimizer.defaults["lr"] == 0.25
        moved = {id(p) for p in optimizer.param_groups[0]["params"]}
        assert moved == {id(p) for p in player.parameters()}


@pytest.mark.parametrize(("given", "rates"), [({}, [0.5, 0.5]), ({"critic_lr": 0.25}, [0.25, 0.5])])
def test_the_critic_may_have_a_separate_rate(given, rates):
    optimizers = small(lr=0.5, **given).configure_optimizers()
    assert [optimizer.param_groups[0]["lr"] for optimizer in optimizers] == rates


def test_the_defaults_are_the_papers():
    model = WGAN()
    expected = {"lr": 5e-5, "clip": 0.01, "critic_steps": 5, "latent_dim": 100, "width": 64}
    assert {name: model.hparams[name] for name in expected} == expected
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.critic)
    assert norms == 3, "the authors have batch norm in the clipped critic"
    assert not any(isinstance(m, nn.BatchNorm2d) for m in WGAN(critic_norm=False).critic)


def test_it_learns_real_digits(tmp_path):
    """Seconds of training bring the distance to the digits to a third of the untrained one."""
    from callbacks.ema import EMA
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    torch.manual_seed(0)
    model = small(width=16, latent_dim=16, lr=4e-3, critic_norm=False, critic_steps=3)
    kit.fit(model, tmp_path, 320, Digits(), callbacks=[EMA(decay=0.95), Metrics(0, 1000)])
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 3


def test_a_normalized_critic_has_no_batch_norm():
    """Its gain would undo the normalization."""
    critic = small(spectral_norm=True).critic
    assert not any(isinstance(module, nn.BatchNorm2d) for module in critic.modules())
