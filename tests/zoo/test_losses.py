"""Closed forms of the shared objectives."""

import torch

from zoo.losses import wasserstein_critic_loss, wasserstein_generator_loss


def test_wasserstein_losses_by_hand():
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 0.0])
    assert wasserstein_critic_loss(real, fake).item() == 0.5
    assert wasserstein_generator_loss(fake).item() == -2.0


def test_the_best_linear_critic_measures_the_translation():
    # A cloud moved by t is at W1 = |t|, attained by the 1-Lipschitz critic x -> <t / |t|, x>.
    cloud = torch.randn(100, 2, dtype=torch.float64)
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    critic = shift / shift.norm()
    loss = wasserstein_critic_loss((cloud + shift) @ critic, cloud @ critic)
    torch.testing.assert_close(-loss, shift.norm())
