"""Laplacian pyramid of adversarial networks (Denton et al. 2015, arXiv 1506.05751)."""

from typing import Annotated

import torch
from torch.nn.functional import interpolate

from zoo.base import GenerativeModule
from zoo.engine.seeds import reseed
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.metrics.class_accuracy import class_accuracies
from zoo.metrics.pyramid_levels import detail_numbers, distances
from zoo.networks import lapgan as laplacian
from zoo.networks.lapgan import doubled, pyramid
from zoo.plots.class_grid import class_grid
from zoo.plots.grids import as_images, panel


class LAPGAN(GenerativeModule):
    """A conditional GAN for each level of a Laplacian pyramid, all of them given the class.

    I_0 is the image, I_{k+1} = d(I_k) half as large, h_k = I_k - u(I_{k+1}). The GAN of the level
    K = levels makes the coarsest images, that of a level k < K the residuals h_k of upsampled
    images l_k = u(I_{k+1}). Each learns from real l_k, and nothing of it reaches another: they may
    learn together, or alone (level=k), and come out the same, bit for bit.

    width: channels of a refinement's convolutions; base_width: units of the base's generator, its
    discriminator has half as many. momentum: of SGD, dampened by as much, as Torch7's SGD is by
    default: a constant gradient moves a weight by lr in each step, whatever the momentum. adam:
    Adam, with momentum for β1, instead of SGD; it needs fewer batches.

    Deviations: sizes are halved, where the authors' demo goes 8, 14, 28; pixels are in [-1, 1]
    instead of normalised by position; lr and momentum stand still, where the paper's change by a
    factor of 1 + 4e-5 and by 0.0008 an epoch. Images too small for the discriminators' kernels are
    padded. A refinement's noise is one plane, as the base's it is uniform.
    """

    needs = ("image", "label")

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 10,
        levels: Annotated[int, "[0, 16]"] = 2,
        level: Annotated[int, "[0, 16]"] | None = None,
        latent_dim: int = 100,
        width: int = 64,
        base_width: int = 1200,
        dropout: float = 0.5,
        lr: float = 0.02,
        momentum: float = 0.5,
        adam: bool = False,
        **shared,
    ):
        if levels < 0 or image_size % 2**levels:
            raise ValueError(
                f"model.levels={levels}: an image of size {image_size} cannot be halved so often."
            )
        if level is not None and not 0 <= level <= levels:
            raise ValueError(f"model.level={level} is a level from 0, the finest, to {levels}.")
        if not classes:
            raise ValueError("A class-conditional pyramid needs data with labels.")
        super().__init__(**shared)
        self.order = list(reversed(range(levels + 1)))  # the coarsest first, as images are made
        self.trained = self.order if self.hparams.level is None else [self.hparams.level]
        for k in self.order:
            setattr(self, f"generator{k}", self.build_generator(k))
            setattr(self, f"discriminator{k}", self.build_discriminator(k))

    def build_generator(self, level):
        hp = self.hparams
        shape = self.size_of(level), hp.image_channels, hp.classes
        if level == hp.levels:
            return laplacian.BaseGenerator(*shape, hp.latent_dim, hp.base_width)
        return laplacian.Generator(*shape, hp.width)

    def build_discriminator(self, level):
        hp = self.hparams
        shape = self.size_of(level), hp.image_channels, hp.classes
        if level == hp.levels:
            return laplacian.BaseDiscriminator(*shape, hp.base_width // 2, hp.dropout)
        return laplacian.Discriminator(*shape, hp.width, hp.dropout)

    def size_of(self, level):
        return self.hparams.image_size // 2**level

    def players(self, level):
        """The discriminator and the generator of a level."""
        return getattr(self, f"discriminator{level}"), getattr(self, f"generator{level}")

    def noise_dim(self, level):
        """A refinement's noise is one plane."""
        hp = self.hparams
        return hp.latent_dim if level == hp.levels else self.size_of(level) ** 2

    def noise(self, level, count):
        """(count, noise_dim), uniform in [-1, 1]."""
        dim = self.noise_dim(level)
        return 2 * torch.rand(count, dim, device=self.device, dtype=self.dtype) - 1

    def prior(self, count):
        """The noise of all levels side by side, the base's first: (count, Z) in [-1, 1]."""
        return torch.cat([self.noise(level, count) for level in self.order], dim=1)

    def project(self, latents):
        """The nearest latents that `prior` can draw."""
        return latents.clamp(-1, 1)

    def labels(self, count):
        return torch.randint(self.hparams.classes, (count,), device=self.device)

    def sample(self, count, condition=None):
        return limited(self.chain(count, condition)[-1])

    def chain(self, count, condition=None):
        """Samples of each size, the coarsest first; they may leave [-1, 1]."""
        hp, condition = self.hparams, condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        label = condition["label"] if "label" in condition else self.labels(count)
        base, *noises = latent.split([self.noise_dim(k) for k in self.order], dim=1)
        size = self.size_of(hp.levels)
        nothing = latent.new_zeros(len(latent), hp.image_channels, size, size)
        _, generator = self.players(hp.levels)
        return self.refined(generator(base, nothing, label), label, noises)

    def refined(self, coarsest, label, noises):
        """The coarsest images (N, C, H, W), and what the generators make of them at each size."""
        images = [coarsest]
        for level, noise in zip(self.order[1:], noises, strict=True):
            coarse = doubled(images[-1])
            _, generator = self.players(level)
            images.append(coarse + generator(noise, coarse, label))
        return images

    def training_step(self, batch, batch_idx):
        losses, optimizers = {}, iter(self.optimizers())
        for level in self.trained:
            # Each level draws as if it were alone: it does not matter which others learn.
            trainer = self.trainer
            reseed(self.device, self.seed, trainer.global_step, trainer.global_rank, level)

            with self.turn(next(optimizers)):
                discriminator_loss = self.discriminator_loss(level, batch)
                self.manual_backward(discriminator_loss)
            with self.turn(next(optimizers)):
                generator_loss = self.generator_loss(level, batch)
                self.manual_backward(generator_loss)
            losses[f"discriminator{level}_loss"] = discriminator_loss
            losses[f"generator{level}_loss"] = generator_loss
        self.log_losses(**losses)

    def discriminator_loss(self, level, batch):
        """Of residuals that are real and generated, of the same real images, half as large."""
        discriminator, generator = self.players(level)
        residual, coarse = pyramid(batch["image"], self.hparams.levels)[level]
        with torch.no_grad():
            fake = generator(self.noise(level, len(coarse)), coarse, batch["label"])
        real_logit = discriminator(residual, coarse, batch["label"])
        return gan_discriminator_loss(real_logit, discriminator(fake, coarse, batch["label"]))

    def generator_loss(self, level, batch):
        discriminator, generator = self.players(level)
        _, coarse = pyramid(batch["image"], self.hparams.levels)[level]
        fake = generator(self.noise(level, len(coarse)), coarse, batch["label"])
        return nonsaturating_generator_loss(discriminator(fake, coarse, batch["label"]))

    def configure_optimizers(self):
        hp = self.hparams
        players = [player for level in self.trained for player in self.players(level)]
        if hp.adam:
            rates = {"lr": hp.lr, "betas": (hp.momentum, 0.999)}
            return [torch.optim.Adam(player.parameters(), **rates) for player in players]
        rates = {"lr": hp.lr, "momentum": hp.momentum, "dampening": hp.momentum}
        return [torch.optim.SGD(player.parameters(), **rates) for player in players]

    def measure(self, data, split):
        if data.classes != self.hparams.classes:
            return {}
        numbers = class_accuracies(self, data, split) | distances(self, data, split)
        for level in self.trained:
            numbers |= detail_numbers(self, level, data, split)
        return numbers

    def figures(self, data):
        """Each sample at each size, the coarsest on the left, and samples of each class."""
        sizes = zip(self.order, self.chain(8), strict=True)
        images = [interpolate(images, scale_factor=2.0**k) for k, images in sizes]
        cells = as_images(self, torch.stack(images, dim=1).flatten(0, 1))
        return {"pyramid": panel(cells, columns=len(images)), "classes": class_grid(self)}


def limited(images):
    """Images clamped to [-1, 1], with the gradient of images that are not clamped.

    A pixel beyond the range can be led back into it, where clamping alone gives it no gradient.
    """
    return images.clamp(-1, 1).detach() + (images - images.detach())
