"""Algorithm 1 of Gulrajani et al. 2017: the critic's loss, its architecture, the schedule."""

import pytest
import torch
from torch import nn

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo import fit
from zoo.adversarial.wgan_gp import WGANGP
from zoo.media.images import to_uint8

NETWORKS = ["resnet", "dcgan", "mlp"]


def small(cls=WGANGP, **parameters):
    shape = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 8}
    return cls(**shape | {"network": "mlp"} | parameters)


def linear(c, pixels=64):
    """c <w, x> with |w| = 1."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 1, bias=False), nn.Flatten(0))
    weight = critic[1].weight
    nn.init.constant_(weight, c / pixels**0.5)
    return critic


class Point(nn.Module):
    """A generator of one image, of pixels that are all `value`."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, latent):
        return self.value.expand(len(latent), 1, 8, 8)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_the_critics_loss_with_a_linear_critic(batch):
    """E f(fake) - E f(real) = -c |t| for images t apart along w; the penalty is (c - 1)²."""
    model = small(dequantize=False, penalty_weight=10.0)
    model.critic, model.generator = linear(3.0), Point(-0.5)
    loss = model.critic_loss(torch.full((batch, 1, 8, 8), 0.5))
    distance = 64**0.5  # of two images that are 1 apart in each of 64 pixels
    assert loss.item() == pytest.approx(-3 * distance + 10 * (3 - 1) ** 2, rel=1e-5)


def test_the_best_critic_between_two_points_measures_their_distance():
    """At most t f' - λ (f' - 1)² a unit of the way: f' = 1 + t / 2λ, so f differs by t f'."""
    torch.manual_seed(0)
    model = small(width=32, dequantize=False, penalty_weight=10.0)
    model.generator, real = Point(-0.125), torch.full((64, 1, 8, 8), 0.125)
    distance = 0.25 * 64**0.5
    optimizer = torch.optim.Adam(model.critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    for _ in range(300):
        optimizer.zero_grad()
        model.critic_loss(real).backward()
        optimizer.step()
    with torch.no_grad():
        estimate = (model.critic(real[:1]) - model.critic(-real[:1])).item()
    assert distance == 2
    assert estimate == pytest.approx(distance * (1 + distance / 20), rel=0.04)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_critic_judges_each_image_by_itself(network):
    torch.manual_seed(0)
    critic = small(network=network).critic.train()
    assert not any("BatchNorm" in type(module).__name__ for module in critic.modules())
    images = torch.randn(4, 1, 8, 8)
    other = images.clone()
    other[1] += 1
    before, after = critic(images), critic(other)
    torch.testing.assert_close(after[[0, 2, 3]], before[[0, 2, 3]])
    assert (after[1] - before[1]).abs() > 1e-4


def test_a_critic_with_batch_norm_is_refused():
    class Normed(WGANGP):
        def build_critic(self):
            return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 1), nn.Flatten(0))

    with pytest.raises(ValueError, match="critic has batch norm"):
        small(Normed)


def test_the_critics_turn_leaves_no_gradient_in_the_generator():
    model = small()
    model.critic_loss(torch.rand(4, 1, 8, 8)).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    gradients = [p.grad for name, p in model.critic.named_parameters() if "weight" in name]
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_the_optimizers_are_adam_in_the_order_of_the_updates():
    model = small(critic_lr=0.25, lr=0.5)
    optimizers = model.configure_optimizers()
    players = model.critic, model.generator
    for optimizer, player, lr in zip(optimizers, players, (0.25, 0.5), strict=True):
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.defaults["lr"] == lr
        assert optimizer.defaults["betas"] == (0.0, 0.9)
        assert all(type(beta) is float for beta in optimizer.defaults["betas"])
        moved = {id(p) for p in optimizer.param_groups[0]["params"]}
        assert moved == {id(p) for p in player.parameters()}


def test_beta1_is_a_number_on_the_command_line(tmp_path, monkeypatch):
    """Adam refuses the whole number 0 beside 0.9."""
    arguments = ["model=wgan_gp", "model.beta1=0", "model.network=mlp", "model.width=8"]
    arguments += ["experiment=none", "trainer.max_steps=1", "~callbacks.metrics"]
    monkeypatch.setattr("sys.argv", ["zoo/fit.py", *arguments, f"folder={tmp_path / 'run'}"])
    fit.main()
    assert (tmp_path / "run/summary.json").exists()


def test_the_rates_fall_linearly_and_are_0_after_the_last_batch(tmp_path):
    rates = []

    class Watched(WGANGP):
        def on_before_optimizer_step(self, optimizer):
            super().on_before_optimizer_step(optimizer)
            player = self.optimizers()[0].optimizer is not optimizer
            rates.append((self.trainer.global_step, int(player), optimizer.param_groups[0]["lr"]))

    model = small(Watched, lr=0.5, critic_lr=1.0, critic_steps=5, decay=20)
    run = kit.fit(model, tmp_path, 20, kit.Toy(count=28))
    critic = [rate for _, player, rate in rates if player == 0]
    assert critic == pytest.approx([1 - batch / 20 for batch in range(20)])
    assert [batch for batch, player, _ in rates if player == 1] == [5, 10, 15, 20]
    generator = [rate for _, player, rate in rates if player == 1]
    assert generator == pytest.approx([0.5, 0.375, 0.25, 0.125])
    assert [o.param_groups[0]["lr"] for o in run.optimizers] == [0, 0]


def test_the_decay_counts_batches_also_where_several_make_one_step(tmp_path):
    run = kit.fit(small(decay=20, accumulate=2, critic_steps=2), tmp_path, 20)
    assert [o.param_groups[0]["lr"] for o in run.optimizers] == [0, 0]


def test_without_decay_the_rates_are_constant(tmp_path):
    run = kit.fit(small(lr=0.125), tmp_path, 5)
    assert [o.param_groups[0]["lr"] for o in run.optimizers] == [0.125, 0.125]


@pytest.mark.parametrize("dequantize", [True, False])
def test_the_critic_sees_real_images_spread_over_their_bins(dequantize):
    torch.manual_seed(0)
    model = small(dequantize=dequantize)
    levels = torch.randint(256, (16, 1, 8, 8), dtype=torch.uint8)
    real, seen = levels / 127.5 - 1, []
    model.critic.register_forward_pre_hook(lambda critic, inputs: seen.append(inputs[0].detach()))
    model.critic_loss(real)
    assert torch.equal(to_uint8(seen[0]), levels), "the first that it judges are the real images"
    assert torch.equal(seen[0], real) != dequantize
    assert seen[1].abs().max() <= 1, "generated images are as they are"


def test_the_defaults_are_the_papers():
    model = WGANGP()
    expected = {"lr": 2e-4, "beta1": 0.0, "beta2": 0.9, "penalty_weight": 10.0, "critic_steps": 5}
    expected |= {"latent_dim": 128, "width": 128, "clip": None, "network": "resnet"}
    assert {name: model.hparams[name] for name in expected} == expected


def test_it_learns_real_digits(tmp_path):
    """Seconds of training bring the distance to the digits to a third of the untrained one."""
    torch.manual_seed(0)
    settings = {"network": "dcgan", "width": 8, "latent_dim": 16, "lr": 4e-3, "critic_steps": 2}
    model = small(**settings)
    kit.fit(model, tmp_path, 200, Digits(), callbacks=[EMA(decay=0.95), Metrics(0, 1000)])
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 3
