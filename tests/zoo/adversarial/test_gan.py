"""Algorithm 1 of Goodfellow et al. 2014, and the knobs that the descendants share."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.gan import GAN


class Watched(GAN):
    """Notes the turns, the noise of each, and the images of the discriminator's."""

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self.turns, self.noise, self.seen = [], [], []

    def prior(self, count):
        self.noise.append(super().prior(count))
        return self.noise[-1]

    def discriminator_loss(self, batch):
        self.turns.append(("discriminator", self.trainer.global_step))
        self.seen.append(batch["image"].clone())
        return super().discriminator_loss(batch)

    def generator_loss(self, batch):
        self.turns.append(("generator", self.trainer.global_step))
        return super().generator_loss(batch)


def small(cls=GAN, **parameters):
    return cls(**{"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 8} | parameters)


def gradients(player):
    return [parameter.grad for parameter in player.parameters()]


def linear_players(model, weight):
    """A discriminator that is a sum times `weight`, a generator whose every pixel is -1."""
    model.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False), nn.Flatten(0))
    nn.init.constant_(model.discriminator[1].weight, weight)
    model.generator = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))
    nn.init.zeros_(model.generator[0].weight)
    nn.init.constant_(model.generator[0].bias, -1.0)
    return model


def test_the_discriminator_is_updated_first_and_the_generator_after_every_third(tmp_path):
    model = small(Watched, discriminator_steps=3)
    kit.fit(model, tmp_path, max_steps=7, data=kit.Toy(count=16))  # 4 batches an epoch
    expected = [("discriminator", batch) for batch in range(1, 8)]
    expected.insert(3, ("generator", 3))
    expected.insert(7, ("generator", 6))
    assert model.turns == expected


def test_each_turn_has_separate_noise_and_each_step_separate_data(tmp_path):
    model = small(Watched)
    kit.fit(model, tmp_path, max_steps=4)
    assert len(model.noise) == 8
    assert len({noise.sum().item() for noise in model.noise}) == 8
    assert len({images.sum().item() for images in model.seen}) == 4


def test_the_discriminators_turn_leaves_no_gradient_in_the_generator():
    model = small()
    model.discriminator_loss({"image": torch.rand(4, 1, 8, 8)}).backward()
    assert gradients(model.generator) == [None] * 8
    assert all(gradient.abs().max() > 0 for gradient in gradients(model.discriminator))


def test_real_images_are_scored_before_generated_ones():
    """Callbacks that penalize the discriminator at the data take its first call for them."""
    model, judged = small(), []
    model.discriminator.register_forward_hook(lambda _, images, logit: judged.append(images[0]))
    real = torch.rand(4, 1, 8, 8)
    model.discriminator_loss({"image": real})
    assert torch.equal(judged[0], real)
    assert len(judged) == 2


@pytest.mark.parametrize("saturating", [False, True])
def test_the_players_pull_in_opposite_directions(saturating):
    """The discriminator raises the logit of real images, the generator that of its own."""
    model = linear_players(small(saturating=saturating), weight=0.0)
    batch = {"image": torch.ones(4, 1, 8, 8)}
    model.discriminator_loss(batch).backward()
    # At logit 0: -½ of what is real, and +½ of what is not, which is -1.
    assert torch.allclose(model.discriminator[1].weight.grad, torch.full((1, 64), -1.0))
    nn.init.constant_(model.discriminator[1].weight, 2**-20)
    model.generator_loss(batch).backward()
    assert torch.allclose(model.generator[0].bias.grad * 2**20, torch.full((64,), -0.5), rtol=1e-3)


@pytest.mark.parametrize(("saturating", "gradient"), [(False, -1.0), (True, 0.0)])
def test_only_the_saturating_loss_dies_where_the_discriminator_is_sure(saturating, gradient):
    model = linear_players(small(saturating=saturating), weight=1.0)  # logits of -64
    model.generator_loss({"image": torch.ones(4, 1, 8, 8)}).backward()
    torch.testing.assert_close(model.generator[0].bias.grad, torch.full((64,), gradient))


def test_label_smoothing_reaches_real_images_alone():
    model = linear_players(small(label_smoothing=0.25), weight=0.01)  # logits 0.64 and -0.64
    loss = model.discriminator_loss({"image": torch.ones(4, 1, 8, 8)})
    logit = torch.tensor(0.64)
    real = 0.75 * softplus(-logit) + 0.25 * softplus(logit)
    torch.testing.assert_close(loss, real + softplus(-logit))


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ({}, [0.25, 0.25]),
        ({"discriminator_lr": 1.0}, [1.0, 0.25]),
        ({"discriminator_lr": 0.0}, None),
    ],
)
def test_the_players_rates_may_differ(given, rates):
    model = small(lr=0.25, **given)
    optimizers = model.configure_optimizers()
    assert [optimizer.defaults["lr"] for optimizer in optimizers] == (rates or [0.0, 0.25])
    players = model.discriminator, model.generator
    for optimizer, player in zip(optimizers, players, strict=True):
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.defaults["betas"] == (0.5, 0.999)
        assert optimizer.param_groups[0]["params"] == list(player.parameters())


@pytest.mark.parametrize("network", ["mlp", "dcgan"])
def test_spectral_norm_is_a_switch(network):
    def largest(model):
        for _ in range(200):  # a power iteration a pass
            model.discriminator(torch.rand(4, 1, 8, 8))
        layers = [m for m in model.discriminator.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        weights = [layer.weight.flatten(1) for layer in layers]
        return torch.stack([torch.linalg.svdvals(weight)[0] for weight in weights])

    torch.manual_seed(0)
    plain, normalized = (small(network=network, spectral_norm=on) for on in (False, True))
    ones = torch.ones(len(largest(plain)))
    assert (largest(plain) - 1).abs().max() > 0.1
    torch.testing.assert_close(largest(normalized), ones, rtol=0, atol=1e-2)
    assert not any(hasattr(m, "parametrizations") for m in normalized.generator.modules())
    norms = [
        sum(isinstance(m, nn.BatchNorm2d) for m in x.discriminator) for x in (plain, normalized)
    ]
    assert norms == [1 if network == "dcgan" else 0, 0], "a gain would undo the norm"


def test_the_logit_and_the_image_have_the_ranges_that_the_losses_expect():
    model = GAN()
    assert not any(isinstance(m, nn.Sigmoid) for m in model.modules())
    assert isinstance(model.generator[-2], nn.Tanh)


def test_it_learns_real_digits(tmp_path):
    """Seconds of training bring the distance to the digits to a quarter of the untrained one."""
    torch.manual_seed(0)
    model, data = small(width=128, latent_dim=16, lr=4e-3), Digits(batch_size=32)
    kit.fit(model, tmp_path, 700, data, callbacks=[EMA(decay=0.97), Metrics(0, 1000)])
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 4
