"""Radford et al. 2015: the settings of section 4, and that they learn."""

import pytest
import torch
from torch import nn

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.dcgan import DCGAN


def small(**parameters):
    return DCGAN(**{"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 4} | parameters)


def count(player, kind):
    return sum(isinstance(module, kind) for module in player)


def test_the_defaults_are_the_papers():
    model = DCGAN()
    expected = {"lr": 2e-4, "beta1": 0.5, "latent_dim": 100, "width": 64, "image_size": 64}
    assert {name: model.hparams[name] for name in expected} == expected
    assert sum(p.numel() for p in model.parameters()) == 3_576_704 + 2_765_568
    for optimizer in model.configure_optimizers():
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.defaults["betas"] == (0.5, 0.999)
        assert optimizer.defaults["lr"] == 2e-4


def test_batch_norm_is_in_both_players():
    model = DCGAN()
    assert count(model.generator, nn.BatchNorm2d) == 4
    assert count(model.discriminator, nn.BatchNorm2d) == 3


def test_real_and_generated_images_have_separate_batch_statistics():
    """As in the authors' code: what is generated does not change the logits of real images."""
    model, logits = small(image_size=16), []
    model.discriminator.register_forward_hook(lambda module, images, out: logits.append(out))
    real = torch.rand(4, 1, 16, 16)
    model.discriminator_loss({"image": real})
    assert torch.equal(logits[0], model.discriminator(real))


def test_the_generator_is_scored_by_the_discriminator_as_it_is_after_its_step(tmp_path):
    """The authors' Torch code takes the logits from before the step (and the gradient after)."""

    class Watched(DCGAN):
        def discriminate(self, images, batch):
            self.weight = self.discriminator[0].weight.detach().clone()
            return super().discriminate(images, batch)

        def generator_loss(self, batch):
            before = self.weight
            loss = super().generator_loss(batch)
            assert not torch.equal(self.weight, before)
            return loss

    kit.fit(Watched(image_size=8, image_channels=1, latent_dim=4, width=4), tmp_path, max_steps=3)


def test_it_learns_real_digits(tmp_path):
    """Seconds of training bring the distance to the digits to a quarter of the untrained one."""
    torch.manual_seed(0)
    model = small(width=16, latent_dim=16, lr=4e-3)
    kit.fit(model, tmp_path, 300, Digits(), callbacks=[EMA(decay=0.95), Metrics(0, 1000)])
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 4


@pytest.mark.parametrize("discriminator_steps", [1, 2])
def test_reused_samples_have_the_losses_of_new_samples_with_the_same_latents(
    tmp_path, discriminator_steps
):
    """The generator changes only in its own step, so the second forward pass gives the same."""
    latent, runs = torch.randn(4, 4), []
    for reuse_samples in (False, True):
        torch.manual_seed(0)
        model = small(reuse_samples=reuse_samples, discriminator_steps=discriminator_steps)
        model.prior = lambda count: latent
        calls = []
        model.generator.register_forward_hook(lambda *call, calls=calls: calls.append(call))
        kit.fit(model, tmp_path / str(reuse_samples), 4, Digits(batch_size=4))
        runs.append((model.last_losses, len(calls)))
    (new, calls), (reused, fewer_calls) = runs
    assert calls - fewer_calls == 4 // discriminator_steps
    assert reused.keys() == new.keys()
    for name, loss in new.items():
        torch.testing.assert_close(reused[name], loss)
