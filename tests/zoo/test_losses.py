"""Closed forms of the shared objectives."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from zoo import losses
from zoo.losses import (
    dragan_penalty,
    gan_discriminator_loss,
    gradient_difference_loss,
    gradient_norms,
    gradient_penalty,
    hinge_discriminator_loss,
    kl_to_normal,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    matching_loss,
    minimax_generator_loss,
    nonsaturating_generator_loss,
    r1_penalty,
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
    gradient_penalty(critic, torch.ones(64, *shape), torch.ones(64, *shape))
    torch.testing.assert_close(seen[1], torch.ones(64, *shape))  # the weights of a pair add up to 1


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


def test_the_norm_of_float16_gradients_does_not_overflow():
    """The sum of 512 squared gradients of 200 is 312 times the largest float16."""
    weight = torch.full((512,), 200.0, dtype=torch.float16)
    norms = gradient_norms(lambda x: x.flatten(1) @ weight, torch.zeros(3, 2, 16, 16).half())
    assert norms.dtype == torch.float32
    torch.testing.assert_close(norms, torch.full((3,), 200 * 512**0.5))


@pytest.mark.parametrize("penalty", [gradient_penalty, dragan_penalty, r1_penalty])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_penalty_on_half_precision_weights_is_float32(penalty, dtype):
    """Of norm 3 everywhere: but for the weights' own digits nothing is lost."""
    critic = Linear(3.0).to(dtype)
    given = {
        gradient_penalty: [images(8).to(dtype), images(8, seed=2).to(dtype)],
        dragan_penalty: [images(8).to(dtype), 0.25],
        r1_penalty: [images(8).to(dtype)],
    }
    norm = critic.weight.detach().float().norm()
    expected = norm.square() / 2 if penalty is r1_penalty else (norm - 1).square()
    found = penalty(critic, *given[penalty])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.detach(), expected)
    found.backward()
    assert critic.weight.grad.isfinite().all()


def pairs_of_scores():
    """The losses of scores (N,), with their arguments in float64."""
    scores = [torch.randn(512, dtype=torch.float64) * 3 for _ in range(2)]
    numbers = {
        "least_squares_discriminator_loss": [0.0, 1.0],
        "least_squares_generator_loss": [1.0],
        "laplacian_loss": [2],
        "matching_loss": [torch.randn(512, dtype=torch.float64), 0.5],
    }
    maps = [torch.randn(2, 3, 8, 8, dtype=torch.float64) for _ in range(2)]
    for name, loss in vars(losses).items():
        if not name.endswith("_loss") and name != "cross_entropy":
            continue
        given = maps if name in ("gradient_difference_loss", "laplacian_loss") else scores
        if name == "cross_entropy":
            given = [torch.randn(64, 10, dtype=torch.float64), torch.arange(64) % 10]
        if name == "joint_embedding_loss":
            given = [*torch.randn(2, 64, 10, dtype=torch.float64), torch.arange(64) % 10]
        given = given[:1] if "generator" in name else given
        yield pytest.param(loss, [*given, *numbers.get(name, [])], id=name)


@pytest.mark.parametrize(("loss", "given"), list(pairs_of_scores()))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_loss_is_as_exact_as_float32_of_the_same_scores(loss, given, dtype):
    def as_type(dtype):
        tensors = [torch.is_tensor(g) and g.is_floating_point() for g in given]
        return [g.to(dtype) if tensor else g for g, tensor in zip(given, tensors, strict=True)]

    given = as_type(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = loss(*given)
    expected = loss(*as_type(torch.float64))
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


def test_the_penalty_of_half_precision_weights_is_float32():
    """Weights may be cast by the critic itself."""
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


# Two distributions on four points, as counts of 16: expectations are exact means.
COUNTS = {
    "different": ([1, 2, 5, 8], [4, 6, 4, 2]),
    "a little": ([4, 4, 4, 4], [4, 4, 5, 3]),
    "nearly apart": ([13, 1, 1, 1], [1, 1, 1, 13]),
    "equal": ([1, 2, 5, 8], [1, 2, 5, 8]),
}
pairs = pytest.mark.parametrize("name", COUNTS)


def probabilities(name):
    """p of the data, q of the generator, and a function of values at points to samples of each."""
    counts = [torch.tensor(count) for count in COUNTS[name]]
    p, q = (count.double() / 16 for count in counts)
    return p, q, lambda values: [values.repeat_interleave(count) for count in counts]


def divergence(p, q):
    """Kullback and Leibler's, in nats."""
    return (p * (p / q).log()).sum()


@pairs
def test_the_value_at_the_optimal_discriminator_is_twice_jensen_shannon_less_log_4(name):
    """Goodfellow et al. 2014, Theorem 1; with the optimum of Proposition 1."""
    p, q, samples = probabilities(name)
    logit = (p / q).log().requires_grad_()  # D = p / (p + q)
    loss = gan_discriminator_loss(*samples(logit))
    loss.backward()
    torch.testing.assert_close(logit.grad, torch.zeros(4, dtype=torch.float64))
    mixture = (p + q) / 2
    jensen_shannon = (divergence(p, mixture) + divergence(q, mixture)) / 2
    torch.testing.assert_close(-loss.detach(), -math.log(4) + 2 * jensen_shannon)
    assert (-loss.item() == pytest.approx(-math.log(4), abs=1e-9)) == (name == "equal")


@pairs
@pytest.mark.parametrize("smoothing", [0.1, 0.25])
def test_one_sided_smoothing_lowers_the_optimum_where_data_are(name, smoothing):
    """Salimans et al. 2016, section 3.4: D = alpha p / (p + q), and no trace of q on top."""
    p, q, samples = probabilities(name)
    logit = torch.logit((1 - smoothing) * p / (p + q)).requires_grad_()
    gan_discriminator_loss(*samples(logit), smoothing).backward()
    torch.testing.assert_close(logit.grad, torch.zeros(4, dtype=torch.float64))


def test_the_losses_of_the_gan_by_hand():
    real, fake = torch.tensor([math.log(3.0)]), torch.tensor([-math.log(4.0)])  # D = 3/4, 1/5
    expected = -math.log(3 / 4) - math.log(4 / 5)
    assert gan_discriminator_loss(real, fake).item() == pytest.approx(expected)
    smoothed = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4) - math.log(4 / 5)
    assert gan_discriminator_loss(real, fake, 0.1).item() == pytest.approx(smoothed)
    assert minimax_generator_loss(fake).item() == pytest.approx(math.log(4 / 5))
    assert nonsaturating_generator_loss(fake).item() == pytest.approx(-math.log(1 / 5))


def slope(loss, logit, dtype=torch.float32):
    """The derivative of a loss at a logit."""
    logit = torch.tensor([logit], dtype=dtype, requires_grad=True)
    loss(logit).backward()
    return logit.grad.item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_non_saturating_gradient_is_alive_where_the_minimax_one_is_dead(dtype):
    for logit in (-200.0, -1e4):
        assert slope(nonsaturating_generator_loss, logit, dtype) == -1
        assert slope(minimax_generator_loss, logit, dtype) == 0
    assert slope(nonsaturating_generator_loss, 0.0, dtype) == -0.5
    assert slope(minimax_generator_loss, 0.0, dtype) == -0.5
    assert slope(nonsaturating_generator_loss, 1e4, dtype) == 0
    assert slope(minimax_generator_loss, 1e4, dtype) == -1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_losses_of_the_gan_are_finite_at_any_logit(dtype):
    logits = torch.tensor([-1e4, -200, 0, 200, 1e4], dtype=dtype)
    for logit in logits.split(1):
        assert nonsaturating_generator_loss(logit).isfinite()
        assert minimax_generator_loss(logit).isfinite()
        for other in logits.split(1):
            assert gan_discriminator_loss(logit, other, 0.1).isfinite()


def test_the_least_squares_losses_by_hand():
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 0.0])
    loss = least_squares_discriminator_loss(real, fake, a=-1.0, b=2.0)
    assert loss.item() == (1 + 1) / 4 + (1 + 1) / 4
    assert least_squares_generator_loss(fake, c=1.0).item() == (9 + 1) / 4


@pairs
def test_least_squares_descend_pearsons_chi_square(name):
    """Mao et al. 2017, section 3.2: where b - c = 1 and b - a = 2."""
    a, b, c = -1.0, 1.0, 0.0
    p, q, samples = probabilities(name)
    score = ((b * p + a * q) / (p + q)).requires_grad_()
    real, fake = samples(score)
    least_squares_discriminator_loss(real, fake, a, b).backward()
    torch.testing.assert_close(score.grad, torch.zeros(4, dtype=torch.float64))
    # The generator's criterion of the paper has the data's term too, which it cannot change.
    criterion = least_squares_generator_loss(real, c) + least_squares_generator_loss(fake, c)
    pearson = ((2 * q - (p + q)).square() / (p + q)).sum()
    torch.testing.assert_close(2 * criterion.detach(), pearson)
    assert (pearson.item() == pytest.approx(0, abs=1e-9)) == (name == "equal")


@pytest.mark.parametrize("alpha", [1, 2])
def test_gdl_of_images_that_are_not_square_by_hand(alpha):
    """A ramp of slope s along one axis against flat is s^alpha, whichever axis it is."""
    flat = torch.zeros(2, 1, 8, 12)
    along = 0.1 * torch.arange(12.0).expand_as(flat)
    down = 0.1 * torch.arange(8.0)[:, None].expand_as(flat)
    for ramp, expected in ((along, 0.1**alpha), (down, 0.1**alpha), (along + down, 2 * 0.1**alpha)):
        for one, other in ((ramp, flat), (flat, ramp)):
            found = gradient_difference_loss(one, other, alpha).item()
            assert found == pytest.approx(expected, abs=1e-6)


def test_gdl_sees_neither_brightness_nor_signs():
    images = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    assert gradient_difference_loss(images + 0.3, images, 1) == pytest.approx(0, abs=1e-6)
    assert gradient_difference_loss(-images, images, 1) == 0
    assert gradient_difference_loss(images.flip(-1), images, 1) > 0.1


def test_gdl_is_a_mean_over_each_axis():
    """One bright pixel in a corner of 3 x 4: one step of 6 rows' in 9, one of 8 columns' in 8."""
    real = torch.zeros(1, 1, 3, 4)
    fake = real.clone()
    fake[0, 0, 0, 0] = 1
    assert gradient_difference_loss(fake, real, 1).item() == pytest.approx(1 / 8 + 1 / 9)


def test_the_matching_loss_by_hand():
    """softplus(3) is log(1 + e^3); the weight is that of wrong pairs."""
    three, none = torch.full((2,), 3.0), torch.full((2,), -100.0)
    loss = math.log1p(math.exp(3))
    assert matching_loss(-three, none, none, 0.25).item() == pytest.approx(loss)
    assert matching_loss(-none, three, none, 0.25).item() == pytest.approx(0.75 * loss)
    assert matching_loss(-none, none, three, 0.25).item() == pytest.approx(0.25 * loss)


def test_the_kl_divergence_is_that_of_torch():
    mean, logvar = torch.randn(7, 5) * 2, torch.randn(7, 5) * 2
    gaussians = Normal(mean, (logvar / 2).exp()), Normal(torch.zeros(5), torch.ones(5))
    expected = kl_divergence(*gaussians).sum(dim=1).mean()
    assert torch.allclose(kl_to_normal(mean, logvar), expected, rtol=1e-5)


def test_the_kl_divergence_of_the_normal_is_0_and_its_gradient_that_of_the_formula():
    mean, logvar = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)
    assert kl_to_normal(mean, logvar) == 0
    mean = torch.full((1, 1), -2.0, requires_grad=True)
    logvar = torch.full((1, 1), math.log(3.0), requires_grad=True)
    kl_to_normal(mean, logvar).backward()
    assert mean.grad.item() == pytest.approx(-2)  # mu, where the released code has 1
    assert logvar.grad.item() == pytest.approx((3 - 1) / 2)
