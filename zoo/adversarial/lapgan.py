"""Laplacian pyramid of adversarial networks (Denton et al. 2015, arXiv 1506.05751)."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.config.errors import NEEDS_LABELS
from zoo.engine.conditions import check_conditions
from zoo.engine.seeds import reseed
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.media.images import grid
from zoo.media.laplacian_pyramid import decompose, upsample
from zoo.metrics.class_accuracy import class_accuracies
from zoo.metrics.pyramid_levels import detail_numbers, distances
from zoo.networks import lapgan as networks
from zoo.plots.class_grid import class_figures
from zoo.plots.grids import as_images


class LAPGAN(GenerativeModule):
    """A GAN, class-conditional by default, for each level of a Laplacian pyramid.

    I_0 is the image, I_k+1 = d(I_k) is I_k at half the size, l_k = u(I_k+1) is I_k+1 upsampled, and
    h_k = I_k - l_k is the residual. The GAN of the coarsest level K = pyramid_levels generates
    images. The GAN of a level k < K generates residuals h_k for coarse images l_k.

    Each level is trained on real coarse images, without gradients between levels. Training all
    levels together or one by one (`level=k`) gives bit-identical weights.

    `sample` uses condition["label"] if it is passed, and random labels otherwise.

    Args:
        image_size: Height and width of the images; divisible by 2^pyramid_levels.
        image_channels: Channels of the images.
        classes: Number of classes of the labels. Used only if `conditional`.
        conditional: Condition on labels. Without, batches need no labels.
        pyramid_levels: K, the number of halvings. With 0 the model is one fully connected GAN.
        level: The only level to train, from 0, the finest, to pyramid_levels. Default: all.
        latent_dim: Size of the coarsest level's noise vector. The noise of other levels is one
            channel.
        width: Channels of the convolutions in all levels except the coarsest.
        base_width: Units of the coarsest level's generator; its discriminator has half as many.
        dropout: Dropout probability in the discriminators.
        lr: Learning rate.
        momentum: Momentum of SGD, or beta1 of Adam. SGD's dampening has the same value, as in
            Torch7.
        adam: Use Adam instead of SGD. Adam needs fewer batches.

    Deviations: each level has half the size of the next finer one. The authors' demo has sizes 8,
    14 and 28. Pixels are in [-1, 1] instead of normalized per position. Learning rate and momentum
    are constant. In each epoch, the paper divides the learning rate by 1 + 4e-5 and adds 0.0008 to
    the momentum. Convolutions of the discriminators are padded if images are small. All noise is
    uniform. The clamp of samples to [-1, 1] passes gradients unchanged.
    """

    needs: tuple[str, ...] = ("image", "label")

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 10,
        conditional: bool = True,
        pyramid_levels: Annotated[int, "[0, 16]"] = 2,
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
        if pyramid_levels < 0 or image_size % 2**pyramid_levels:
            raise ValueError(
                f"model.pyramid_levels={pyramid_levels}: an image of size {image_size} cannot be "
                f"halved {pyramid_levels} times."
            )
        if level is not None and not 0 <= level <= pyramid_levels:
            raise ValueError(
                f"model.level={level}: levels go from 0, the finest, to {pyramid_levels}."
            )
        if conditional and not classes:
            raise ValueError(f"model.conditional=true {NEEDS_LABELS} Or set it to false.")
        super().__init__(**shared)
        self.classes = self.hparams.classes if self.hparams.conditional else 0
        if not conditional:
            self.needs = ("image",)
        self.coarse_to_fine = list(reversed(range(pyramid_levels + 1)))
        self.trained = self.coarse_to_fine if level is None else [self.hparams.level]
        for k in self.coarse_to_fine:
            setattr(self, f"generator{k}", self.build_generator(k))
            setattr(self, f"discriminator{k}", self.build_discriminator(k))

    def build_generator(self, level: int) -> nn.Module:
        """Noise (N, Z), coarse images (N, C, H, W) and labels (N,) -> residuals (N, C, H, W)."""
        hp = self.hparams
        shape = self.size_of(level), hp.image_channels, self.classes
        if level == hp.pyramid_levels:
            return networks.BaseGenerator(*shape, hp.latent_dim, hp.base_width)
        return networks.Generator(*shape, hp.width)

    def build_discriminator(self, level: int) -> nn.Module:
        """Residuals and coarse images (N, C, H, W) and labels (N,) -> logits (N,)."""
        hp = self.hparams
        shape = self.size_of(level), hp.image_channels, self.classes
        if level == hp.pyramid_levels:
            return networks.BaseDiscriminator(*shape, hp.base_width // 2, hp.dropout)
        return networks.Discriminator(*shape, hp.width, hp.dropout)

    def size_of(self, level: int) -> int:
        """Return the height and width of a level's images."""
        return self.hparams.image_size // 2**level

    def players(self, level: int) -> tuple[nn.Module, nn.Module]:
        """Return the discriminator and the generator of a level."""
        return getattr(self, f"discriminator{level}"), getattr(self, f"generator{level}")

    def noise_dim(self, level: int) -> int:
        """Return the size of a level's noise: `latent_dim` if coarsest, otherwise one channel."""
        hp = self.hparams
        return hp.latent_dim if level == hp.pyramid_levels else self.size_of(level) ** 2

    def noise(self, level: int, count: int) -> Tensor:
        """Sample noise (count, noise_dim), uniform in [-1, 1]."""
        dim = self.noise_dim(level)
        return 2 * torch.rand(count, dim, device=self.device, dtype=self.dtype) - 1

    def prior(self, count: int) -> Tensor:
        """Sample the noise of all levels, concatenated from coarse to fine, (count, Z)."""
        return torch.cat([self.noise(level, count) for level in self.coarse_to_fine], dim=1)

    def project(self, latents: Tensor) -> Tensor:
        """Return the nearest latents in the support of `prior`."""
        return latents.clamp(-1, 1)

    def draw_labels(self, count: int) -> Tensor:
        """Sample labels (count,). Without labels they are 0, and ignored."""
        return torch.randint(max(self.classes, 1), (count,), device=self.device)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        return networks.clamp_straight_through(self.sample_pyramid(count, condition)[-1])

    def sample_pyramid(
        self, count: int, condition: dict[str, Tensor] | None = None
    ) -> list[Tensor]:
        """Sample images, and return them at each size.

        Args:
            count: Number of samples.
            condition: As for `sample`.

        Returns:
            Images (count, C, H, W) of each size, the coarsest first. Values can exceed [-1, 1].
        """
        check_conditions(self, count, condition)
        hp, condition = self.hparams, condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        label = condition["label"] if "label" in condition else self.draw_labels(count)
        base, *noises = latent.split([self.noise_dim(k) for k in self.coarse_to_fine], dim=1)
        size = self.size_of(hp.pyramid_levels)
        zeros = latent.new_zeros(latent.shape[0], hp.image_channels, size, size)
        _, generator = self.players(hp.pyramid_levels)
        return self.refine(generator(base, zeros, label), label, noises)

    def refine(self, coarsest: Tensor, label: Tensor, noises: list[Tensor]) -> list[Tensor]:
        """Refine images of the coarsest level with the generators' residuals, level by level.

        Args:
            coarsest: Images (N, C, H, W) of the coarsest level.
            label: (N,).
            noises: Noise (N, Z) of each level below the coarsest, from coarse to fine.

        Returns:
            Images (N, C, H, W) of each size, the coarsest first.
        """
        images = [coarsest]
        for level, noise in zip(self.coarse_to_fine[1:], noises, strict=True):
            coarse = upsample(images[-1])
            _, generator = self.players(level)
            images.append(coarse + generator(noise, coarse, label))
        return images

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        losses, optimizers = {}, iter(self.optimizers())
        label = batch["label"] if self.classes else self.draw_labels(len(batch["image"]))
        pyramid = decompose(batch["image"], self.hparams.pyramid_levels)
        for level in self.trained:
            # A level's random numbers do not depend on which other levels are trained.
            trainer = self.trainer
            reseed(self.device, self.seed, trainer.global_step, trainer.global_rank, level)

            with self.turn(next(optimizers)):
                discriminator_loss = self.discriminator_loss(level, *pyramid[level], label)
                self.manual_backward(discriminator_loss)
            with self.turn(next(optimizers)):
                generator_loss = self.generator_loss(level, pyramid[level][1], label)
                self.manual_backward(generator_loss)
            losses[f"discriminator{level}_loss"] = discriminator_loss
            losses[f"generator{level}_loss"] = generator_loss
        self.log_losses(**losses)

    def discriminator_loss(
        self, level: int, residual: Tensor, coarse: Tensor, label: Tensor
    ) -> Tensor:
        """Return the loss on real and generated residuals of the same real coarse images."""
        discriminator, generator = self.players(level)
        with torch.no_grad():
            fake = generator(self.noise(level, len(coarse)), coarse, label)
        real_logit = discriminator(residual, coarse, label)  # (N,)
        return gan_discriminator_loss(real_logit, discriminator(fake, coarse, label))

    def generator_loss(self, level: int, coarse: Tensor, label: Tensor) -> Tensor:
        """Return the non-saturating loss of a level's residuals of real coarse images."""
        discriminator, generator = self.players(level)
        fake = generator(self.noise(level, len(coarse)), coarse, label)
        return nonsaturating_generator_loss(discriminator(fake, coarse, label))

    def configure_optimizers(self) -> list[Optimizer]:
        hp = self.hparams
        players = [player for level in self.trained for player in self.players(level)]
        if hp.adam:
            rates = {"lr": hp.lr, "betas": (hp.momentum, 0.999)}
            return [torch.optim.Adam(player.parameters(), **rates) for player in players]
        rates = {"lr": hp.lr, "momentum": hp.momentum, "dampening": hp.momentum}
        return [torch.optim.SGD(player.parameters(), **rates) for player in players]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        if self.classes and data.classes != self.classes:
            return {}
        numbers = distances(self, data, split)
        if self.classes:
            numbers = class_accuracies(self, data, split) | numbers
        for level in self.trained:
            numbers |= detail_numbers(self, level, data, split)
        return numbers

    def figures(self, data: Any) -> dict[str, Tensor]:
        """Draw samples at each size, the coarsest on the left, and of each class if there are."""
        sizes = zip(self.coarse_to_fine, self.sample_pyramid(8), strict=True)
        images = [interpolate(images, scale_factor=2.0**k) for k, images in sizes]
        cells = as_images(self, torch.stack(images, dim=1).flatten(0, 1))
        figures = {"pyramid": grid(cells, columns=len(images))}
        return figures | class_figures(self, data) if self.classes else figures
