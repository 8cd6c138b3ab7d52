"""Losses and penalties that several models use, as pure functions of tensors.

All of them compute in float32, or in float64 if their arguments are float64. See zoo/precision.py.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import relu, softplus

from zoo.media.laplacian_pyramid import decompose
from zoo.precision import at_least_float32, full_precision, without_autocast

Critic = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> scores (N,)

cross_entropy = full_precision(functional.cross_entropy)
l1_loss = full_precision(functional.l1_loss)
mse_loss = full_precision(functional.mse_loss)

# Losses of generators, discriminators and critics. A logit is log D / (1 - D); a score is any real
# number. Both are (N,), or (N, H', W') for patches.


@full_precision
def gan_discriminator_loss(
    real_logit: Tensor, fake_logit: Tensor, smoothing: float = 0.0
) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), Goodfellow et al. 2014 (arXiv 1406.2661), eq. 1.

    Args:
        real_logit: Logits of real images.
        fake_logit: Logits of generated images.
        smoothing: One-sided label smoothing (Salimans et al. 2016, arXiv 1606.03498, section 3.4):
            the target of real images is 1 - smoothing; that of generated images stays 0.
    """
    real = (1 - smoothing) * softplus(-real_logit) + smoothing * softplus(real_logit)
    return real.mean() + softplus(fake_logit).mean()


@full_precision
def minimax_generator_loss(fake_logit: Tensor) -> Tensor:
    """E log(1 - D(G(z))), Goodfellow et al. 2014, eq. 1.

    Its gradient vanishes for samples that the discriminator rejects with confidence.
    """
    return -softplus(fake_logit).mean()


@full_precision
def nonsaturating_generator_loss(fake_logit: Tensor) -> Tensor:
    """-E log D(G(z)), Goodfellow et al. 2014, section 3."""
    return softplus(-fake_logit).mean()


@full_precision
def matching_loss(
    real_logit: Tensor, fake_logit: Tensor, wrong_logit: Tensor, weight: float
) -> Tensor:
    """-E log s_r - (1 - w) E log(1 - s_f) - w E log(1 - s_w), with the weight w of wrong pairs.

    Reed et al. 2016, Algorithm 1, lines 7 to 10, with w = 1/2. s is the sigmoid of a logit (N,).
    """
    fake = (1 - weight) * softplus(fake_logit).mean() + weight * softplus(wrong_logit).mean()
    return softplus(-real_logit).mean() + fake


@full_precision
def least_squares_discriminator_loss(
    real_score: Tensor, fake_score: Tensor, a: float, b: float
) -> Tensor:
    """½ E (D(x) - b)² + ½ E (D(G(z)) - a)², Mao et al. 2017 (arXiv 1611.04076), eq. 2."""
    return ((real_score - b).square().mean() + (fake_score - a).square().mean()) / 2


@full_precision
def least_squares_generator_loss(fake_score: Tensor, c: float) -> Tensor:
    """½ E (D(G(z)) - c)², Mao et al. 2017, eq. 2."""
    return (fake_score - c).square().mean() / 2


@full_precision
def hinge_discriminator_loss(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), Miyato et al. 2018 (arXiv 1802.05957), eq. 16.

    The generator's loss is `wasserstein_generator_loss` (eq. 17).
    """
    return relu(1 - real_score).mean() + relu(1 + fake_score).mean()


@full_precision
def wasserstein_critic_loss(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """E f(G(z)) - E f(x), the negative of the estimated Wasserstein-1 distance.

    Arjovsky et al. 2017 (arXiv 1701.07875), eq. 2, as a loss to minimize.
    """
    return fake_score.mean() - real_score.mean()


@full_precision
def wasserstein_generator_loss(fake_score: Tensor) -> Tensor:
    """-E f(G(z)), Arjovsky et al. 2017 (arXiv 1701.07875), Theorem 3."""
    return -fake_score.mean()


# Distances between generated and real images (N, C, H, W).


@full_precision
def kl_to_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """E KL(N(μ, σ²) ‖ N(0, I)), in nats, summed over the dimensions of (N, Z)."""
    return (mean.square() + logvar.exp() - 1 - logvar).sum(dim=1).mean() / 2


@full_precision
def gradient_difference_loss(fake: Tensor, real: Tensor, alpha: float = 1.0) -> Tensor:
    """Mean of ||Y_ij - Y_i-1,j| - |Y^_ij - Y^_i-1,j||^alpha over columns plus that over rows.

    Mathieu et al. 2015 (arXiv 1511.05440), eq. 9, with means instead of sums. The loss compares
    absolute values of differences, so the loss between x and -x is 0.

    Args:
        fake: Predicted images Y^, (N, C, H, W).
        real: Real images Y, (N, C, H, W).
        alpha: Power of the errors, at least 1 in the paper.
    """
    columns, rows = (
        (real.diff(dim=dim).abs() - fake.diff(dim=dim).abs()).abs().pow(alpha).mean()
        for dim in (2, 3)
    )
    return columns + rows


@full_precision
def laplacian_loss(fake: Tensor, real: Tensor, pyramid_levels: int) -> Tensor:
    """Lap1, Σ_j 2^2j ‖L^j(x) - L^j(x')‖_1, divided by the number of values of the image.

    Bojanowski et al. 2018 (arXiv 1707.05776), section 3. Level L^j has 2^2j times fewer pixels than
    the image, so the loss is the sum of the mean absolute errors of all levels.

    Args:
        fake: Images (N, C, H, W).
        real: Images (N, C, H, W).
        pyramid_levels: Number of times that images are halved. Reduced if W is not divisible by
            2^pyramid_levels.

    Returns:
        (N,), one loss for each image.
    """
    while real.shape[-1] % 2**pyramid_levels:
        pyramid_levels -= 1
    parts = decompose(fake - real, pyramid_levels)  # the decomposition is linear
    means = [residual.abs().flatten(1).mean(dim=1) for residual, _ in parts]  # (N,) each
    return sum(means[1:], start=means[0])


@full_precision
def joint_embedding_loss(image: Tensor, text: Tensor, label: Tensor) -> Tensor:
    """Σ ([1 + F(vᵢ, tⱼ) - F(vᵢ, tᵢ)]₊ + [1 + F(vⱼ, tᵢ) - F(vᵢ, tᵢ)]₊) / N².

    F(v, t) = ⟨v, t⟩. Reed, Akata, Schiele, Lee 2016 (arXiv 1605.05395), eqs. 2 to 4. As in the
    authors' code, the sum is over all pairs i, j of different classes.

    Args:
        image: Embeddings v of images, (N, F).
        text: Embeddings t of their captions, (N, F).
        label: (N,) int64. Each image with label -1 is a separate class.
    """
    scores = image @ text.T  # (N, N)
    right = scores.diagonal()[:, None]
    wrong = (label[:, None] != label) | (label < 0)[:, None] & ~torch.eye(
        len(label), dtype=torch.bool, device=label.device
    )
    hinges = relu(1 + scores - right) + relu(1 + scores.T - right)
    return (hinges * wrong).sum() / len(label) ** 2


# Penalties on the gradient of a critic with respect to its images. The score of an image must not
# depend on the other images. Under mixed precision the critic runs in float32. A critic with
# half-precision weights runs in half precision, and only the penalty is computed in float32.


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, target: float = 1.0) -> Tensor:
    """E (‖∇f(x̂)‖₂ - target)², Gulrajani et al. 2017 (arXiv 1704.00028), eq. 3.

    x̂ = εx + (1 - ε)G(z) with one ε ~ U[0, 1] for each pair. The norm is that of all values of an
    image.

    Args:
        critic: Function of images (N, C, H, W) to scores (N,).
        real: Images x, (N, C, H, W).
        fake: Images G(z), (N, C, H, W).
        target: Gradient norm at which the penalty is 0. The paper's is 1.
    """
    dtype, real, fake = real.dtype, at_least_float32(real), at_least_float32(fake)
    epsilon = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    between = epsilon * real + (1 - epsilon) * fake  # (N, C, H, W)
    return (gradient_norms(critic, between, dtype) - target).square().mean()


def r1_penalty(critic: Critic, real: Tensor) -> Tensor:
    """½ E ‖∇f(x)‖₂² at real images, Mescheder et al. 2018 (arXiv 1801.04406), eq. 9 without gamma.

    Args:
        critic: Function of images (N, C, H, W) to scores (N,).
        real: Images x, (N, C, H, W).
    """
    return gradient_norms(critic, real).square().mean() / 2


def dragan_penalty(critic: Critic, real: Tensor, std: float, target: float = 1.0) -> Tensor:
    """E (‖∇f(x + δ)‖₂ - target)², δ ~ N(0, std²): Kodali et al. 2017 (arXiv 1705.07215).

    Args:
        critic: Function of images (N, C, H, W) to scores (N,).
        real: Images x, (N, C, H, W).
        std: Standard deviation of the noise.
        target: Gradient norm at which the penalty is 0. The paper's is 1.
    """
    dtype, real = real.dtype, at_least_float32(real)
    noise = torch.randn(*real.shape, device=real.device, dtype=real.dtype)
    return (gradient_norms(critic, real + std * noise, dtype) - target).square().mean()


def gradient_norms(critic: Critic, images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return ‖∇f(x)‖₂, differentiable, in float32 or better.

    If the gradient is zero, the derivative of its norm is zero and not NaN.

    Args:
        critic: Function of images (N, C, H, W) to scores (N,).
        images: Points at which the gradient is computed, (N, C, H, W).
        dtype: Data type of the critic's inputs. Default: that of `images`.

    Returns:
        (N,), one norm for each image.
    """
    dtype = dtype or images.dtype
    if torch.is_autocast_enabled(images.device.type):  # the critic's weights are float32
        dtype = torch.promote_types(dtype, torch.float32)
    with without_autocast(images):
        images = at_least_float32(images.detach()).requires_grad_(True)
        scores = at_least_float32(critic(images.to(dtype)))
        (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return torch.linalg.vector_norm(gradients.flatten(1), dim=1)
