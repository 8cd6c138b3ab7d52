"""Spectrally normalised GAN (Miyato et al. 2018, arXiv 1802.05957), with a projection of labels."""

from typing import Annotated

import torch

from zoo import networks
from zoo.adversarial.gan import GAN
from zoo.engine.conditions import check_conditions
from zoo.engine.schedules import linear_decay
from zoo.losses import hinge_discriminator_loss, wasserstein_generator_loss
from zoo.media.images import dequantize
from zoo.metrics.class_accuracy import class_accuracies
from zoo.plots.class_grid import class_figures


class SNGAN(GAN):
    """GAN with a spectrally normalised discriminator, five steps of it to one of the generator.

    hinge: its loss, or else the non-saturating one. conditional: on the labels, by conditional
    batch norm in the generator and a projection in the discriminator (Miyato, Koyama 2018, arXiv
    1802.05637); it takes network=resnet. The generator is twice as wide as the discriminator.
    decay: batches within which both rates fall linearly to 0; 0 leaves them alone. dequantize: the
    uint8 images of the data are spread over their bins. The defaults are those of its residual
    network for CIFAR-10.

    Deviations: the generator learns from as many samples at once as the discriminator, the authors'
    from twice as many; generated images have the labels of the batch, where the authors draw them
    at random; the rows of the projection begin normal, theirs uniform, which matters little once
    normalised; black and white pixels leave [-1, 1] by half a bin, where theirs stay inside.
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
        **gan,
    ):
        if conditional and network != "resnet":
            raise ValueError("model.conditional=true needs model.network=resnet.")
        if conditional and not classes:
            raise ValueError("model.conditional=true needs data with labels.")
        if hinge and (gan.get("saturating") or gan.get("label_smoothing")):
            raise ValueError("model.saturating and model.label_smoothing need model.hinge=false.")
        super().__init__(**gan | {"spectral_norm": True})
        if conditional:
            self.needs = ("image", "label")

    def build_generator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        labels = {"classes": hp.classes} if hp.conditional else {}
        shape = hp.image_size, hp.image_channels
        return network.generator(*shape, hp.latent_dim, 2 * hp.width, **labels)

    def build_discriminator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        labels = {"classes": hp.classes} if hp.conditional else {}
        return network.discriminator(hp.image_size, hp.image_channels, hp.width, False, **labels)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        if not self.hparams.conditional:
            return super().sample(count, condition)
        return self.generator(*self.inputs(count, condition))

    def discriminate(self, images, batch):
        if not self.hparams.conditional:
            return super().discriminate(images, batch)
        return self.discriminator(images, batch["label"])

    def discriminator_loss(self, batch):
        if self.hparams.dequantize:
            batch = batch | {"image": dequantize(batch["image"])}
        if not self.hparams.hinge:
            return super().discriminator_loss(batch)
        real = batch["image"]
        with torch.no_grad():
            fake = self.sample(len(real), batch)
        return hinge_discriminator_loss(
            self.discriminate(real, batch), self.discriminate(fake, batch)
        )

    def generator_loss(self, batch):
        if not self.hparams.hinge:
            return super().generator_loss(batch)
        fake = self.sample(len(batch["image"]), batch)
        return wasserstein_generator_loss(self.discriminate(fake, batch))

    def configure_optimizers(self):
        hp = self.hparams
        steps = hp.decay // hp.accumulate
        return linear_decay(super().configure_optimizers(), steps, steps // hp.discriminator_steps)

    def measure(self, data, split):
        return class_accuracies(self, data, split) if self.hparams.conditional else {}

    def figures(self, data):
        return class_figures(self) if self.hparams.conditional else {}
