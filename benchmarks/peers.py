"""Training loops as they are usually written, for benchmarks.train to be compared with.

What they share with such loops elsewhere: a Dataset of PIL images and torchvision's transforms, an
optimizer with torch's defaults, a critic's turn that keeps the generator's graph, a
generator's turn that computes the critic's gradients, and losses that are read and printed at each
step. The networks and the mathematics are ours; each loop is a generator of the losses of its
batches, so that a caller can look at the clock between them.
"""

import os

import torch
from PIL import Image
from torch import Tensor, autograd
from torch.nn.functional import binary_cross_entropy_with_logits, relu
from torch.optim import Adam, RMSprop
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from zoo.base import GenerativeModule


class Pictures(Dataset):
    """uint8 images (N, C, H, W) as PIL images, one by one, to tensors in [-1, 1]."""

    def __init__(self, images: Tensor):
        channels = images.shape[1]
        self.figures = [
            Image.fromarray((image[0] if channels == 1 else image.permute(1, 2, 0)).numpy())
            for image in images
        ]
        middle = (0.5,) * channels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(middle, middle)]
        )

    def __len__(self):
        return len(self.figures)

    def __getitem__(self, index):
        return self.transform(self.figures[index])


def batches(images: Tensor, batch_size, device="cpu"):
    """Shuffled batches (batch_size, C, H, W) without end."""
    loader = DataLoader(Pictures(images), batch_size, shuffle=True, drop_last=True)
    while True:
        yield from (batch.to(device) for batch in loader)


def latents(images: Tensor, hp):
    return torch.randn(len(images), hp.latent_dim, device=images.device, dtype=images.dtype)


def usual(kind, module, hp, **settings):
    """An optimizer as it is by default: on a CPU, one tensor after the other."""
    if kind is Adam and "beta1" in hp:
        settings["betas"] = (hp.beta1, hp.beta2)
    return kind(module.parameters(), lr=hp.lr, **settings)


def report(number, *losses):
    """The losses, read and printed."""
    values = [loss.item() for loss in losses]
    with open(os.devnull, "w") as nowhere:
        print(f"[batch {number}]", *(f"[loss {value:f}]" for value in values), file=nowhere)
    return values


def wgan_gp(model: GenerativeModule, images: Tensor):
    hp, generator, critic = model.hparams, model.generator, model.critic
    critic_optimizer, generator_optimizer = (usual(Adam, p, hp) for p in (critic, generator))
    for number, real in enumerate(images, start=1):
        critic_optimizer.zero_grad()
        fake = generator(latents(real, hp))
        real_score, fake_score = critic(real), critic(fake)
        share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
        between = (share * real + (1 - share) * fake.data).requires_grad_()
        score = critic(between)
        (gradient,) = autograd.grad(score, between, torch.ones_like(score), create_graph=True)
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


def wgan(model: GenerativeModule, images: Tensor):
    hp, generator, critic = model.hparams, model.generator, model.critic
    critic_optimizer, generator_optimizer = (usual(RMSprop, p, hp) for p in (critic, generator))
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


def dcgan(model: GenerativeModule, images: Tensor):
    hp, generator, discriminator = model.hparams, model.generator, model.discriminator
    optimizers = [usual(Adam, player, hp) for player in (discriminator, generator)]
    for number, real in enumerate(images, start=1):
        ones = torch.ones(len(real), device=real.device, dtype=real.dtype)
        zeros = torch.zeros_like(ones)
        optimizers[0].zero_grad()
        fake = generator(latents(real, hp))
        loss_of_real = binary_cross_entropy_with_logits(discriminator(real), ones)
        loss_of_fake = binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros)
        discriminator_loss = loss_of_real + loss_of_fake
        discriminator_loss.backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        fake = generator(latents(real, hp))
        generator_loss = binary_cross_entropy_with_logits(discriminator(fake), ones)
        generator_loss.backward()
        optimizers[1].step()
        yield report(number, discriminator_loss, generator_loss)


def sngan(model: GenerativeModule, images: Tensor):
    hp, generator, discriminator = model.hparams, model.generator, model.discriminator
    optimizers = [usual(Adam, player, hp) for player in (discriminator, generator)]
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


def vae(model: GenerativeModule, images: Tensor):
    hp, optimizer = model.hparams, usual(Adam, model, model.hparams)
    for number, image in enumerate(images, start=1):
        optimizer.zero_grad()
        white = (image > 0).to(image.dtype)
        mean, logvar = model.encoder(white).chunk(2, dim=1)
        latent = mean + (logvar / 2).exp() * latents(image, hp)
        logits = model.decoder(latent)
        miss = binary_cross_entropy_with_logits(logits, white, reduction="none")
        divergence = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(dim=1)
        loss = (miss.flatten(1).sum(dim=1) + divergence).mean()
        loss.backward()
        optimizer.step()
        yield report(number, loss)
