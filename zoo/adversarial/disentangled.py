"""Disentangling factors of variation with adversarial training (Mathieu et al. 2016, 1611.03383).

The encoder splits an image in two: s, which should hold what makes the class of an image (its
identity), and z, which should hold all the rest. The labels say nothing but which images have the
same identity. Notation of the paper: x₁ and x₁' are of one identity, x₂ is of any.
"""

import torch

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.metrics.disentanglement import measured
from zoo.networks.mathieu2016 import Decoder, Discriminator, Encoder
from zoo.plots.disentanglement import between, swaps
from zoo.precision import full_precision

MEMORY = 0.99  # decay of the statistics of s


class Disentangled(GenerativeModule):
    """An encoder of images into identity and the rest, against a discriminator told the identity.

    identity_dim: of s, which is deterministic; latent_dim: of z, which is Gaussian. The weights are
    those of the authors' train.lua, where the KL divergence is divided by the number of pixels and
    multiplied by 0.6. adversarial_weight=0 leaves out the discriminator's turn.

    `sample` takes s from the images that it is given, else from a Gaussian of the label that it is
    given, else of any: statistics of s are kept for each label. A latent (count, S + Z) is s and z.

    Deviations from the authors' code: the discriminator moves first, and the other players meet a
    fresh judgement of it, where theirs is one step old; one image in three is swapped across
    identities, dec(z₂, s₁), where theirs also has dec(z₁', s₂); the KL divergence is the right one
    (theirs has μ for μ², and takes the log variance of z for half of it); Adam for the
    discriminator, too; smaller networks, see zoo/networks/mathieu2016.py.
    """

    needs = ("image", "label", "partner", "other")

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 10,
        identity_dim: int = 64,
        latent_dim: int = 512,
        width: int = 32,
        lr: float = 0.01,
        beta1: float = 0.5,
        beta2: float = 0.999,
        reconstruction_weight: float = 0.5,
        swap_weight: float = 1.0,
        adversarial_weight: float = 0.01,
        kl_weight: float = 0.6,
        label_smoothing: float = 0.05,
        **shared,
    ):
        if classes < 1:
            raise ValueError("Disentangled needs data with labels.")
        super().__init__(**shared)
        self.discriminator = self.build_discriminator()
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        # Of each label its share, and the means of s and s² times it: averages over processes, as
        # buffers are averaged, are those of one process.
        self.register_buffer("statistics", torch.zeros(classes, 1 + 2 * identity_dim))

    def build_discriminator(self):
        hp = self.hparams
        return Discriminator(hp.image_size, hp.image_channels, hp.width, hp.classes)

    def build_encoder(self):
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.width
        return Encoder(*shape, hp.identity_dim, hp.latent_dim)

    def build_decoder(self):
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.width
        return Decoder(*shape, hp.identity_dim, hp.latent_dim)

    def prior(self, count):
        label = torch.randint(self.hparams.classes, (count,), device=self.device)
        return torch.cat([self.identities(label), self.noise(count)], dim=1)

    def noise(self, count):
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def identities(self, label):
        """s (N, S) of labels (N,), as if they were Gaussian with the statistics of the label."""
        share, rest = self.statistics[:, :1], self.statistics[:, 1:]
        mean, square = (rest / share.clamp(min=1e-9)).chunk(2, dim=1)  # (K, S)
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        normal = torch.randn(
            len(label), self.hparams.identity_dim, device=self.device, dtype=self.dtype
        )
        return mean[label] + deviation[label] * normal

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        condition = condition or {}
        if "latent" in condition:
            hp = self.hparams
            identity, latent = condition["latent"].split([hp.identity_dim, hp.latent_dim], dim=1)
        elif "image" in condition:
            identity, latent = self.encoder(condition["image"])[0], self.noise(count)
        elif "label" in condition:
            identity, latent = self.identities(condition["label"]), self.noise(count)
        else:
            return self.sample(count, {"latent": self.prior(count)})
        return self.decoder(identity, latent)

    def batch_norm_pass(self, count, training_batch):
        self.sample(count, {"image": training_batch()["image"]})  # the encoder, too

    def discriminate(self, images, batch):
        """The discriminator's logits (N,) of images, under the labels of a batch."""
        return self.discriminator(images, batch["label"])

    def training_step(self, batch, batch_idx):
        discriminator_optimizer, optimizer = self.optimizers()
        losses = {}

        if self.hparams.adversarial_weight:
            with self.turn(discriminator_optimizer):
                losses["discriminator_loss"] = self.discriminator_loss(batch)
                self.manual_backward(losses["discriminator_loss"])

        with self.turn(optimizer):
            parts = self.parts(batch)
            self.manual_backward(self.weighted(parts))
        self.log_losses(**losses, **parts)

    def discriminator_loss(self, batch):
        real, label = batch["image"], batch["label"]
        logit = self.discriminator(real, label)
        with torch.no_grad():
            identity, mean, logvar = self.encoder(torch.cat([real, batch["other"]]))
            noise = self.noise(len(real))
            latent = reparametrised(mean[len(real) :], logvar[len(real) :], noise)
            fake = self.decoder(identity[: len(real)], latent)
        smoothing = self.hparams.label_smoothing
        return gan_discriminator_loss(logit, self.discriminator(fake, label), smoothing)

    def parts(self, batch):
        """The parts of the loss of encoder and decoder, each without its weight."""
        images = torch.cat([batch["image"], batch["partner"], batch["other"]])
        identity, mean, logvar = self.encoder(images)
        noise = torch.cat([self.noise(len(batch["image"])) for _ in range(3)])
        latent = reparametrised(mean, logvar, noise)
        (s1, s2, _), (z1, z2, z3) = identity.chunk(3), latent.chunk(3)
        self.remember(s1.detach(), batch["label"])
        decoded = self.decoder(
            torch.cat([identity, s2, s1, s1]), torch.cat([latent, z1, z2, z3])
        ).chunk(6)
        pairs = images.chunk(3)[:2]  # x₁ of z₁ and s₁', x₁' of z₁' and s₁
        fooled = self.discriminator(decoded[5], batch["label"])
        return {
            "reconstruction_loss": squared_error(torch.cat(decoded[:3]), images),
            "swap_loss": squared_error(torch.cat(decoded[3:5]), torch.cat(pairs)),
            "adversarial_loss": nonsaturating_generator_loss(fooled),
            "kl": kl_to_normal(mean, logvar),
        }

    def weighted(self, parts):
        """The weighted sum of the parts."""
        hp = self.hparams
        return (
            hp.reconstruction_weight * parts["reconstruction_loss"]
            + hp.swap_weight * parts["swap_loss"]
            + hp.adversarial_weight * parts["adversarial_loss"]
            + hp.kl_weight / (hp.image_channels * hp.image_size**2) * parts["kl"]
        )

    def remember(self, identity, label):
        """Moves the statistics of s towards those of a batch: s (N, S) of labels (N,)."""
        identity = identity.to(self.statistics)  # half precision would lose in the squares
        ones = torch.ones_like(identity[:, :1])
        moments = torch.cat([ones, identity, identity.square()], dim=1)
        sums = torch.zeros_like(self.statistics).index_add(0, label, moments)
        self.statistics.lerp_(sums / len(label), 1 - MEMORY)

    def configure_optimizers(self):
        hp = self.hparams
        players = [self.discriminator], [self.encoder, self.decoder]
        return [
            torch.optim.Adam(
                [p for network in networks for p in network.parameters()],
                lr=hp.lr,
                betas=(hp.beta1, hp.beta2),
            )
            for networks in players
        ]

    def measure(self, data, split):
        return measured(self, data, split)

    def figures(self, data):
        if data is None:
            return {}
        source = data.source("test")
        if len(source) < 2:  # both figures are of two images
            return {}
        batch = data.prepare_batch(source[torch.arange(min(8, len(source)))], self)
        images = batch["image"]
        identity, latent, _ = self.encoder(images)
        return {
            "swaps": swaps(images, identity, latent, self.decoder),
            "interpolations": between(identity[:2], latent[:2], self.decoder),
        }


def reparametrised(mean, logvar, noise):
    """z ~ N(mean, exp(logvar)), differentiable in both (Kingma, Welling 2014, arXiv 1312.6114)."""
    return mean + (logvar / 2).exp() * noise


@full_precision
def kl_to_normal(mean, logvar):
    """E KL(N(μ, σ²) ‖ N(0, I)), in nats, summed over the dimensions; mean, logvar: (N, Z)."""
    return (mean.square() + logvar.exp() - 1 - logvar).sum(dim=1).mean() / 2


@full_precision
def squared_error(image, target):
    return (image - target).square().mean()
