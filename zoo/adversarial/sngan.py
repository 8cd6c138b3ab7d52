"""Spectrally normalized GAN (Miyato et al. 2018, arXiv 1802.05957); optionally conditional."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo import networks
from zoo.adversarial.gan import GAN
from zoo.config.errors import NEEDS_LABELS
from zoo.engine.batch_checks import check_scores
from zoo.engine.conditions import check_conditions
from zoo.engine.schedules import linear_decay
from zoo.losses import hinge_discriminator_loss, wasserstein_generator_loss
from zoo.media.images import dequantize
from zoo.metrics.class_accuracy import class_accuracies
from zoo.plots.class_grid import class_figures


class SNGAN(GAN):
    """GAN with a spectrally normalized discriminator, which takes five steps per generator step.

    The defaults are those of the paper's residual network for CIFAR-10. The generator has twice as
    many channels as the discriminator.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        classes: Number of classes of the labels. Used only if `conditional`.
        conditional: Condition on labels, with conditional batch norm in the generator and a
            projection in the discriminator (Miyato, Koyama 2018, arXiv 1802.05637). Needs
            network=resnet.
        latent_dim: Size of the latents, which are standard normal.
        network: Pair of networks, a module in zoo/networks.
        width: Channels of the discriminator.
        beta1: Adam's beta1.
        beta2: Adam's beta2.
        discriminator_steps: Number of discriminator steps per generator step.
        hinge: Use the hinge loss instead of the GAN loss.
        decay: Number of batches over which learning rates decay linearly to 0; 0 keeps them
            constant.
        dequantize: Add uniform noise of one gray level to the real images, which have 256 levels.
        spectral_norm: Use spectral normalization in the discriminator. Layers that already have it
            are not changed.

    Raises:
        ValueError: `conditional` is set without labels or without network=resnet, or `hinge` is set
            together with `saturating` or `label_smoothing`.

    Deviations: the generator's batches have the size of the discriminator's. In the authors'
    code they are twice as large. Generated images have the labels of the batch. The authors sample
    labels at random. The projection is initialized from a normal distribution. The authors use a
    uniform one. Spectral normalization makes this difference small. Dequantized black and white
    pixels can exceed [-1, 1] by up to half a gray level. In the authors' code they stay in [-1, 1].
    """

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 0,
        conditional: bool = False,
        latent_dim: int = 128,
        network: str = "resnet",
        width: int = 128,
        beta1: float = 0.0,
        beta2: float = 0.9,
        discriminator_steps: int = 5,
        hinge: bool = True,
        decay: Annotated[int, "[0, inf)"] = 0,
        dequantize: bool = True,
        spectral_norm: bool = True,
        **gan,
    ):
        if conditional and network != "resnet":
            raise ValueError("model.conditional=true needs model.network=resnet.")
        if conditional and not classes:
            raise ValueError(f"model.conditional=true {NEEDS_LABELS}")
        if hinge and (gan.get("saturating") or gan.get("label_smoothing")):
            raise ValueError("model.saturating and model.label_smoothing need model.hinge=false.")
        super().__init__(spectral_norm=spectral_norm, **gan)
        if conditional:
            self.needs = ("image", "label")

    def build_generator(self) -> nn.Module:
        """Latents (N, Z) and, if conditional, labels (N,) -> images (N, C, H, W) in [-1, 1]."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        labels = {"classes": hp.classes} if hp.conditional else {}
        shape = hp.image_size, hp.image_channels
        return network.generator(*shape, hp.latent_dim, 2 * hp.width, **labels)

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W) and, if conditional, labels (N,) -> logits or scores (N,)."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        labels = {"classes": hp.classes} if hp.conditional else {}
        return network.discriminator(hp.image_size, hp.image_channels, hp.width, False, **labels)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        if not self.hparams.conditional:
            return super().sample(count, condition)
        return self.generator(*self.latents_and_labels(count, condition))

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        if not self.hparams.conditional:
            return super().discriminate(images, batch)
        score = self.discriminator(images, batch["label"])
        return check_scores(score, images, "build_discriminator")

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        if self.hparams.dequantize:
            batch = batch | {"image": dequantize(batch["image"])}
        if not self.hparams.hinge:
            return super().discriminator_loss(batch)
        real = batch["image"]
        with torch.no_grad():
            fake = self.sample(len(real), batch)
        scores = self.discriminate(real, batch), self.discriminate(fake, batch)
        return hinge_discriminator_loss(*scores)

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        if not self.hparams.hinge:
            return super().generator_loss(batch)
        fake = self.sample(len(batch["image"]), batch)
        return wasserstein_generator_loss(self.discriminate(fake, batch))

    def configure_optimizers(self) -> Any:
        hp = self.hparams
        steps = hp.decay // hp.accumulate
        return linear_decay(super().configure_optimizers(), steps, steps // hp.discriminator_steps)

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return class_accuracies(self, data, split) if self.hparams.conditional else {}

    def figures(self, data: Any) -> dict[str, Tensor]:
        return class_figures(self, data) if self.hparams.conditional else {}
