"""The penalty around the data, in closed form."""

import pytest
import torch

from callbacks.dragan import DRAGAN
from tests import kit
from tests.callbacks.players import Game, Linear
from zoo.losses import dragan_penalty


@pytest.mark.parametrize("count", [1, 4])
def test_of_a_linear_discriminator(count):
    """(c |w| - k)² whatever the images and the noise."""
    player = Linear(3.0).double()
    images = torch.randn(count, 1, 8, 8, dtype=torch.float64)
    norm = player.weight.norm().item()
    assert dragan_penalty(player, images, 0.5, 2.0).item() == pytest.approx((norm - 2) ** 2)


def test_the_noise_is_around_each_image():
    """Of D(x) = ½ |x|² the gradient is x + δ: at zeros the norms are those of the noise."""
    torch.manual_seed(0)
    places = []

    def halved(images):
        places.append(images.detach())
        return images.flatten(1).square().sum(dim=1) / 2

    real = torch.full((64, 1, 8, 8), 0.3, dtype=torch.float64)
    penalty = dragan_penalty(halved, real, 0.5, 2.0)
    noise = places[0] - real
    assert noise.std().item() == pytest.approx(0.5, abs=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)
    assert not torch.equal(noise[0], noise[1])
    expected = (places[0].flatten(1).norm(dim=1) - 2).square().mean()
    torch.testing.assert_close(penalty, expected)


def test_the_term_adds_the_penaltys_gradient_to_its_players_turn(tmp_path):
    """That of λ (|w| - k)² is 2 λ (|w| - k) w / |w|."""
    models = [Game(), Game()]
    for model, callbacks in zip(models, ([], [DRAGAN(weight=5.0, target=2.0)]), strict=True):
        kit.fit(model, tmp_path, 3, callbacks=callbacks, log_every_n_steps=1)
    weight = models[0].discriminator.weight.detach()
    term = 10 * (weight.norm() - 2) * weight / weight.norm()
    without, with_term = models[0].gradients, models[1].gradients
    for one, other in zip(with_term[0], without[0], strict=True):
        torch.testing.assert_close(one - other, term)
    for one, other in zip(with_term[1], without[1], strict=True):
        assert torch.equal(one, other)
    expected = 5 * (weight.norm().item() - 2) ** 2
    assert models[1].losses["dragan_loss"] == pytest.approx(expected)
