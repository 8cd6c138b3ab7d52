"""Mao et al. 2017: the coding a, b, c, and a head that is free to be any number."""

import pytest
import torch
from torch import nn

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.lsgan import LSGAN


def small(**parameters):
    return LSGAN(**{"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 4} | parameters)


def linear_players(model, weight):
    """A discriminator that is a mean times `weight`, a generator whose every pixel is -1."""
    model.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False), nn.Flatten(0))
    nn.init.constant_(model.discriminator[1].weight, weight / 64)
    model.generator = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))
    nn.init.zeros_(model.generator[0].weight)
    nn.init.constant_(model.generator[0].bias, -1.0)
    return model


def test_the_defaults_are_the_0_1_coding():
    model = LSGAN()
    assert (model.hparams.a, model.hparams.b, model.hparams.c) == (0, 1, 1)
    assert (model.hparams.lr, model.hparams.beta1) == (1e-3, 0.5)


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0), (2.0, -3.0, 5.0)])
def test_each_score_has_its_target(a, b, c):
    model = linear_players(small(a=a, b=b, c=c), weight=4.0)  # scores: 4 of real, -4 of generated
    batch = {"image": torch.ones(4, 1, 8, 8)}
    expected = ((4 - b) ** 2 + (-4 - a) ** 2) / 2
    assert model.discriminator_loss(batch).item() == pytest.approx(expected)
    loss = model.generator_loss(batch)
    assert loss.item() == pytest.approx((-4 - c) ** 2 / 2)
    loss.backward()
    slope = torch.full((64,), (-4 - c) * 4 / 64)
    torch.testing.assert_close(model.generator[0].bias.grad, slope)


def test_a_score_on_the_right_side_but_too_far_is_pulled_back():
    """What least squares have over the logistic loss: its gradient there is nearly nought."""
    model = linear_players(small(), weight=-10.0)  # generated images score 10, the target is 1
    model.generator_loss({"image": torch.ones(4, 1, 8, 8)}).backward()
    assert (model.generator[0].bias.grad < -1).all()


def test_the_head_is_unbounded():
    torch.manual_seed(0)
    model = small().eval()
    assert not any(isinstance(m, nn.Sigmoid | nn.Tanh) for m in model.discriminator)
    scores = model.discriminator(1e6 * torch.randn(64, 1, 8, 8))
    assert scores.min() < -2
    assert scores.max() > 2


def test_the_discriminators_turn_leaves_no_gradient_in_the_generator():
    model = small()
    model.discriminator_loss({"image": torch.rand(4, 1, 8, 8)}).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())


def test_it_learns_real_digits(tmp_path):
    """Seconds of training bring the distance to the digits to a quarter of the untrained one."""
    torch.manual_seed(0)
    model = small(width=16, latent_dim=16, lr=4e-3)
    kit.fit(model, tmp_path, 350, Digits(), callbacks=[EMA(decay=0.95), Metrics(0, 1000)])
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 4
