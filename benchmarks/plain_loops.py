"""Plain PyTorch training loops, with which benchmarks.train compares the zoo.

Like many public implementations, they use a Dataset of PIL images with torchvision's transforms, an
optimizer with torch's defaults, a critic step that keeps the generator's graph, a generator step
that computes the critic's gradients, and `.item()` and a printed line at each step. Networks and
mathematics are the zoo's.

A loop takes a model and batches of images (N, C, H, W) in [-1, 1]. It yields the losses of each
batch, so that the caller can read the clock in between.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, autograd, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu
from torch.optim import Adam, Optimizer, RMSprop
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

Losses = Iterator[list[float]]


class PILImages(Dataset):
    """PIL images, each transformed to a tensor in [-1, 1].

    Args:
        images: uint8 images (N, C, H, W).
    """

    def __init__(self, images: Tensor):
        channels = images.shape[1]
        self.images = [
            Image.fromarray((image[0] if channels == 1 else image.permute(1, 2, 0)).numpy())
            for image in images
        ]
        half = (0.5,) * channels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(half, half)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.images[index])


def batches(images: Tensor, batch_size: int, device: str = "cpu") -> Iterator[Tensor]:
    """Yield shuffled batches without end.

    Args:
        images: uint8 images (N, C, H, W).
        batch_size: Number of images in a batch.
        device: Device of the batches.

    Yields:
        (batch_size, C, H, W) in [-1, 1].
    """
    loader = DataLoader(PILImages(images), batch_size, shuffle=True, drop_last=True)
    while True:
        yield from (batch.to(device) for batch in loader)


def latents(images: Tensor, hp: Any) -> Tensor:
    """Sample a standard normal latent (N, Z) for each image.

    Args:
        images: (N, C, H, W), with the device and dtype of the latents.
        hp: The model's hyperparameters.
    """
    return torch.randn(len(images), hp.latent_dim, device=images.device, dtype=images.dtype)


def default_optimizer(cls: type[Optimizer], module: nn.Module, hp: Any) -> Optimizer:
    """Build an optimizer with torch's defaults, which on a CPU updates one tensor at a time.

    Args:
        cls: Adam or RMSprop.
        module: The network.
        hp: The model's hyperparameters.
    """
    betas = {"betas": (hp.beta1, hp.beta2)} if cls is Adam and "beta1" in hp else {}
    settings: dict[str, Any] = {"lr": hp.lr} | betas
    return cls(module.parameters(), **settings)


def report(number: int, *losses: Tensor) -> list[float]:
    """Print the losses to the null device.

    Args:
        number: The batch.
        *losses: Scalars.

    Returns:
        The losses as numbers.
    """
    values = [loss.item() for loss in losses]
    with open(os.devnull, "w") as null:
        print(f"[batch {number}]", *(f"[loss {value:f}]" for value in values), file=null)
    return values


def wgan_gp(model: Any, images: Iterable[Tensor]) -> Losses:
    """Train WGAN-GP."""
    hp, generator, critic = model.hparams, model.generator, model.critic
    critic_optimizer, generator_optimizer = (
        default_optimizer(Adam, p, hp) for p in (critic, generator)
    )
    for number, real in enumerate(images, start=1):
        critic_optimizer.zero_grad()
        fake = generator(latents(real, hp))
        real_score, fake_score = critic(real), critic(fake)
        mix = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
        mixed = (mix * real + (1 - mix) * fake.data).requires_grad_()
        score = critic(mixed)
        (gradient,) = autograd.grad(score, mixed, torch.ones_like(score), create_graph=True)
        penalty = ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        critic_loss = fake_score.mean() - real_score.mean() + hp.penalty_weight * penalty
        critic_loss.backward()
        critic_optimizer.step()
        losses = [critic_loss]
        if number % hp.critic_steps == 0:
            generator_optimizer.zero_grad()
            generator_loss = -critic(generator(latents(real, hp))).mean()
            generator_loss.backward()
            generator_optimizer.step()
            losses.append(generator_loss)
        yield report(number, *losses)


def wgan(model: Any, images: Iterable[Tensor]) -> Losses:
    """Train WGAN."""
    hp, generator, critic = model.hparams, model.generator, model.critic
    critic_optimizer, generator_optimizer = (
        default_optimizer(RMSprop, p, hp) for p in (critic, generator)
    )
    for number, real in enumerate(images, start=1):
        critic_optimizer.zero_grad()
        fake = generator(latents(real, hp))
        critic_loss = critic(fake).mean() - critic(real).mean()
        critic_loss.backward()
        critic_optimizer.step()
        for parameter in critic.parameters():
            parameter.data.clamp_(-hp.clip, hp.clip)
        losses = [critic_loss]
        if number % hp.critic_steps == 0:
            generator_optimizer.zero_grad()
            generator_loss = -critic(generator(latents(real, hp))).mean()
            generator_loss.backward()
            generator_optimizer.step()
            losses.append(generator_loss)
        yield report(number, *losses)


def dcgan(model: Any, images: Iterable[Tensor]) -> Losses:
    """Train DCGAN."""
    hp, generator, discriminator = model.hparams, model.generator, model.discriminator
    optimizers = [default_optimizer(Adam, player, hp) for player in (discriminator, generator)]
    for number, real in enumerate(images, start=1):
        ones = torch.ones(len(real), device=real.device, dtype=real.dtype)
        zeros = torch.zeros_like(ones)
        optimizers[0].zero_grad()
        fake = generator(latents(real, hp))
        real_loss = binary_cross_entropy_with_logits(discriminator(real), ones)
        fake_loss = binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros)
        discriminator_loss = real_loss + fake_loss
        discriminator_loss.backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        fake = generator(latents(real, hp))
        generator_loss = binary_cross_entropy_with_logits(discriminator(fake), ones)
        generator_loss.backward()
        optimizers[1].step()
        yield report(number, discriminator_loss, generator_loss)


def sngan(model: Any, images: Iterable[Tensor]) -> Losses:
    """Train SNGAN."""
    hp, generator, discriminator = model.hparams, model.generator, model.discriminator
    optimizers = [default_optimizer(Adam, player, hp) for player in (discriminator, generator)]
    for number, real in enumerate(images, start=1):
        optimizers[0].zero_grad()
        fake = generator(latents(real, hp)).detach()
        discriminator_loss = relu(1 - discriminator(real)).mean()
        discriminator_loss = discriminator_loss + relu(1 + discriminator(fake)).mean()
        discriminator_loss.backward()
        optimizers[0].step()
        losses = [discriminator_loss]
        if number % hp.discriminator_steps == 0:
            optimizers[1].zero_grad()
            generator_loss = -discriminator(generator(latents(real, hp))).mean()
            generator_loss.backward()
            optimizers[1].step()
            losses.append(generator_loss)
        yield report(number, *losses)


def vae(model: Any, images: Iterable[Tensor]) -> Losses:
    """Train a VAE."""
    hp, optimizer = model.hparams, default_optimizer(Adam, model, model.hparams)
    for number, image in enumerate(images, start=1):
        optimizer.zero_grad()
        white = (image > 0).to(image.dtype)
        mean, logvar = model.encoder(white).chunk(2, dim=1)
        latent = mean + (logvar / 2).exp() * latents(image, hp)
        logits = model.decoder(latent)
        nll = binary_cross_entropy_with_logits(logits, white, reduction="none")
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(dim=1)
        loss = (nll.flatten(1).sum(dim=1) + kl).mean()
        loss.backward()
        optimizer.step()
        yield report(number, loss)
