"""Objectives and penalties that models share: pure functions, tensors in, tensor out.

All of them are computed in float32, or in float64 where their arguments are: see zoo/precision.py.
"""

import torch
from torch.nn import functional
from torch.nn.functional import relu, softplus

from zoo.networks.lapgan import pyramid
from zoo.precision import at_least_float32, full_precision, without_autocast

# torch's own, under the same rule.
cross_entropy = full_precision(functional.cross_entropy)
l1_loss = full_precision(functional.l1_loss)
mse_loss = full_precision(functional.mse_loss)

# Players. A logit is log D / (1 - D), (N,); a score is unbounded, (N,).


@full_precision
def gan_discriminator_loss(real_logit, fake_logit, smoothing=0.0):
    """-E log D(x) - E log(1 - D(G(z))), Goodfellow et al. 2014 (arXiv 1406.2661), eq. 1.

    smoothing: one-sided label smoothing (Salimans et al. 2016, arXiv 1606.03498, section 3.4): the
    target of real images is 1 - smoothing, that of the others stays 0.
    """
    real = (1 - smoothing) * softplus(-real_logit) + smoothing * softplus(real_logit)
    return real.mean() + softplus(fake_logit).mean()


@full_precision
def minimax_generator_loss(fake_logit):
    """E log(1 - D(G(z))), Goodfellow et al. 2014, eq. 1: flat where the discriminator is sure."""
    return -softplus(fake_logit).mean()


@full_precision
def nonsaturating_generator_loss(fake_logit):
    """-E log D(G(z)), Goodfellow et al. 2014, section 3."""
    return softplus(-fake_logit).mean()


@full_precision
def least_squares_discriminator_loss(real_score, fake_score, a, b):
    """½ E (D(x) - b)² + ½ E (D(G(z)) - a)², Mao et al. 2017 (arXiv 1611.04076), eq. 2."""
    return ((real_score - b).square().mean() + (fake_score - a).square().mean()) / 2


@full_precision
def least_squares_generator_loss(fake_score, c):
    """½ E (D(G(z)) - c)², Mao et al. 2017, eq. 2."""
    return (fake_score - c).square().mean() / 2


@full_precision
def hinge_discriminator_loss(real_score, fake_score):
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), Miyato et al. 2018 (arXiv 1802.05957), eq. 16.

    The generator's is `wasserstein_generator_loss` (eq. 17).
    """
    return relu(1 - real_score).mean() + relu(1 + fake_score).mean()


@full_precision
def wasserstein_critic_loss(real_score, fake_score):
    """E f(fake) - E f(real): minus the estimate of the Wasserstein-1 distance.

    Arjovsky et al. 2017 (arXiv 1701.07875), eq. 2, as a loss to minimise. Scores: (N,).
    """
    return fake_score.mean() - real_score.mean()


@full_precision
def wasserstein_generator_loss(fake_score):
    """-E f(fake), Arjovsky et al. 2017 (arXiv 1701.07875), Theorem 3. Scores: (N,)."""
    return -fake_score.mean()


# What is made, against what is real: images (N, C, H, W).


@full_precision
def gradient_difference_loss(fake, real, alpha=1.0):
    """Means of ||Y_ij - Y_i-1,j| - |Y^_ij - Y^_i-1,j||^alpha along columns, and along rows.

    Mathieu et al. 2015 (arXiv 1511.05440), eq. 9, as means. It is blind to signs: of x and -x it
    is 0.
    """
    return sum(
        (real.diff(dim=dim).abs() - fake.diff(dim=dim).abs()).abs().pow(alpha).mean()
        for dim in (2, 3)
    )


@full_precision
def laplacian_loss(fake, real, levels):
    """Lap1, Σ_j 2^2j ‖L^j(x) - L^j(x')‖_1, (N,), over the sub-pixels of an image.

    Bojanowski et al. 2018 (arXiv 1707.05776), section 3. L^j has 2^2j times fewer pixels than the
    image: each level counts by its mean. levels: or as many as the image can be halved.
    """
    while real.shape[-1] % 2**levels:
        levels -= 1
    parts = pyramid(fake - real, levels)  # it is linear
    return sum(residual.abs().flatten(1).mean(dim=1) for residual, _ in parts)


# Penalties on the gradient of a critic with respect to images: functions of images (N, C, H, W) to
# scores (N,), each of which depends on its own image alone. Under mixed precision the critic itself
# runs in float32; a critic whose weights are half precision stays so, and the rest is float32.


def gradient_penalty(critic, real, fake, target=1.0):
    """E (‖∇f(x̂)‖₂ - target)², Gulrajani et al. 2017 (arXiv 1704.00028), eq. 3.

    x̂ = εx + (1 - ε)G(z), one ε ~ U[0, 1] for each pair; the norm is over all of an image.
    """
    dtype, real, fake = real.dtype, at_least_float32(real), at_least_float32(fake)
    epsilon = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = epsilon * real + (1 - epsilon) * fake
    return (gradient_norms(critic, between, dtype) - target).square().mean()


def r1_penalty(critic, real):
    """½ E ‖∇f(x)‖₂² at real images, Mescheder et al. 2018 (arXiv 1801.04406), eq. 9 over gamma."""
    return gradient_norms(critic, real).square().mean() / 2


def dragan_penalty(critic, real, std, target=1.0):
    """E (‖∇f(x + δ)‖₂ - target)², δ ~ N(0, std²): Kodali et al. 2017 (arXiv 1705.07215)."""
    dtype, real = real.dtype, at_least_float32(real)
    noise = torch.randn(*real.shape, device=real.device, dtype=real.dtype)
    return (gradient_norms(critic, real + std * noise, dtype) - target).square().mean()


def gradient_norms(critic, images, dtype=None):
    """‖∇f(x)‖₂ (N,) at images (N, C, H, W), differentiable, in float32 or better.

    Where the gradient is zero, so is the gradient of its norm, and not NaN.

    Args:
        critic: a function of images to scores (N,).
        images: where the gradient is taken.
        dtype: that of the images which the critic is usually given; by default that of `images`.
    """
    dtype = dtype or images.dtype
    if torch.is_autocast_enabled(images.device.type):  # its weights are float32
        dtype = torch.promote_types(dtype, torch.float32)
    with without_autocast(images):
        images = at_least_float32(images.detach()).requires_grad_(True)
        scores = at_least_float32(critic(images.to(dtype)))
        (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return torch.linalg.vector_norm(gradients.flatten(1), dim=1)
