"""Closed forms of the shared objectives."""

import pytest
import torch
from torch import nn

from zoo.losses import (
    gradient_norms,
    gradient_penalty,
    hinge_discriminator_loss,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)


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


# The gradient penalty and the hinge.


class Linear(nn.Module):
    """x -> c <w, x> with |w| = 1: a critic whose gradient has norm c everywhere."""

    def __init__(self, c, size=4):
        super().__init__()
        direction = torch.randn(size * size, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(c * direction / direction.norm())

    def forward(self, images):
        return images.flatten(1) @ self.weight


def images(count, size=4, seed=1):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("c", [0.0, 0.5, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_does_not_depend_on_the_batch(c, batch):
    penalty = gradient_penalty(Linear(c), images(batch), images(batch, seed=2))
    torch.testing.assert_close(penalty, torch.tensor((c - 1) ** 2))


def test_the_penalty_pulls_the_weight_of_a_linear_critic_to_norm_one():
    critic = Linear(3.0)
    gradient_penalty(critic, images(4), images(4, seed=2)).backward()
    norm = critic.weight.norm()
    torch.testing.assert_close(critic.weight.grad, 2 * (norm - 1) * critic.weight / norm)


def test_the_target_of_the_penalty():
    penalty = gradient_penalty(Linear(3.0), images(4), images(4, seed=2), target=0.0)
    assert penalty.item() == pytest.approx(9.0, rel=1e-5)


def test_the_penalty_of_a_quadratic_critic_is_that_of_the_interpolates():
    """D(x) = ‖x‖² / 2 has the gradient x; a constant added to it changes nothing."""
    seen = []

    def critic(x):
        seen.append(x)
        return x.square().flatten(1).sum(dim=1) / 2 + 7

    penalty = gradient_penalty(critic, images(8), images(8, seed=2))
    expected = (seen[0].flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(penalty, expected)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 2), (2, 1, 1)])
def test_interpolates_have_one_epsilon_for_each_pair(shape):
    """From images of zeros to images of ones, an interpolate is epsilon everywhere."""
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(dim=1)

    gradient_penalty(critic, torch.ones(64, *shape), torch.zeros(64, *shape))
    epsilon = seen[0].flatten(1)
    assert torch.equal(epsilon, epsilon[:, :1].expand_as(epsilon))
    assert len(epsilon[:, 0].unique()) == 64
    assert 0 <= epsilon.min() < 0.2 < 0.8 < epsilon.max() <= 1


def test_the_penalty_of_a_flat_critic_has_a_gradient():
    critic = Linear(0.0)
    penalty = gradient_penalty(critic, images(4), images(4, seed=2))
    penalty.backward()
    assert penalty.item() == 1.0
    assert critic.weight.grad.isfinite().all()


def test_the_penalty_is_float32_under_autocast():
    """bfloat16 would round the norm of 1.001 to 1, and its penalty to 0."""
    critic = Linear(1.001)
    with torch.autocast("cpu", torch.bfloat16):
        linear = nn.functional.linear(images(4).flatten(1), critic.weight[None])
        assert linear.dtype == torch.bfloat16, "autocast is on"
        penalty = gradient_penalty(critic, images(4), images(4, seed=2).bfloat16())
        norms = gradient_norms(critic, images(4).bfloat16())
    assert (penalty.dtype, norms.dtype) == (torch.float32, torch.float32)
    assert penalty.item() == pytest.approx(1e-6, rel=1e-3)
    torch.testing.assert_close(norms, torch.full((4,), 1.001))


def test_the_penalty_of_half_precision_weights_is_float32():
    """512 squared gradients of 200 overflow float16."""
    critic = Linear(200 * 512**0.5).half()
    norms = gradient_norms(lambda x: critic(x.half()).float(), images(4).half())
    assert norms.dtype == torch.float32
    assert norms.tolist() == pytest.approx([200 * 512**0.5] * 4, rel=1e-2)


def test_gradient_norms_are_those_of_each_image():
    norms = gradient_norms(lambda x: x.square().flatten(1).sum(dim=1) / 2, images(4))
    torch.testing.assert_close(norms, images(4).flatten(1).norm(dim=1))


@pytest.mark.parametrize(
    ("score", "real", "fake"),
    [(-2.0, 3.0, 0.0), (-1.0, 2.0, 0.0), (0.0, 1.0, 1.0), (1.0, 0.0, 2.0), (2.0, 0.0, 3.0)],
)
def test_hinge_values(score, real, fake):
    """Both at one score, then each by itself: the other at the margin, where it costs nothing."""
    scores = torch.full((4,), score)
    assert hinge_discriminator_loss(scores, scores).item() == real + fake
    assert hinge_discriminator_loss(scores, torch.full((4,), -1.0)).item() == real
    assert hinge_discriminator_loss(torch.full((4,), 1.0), scores).item() == fake


def test_the_best_hinge_loss_is_twice_one_minus_the_total_variation():
    """Over D on five points: p(x) max(0, 1 - D) + q(x) max(0, 1 + D) is least at D = ±1."""
    generator = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 5, generator=generator, dtype=torch.float64).softmax(dim=1)
    variation = (p - q).abs().sum() / 2
    grid = torch.linspace(-2, 2, 401, dtype=torch.float64)

    def loss(scores):  # (5,): the expectations over p and q, as means of weighted points
        one = [hinge_discriminator_loss(s[None], torch.full((1,), -1.0)) for s in scores]
        two = [hinge_discriminator_loss(torch.full((1,), 1.0), s[None]) for s in scores]
        return (p * torch.stack(one) + q * torch.stack(two)).sum()

    torch.testing.assert_close(loss((p - q).sign()), 2 * (1 - variation))
    values = torch.stack([loss(value.expand(5)) for value in grid])
    assert values.min() >= loss((p - q).sign())
    for point in range(5):
        moved = (p - q).sign()
        moved = [torch.where(torch.arange(5) == point, value, moved) for value in grid]
        assert min(loss(scores).item() for scores in moved) >= loss((p - q).sign()) - 1e-12
