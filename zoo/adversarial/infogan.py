"""InfoGAN (Chen et al. 2016, arXiv 1606.03657): latent codes that can be read off the images."""

import math
from typing import Annotated

import torch
from torch import nn
from torch.nn.functional import one_hot

from zoo import networks
from zoo.adversarial.gan import GAN
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.seeds import keyed_permutation
from zoo.losses import cross_entropy, gan_discriminator_loss, nonsaturating_generator_loss
from zoo.metrics.cluster_accuracy import cluster_accuracies
from zoo.metrics.compute import size
from zoo.networks.infogan import SLOPE, init_weights_
from zoo.plots.grids import as_images, panel
from zoo.precision import full_precision

MEASURED = 2000  # fresh samples on which mutual information is measured
MOST_FITTED = 10_000  # training images, a fixed choice, that decide what a category stands for
REACH, STEPS = 2.0, 11  # of the sweeps of continuous codes, as in the paper's figure 2


class InfoGAN(GAN):
    """GAN that maximises a bound L_I on the information about its codes in its images.

    A latent is (noise, category, codes), from left to right: latent_dim numbers ~ U(-1, 1), one of
    `categories` as a one-hot vector, all equally likely, and `continuous_codes` numbers ~ U(-1, 1).
    Q(c|x) reads category and codes off the discriminator's features; recognition_width is that of
    its hidden layer. It learns in the discriminator's turn, as in the authors' code.

    information_weight: the paper's λ in the generator's loss; recognition_weight: λ in that of the
    discriminator and Q. With 0 and 1 nothing asks the generator to use its codes, but Q looks for
    them: the control of the paper's figure 1. continuous_weight: of the continuous codes in L_I.
    warmup: batches in which λ rises linearly from 0, in both losses, so that there are images of
    some quality before categories are chosen; 0, the paper's, has λ at once.

    Deviations: images are in [-1, 1], by tanh. L_I in the logs is that of the category alone: the
    authors score uniform codes under N(0, 1), whose cross-entropy is no entropy of theirs, so for
    these there is the error of Q, and the constant of its density is left out.
    """

    def __init__(
        self,
        latent_dim: int = 62,
        categories: Annotated[int, "[2, 65536]"] = 10,
        continuous_codes: Annotated[int, "[0, 65536]"] = 2,
        network: str = "infogan",
        width: int = 64,
        recognition_width: int = 128,
        information_weight: float = 1.0,
        recognition_weight: float = 1.0,
        continuous_weight: float = 1.0,
        warmup: int = 0,
        lr: float = 1e-3,
        discriminator_lr: float | None = 2e-4,
        **gan,
    ):
        super().__init__(**gan | {"saturating": False})
        self.recognition = self.build_recognition()

    def build_generator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        latent_dim = hp.latent_dim + hp.categories + hp.continuous_codes
        return network.generator(hp.image_size, hp.image_channels, latent_dim, hp.width)

    def build_discriminator(self):
        return Discriminator(super().build_discriminator())

    def build_recognition(self):
        """Features (N, F) -> logits of the categories and means of the codes, side by side."""
        hp = self.hparams
        layers = [
            nn.Linear(self.discriminator.features, hp.recognition_width, bias=False),
            nn.BatchNorm1d(hp.recognition_width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hp.recognition_width, hp.categories + hp.continuous_codes),
        ]
        return nn.Sequential(*layers).apply(init_weights_)

    def prior(self, count):
        hp, kind = self.hparams, {"device": self.device, "dtype": self.dtype}
        noise = 2 * torch.rand(count, hp.latent_dim, **kind) - 1
        category = torch.randint(hp.categories, (count,), device=self.device)
        codes = 2 * torch.rand(count, hp.continuous_codes, **kind) - 1
        return self.latent(noise, category, codes)

    def project(self, latents):
        """The nearest latents that `prior` can draw: one category, the rest in [-1, 1]."""
        noise, category, codes = self.parts(latents)
        return self.latent(noise.clamp(-1, 1), category.argmax(dim=1), codes.clamp(-1, 1))

    def latent(self, noise, category, codes):
        """(N, Z) of noise (N, latent_dim), category (N,) int64 and codes (N, continuous_codes)."""
        chosen = one_hot(category, self.hparams.categories).to(noise.dtype)
        return torch.cat([noise, chosen, codes], dim=1)

    def parts(self, latent):
        """(noise, one-hot category, codes) of latents (N, Z)."""
        hp = self.hparams
        return latent.split([hp.latent_dim, hp.categories, hp.continuous_codes], dim=1)

    def discriminate(self, images, batch):
        logit, _ = self.discriminator(images)
        return logit

    def recognize(self, features):
        """Logits (N, categories) and means (N, continuous_codes) of Q(c|x)."""
        hp = self.hparams
        return self.recognition(features).split([hp.categories, hp.continuous_codes], dim=1)

    def information(self, features, latent):
        """(L_I of the category in nats, error of the codes) of the features of G(latent)."""
        (logits, means), (_, category, codes) = self.recognize(features), self.parts(latent)
        return mutual_information(logits, category.argmax(dim=1)), code_error(means, codes)

    def bound(self, information, error):
        return information - self.hparams.continuous_weight * error

    def discriminator_loss(self, batch):
        hp, real = self.hparams, batch["image"]
        latent = self.prior(len(real))
        with torch.no_grad():
            fake = self.sample(len(real), {"latent": latent})
        real_logit = self.discriminate(real, batch)
        fake_logit, features = self.discriminator(fake)
        information, error = self.information(features, latent)
        self.log_with_losses(mutual_information=information, code_error=error)
        loss = gan_discriminator_loss(real_logit, fake_logit, hp.label_smoothing)
        weight = self.ramp() * hp.recognition_weight
        return loss - weight * self.bound(information, error)

    def generator_loss(self, batch):
        latent = self.prior(len(batch["image"]))
        logit, features = self.discriminator(self.sample(len(latent), {"latent": latent}))
        bound = self.bound(*self.information(features, latent))
        weight = self.ramp() * self.hparams.information_weight
        return nonsaturating_generator_loss(logit) - weight * bound

    def ramp(self):
        """The share of λ that counts in this batch."""
        warmup = self.hparams.warmup
        return min(1.0, self.clock / warmup) if warmup else 1.0

    def configure_optimizers(self):
        discriminator, generator = super().configure_optimizers()
        discriminator.add_param_group({"params": list(self.recognition.parameters())})
        return [discriminator, generator]

    def measure(self, data, split):
        """L_I and the codes' error of fresh samples, and how the categories match the classes."""
        hp, seen = self.hparams, []
        for latent in self.prior(MEASURED).split(500):
            _, features = self.discriminator(self.sample(len(latent), {"latent": latent}))
            seen.append(self.information(features, latent))
        information, error = torch.tensor(seen).mean(dim=0).tolist()
        numbers = {f"mutual_information_{size(MEASURED)}": information}
        if hp.continuous_codes:
            numbers[f"code_error_{size(MEASURED)}"] = error
        sources = data.source("train"), data.source(split)
        if not data.classes or not len(sources[1]):
            return numbers
        chosen = keyed_permutation(len(sources[0]), "clusters")[:MOST_FITTED].sort().values
        found = [self.categorized(s, data) for s in (Subset(sources[0], chosen), sources[1])]
        shares = cluster_accuracies(*found, hp.categories, data.classes)
        return numbers | {f"{name}_{split}": share for name, share in shares.items()}

    def categorized(self, source, data):
        """(argmax Q(c|x) (N,), label (N,)) of the images of a source."""
        found = []
        for batch in KeyedLoader(source, 500):
            images = data.prepare_batch(batch, self)["image"]
            logits, _ = self.recognize(self.discriminator(images)[1])
            found.append(torch.stack([logits.argmax(dim=1).cpu(), batch["label"]]))
        return torch.cat(found, dim=1)

    def figures(self, data, rows=10):
        """Sweeps of one code, from left to right, as in the paper's figure 2.

        categories: a row for each of ten other latents. code_1, code_2, ...: from -2 to 2, a row
        for each category (the first ten), all else in the rows being the same.
        """
        hp = self.hparams
        if hp.image_channels not in (1, 3):
            return {}
        noise, _, codes = self.parts(self.prior(rows))
        category = torch.arange(hp.categories, device=self.device)
        fixed = [part.repeat_interleave(hp.categories, dim=0) for part in (noise, codes)]
        latent = self.latent(fixed[0], category.repeat(rows), fixed[1])
        panels = {"categories": self.panel(latent, columns=hp.categories)}
        category = category[:rows].repeat_interleave(STEPS)
        values = torch.linspace(-REACH, REACH, STEPS, device=self.device, dtype=noise.dtype)
        for number in range(hp.continuous_codes):
            codes = torch.zeros_like(codes[:1]).repeat(len(category), 1)
            codes[:, number] = values.repeat(len(category) // STEPS)
            latent = self.latent(noise[:1].expand(len(category), -1), category, codes)
            panels[f"code_{number + 1}"] = self.panel(latent, columns=STEPS)
        return panels

    def panel(self, latent, columns):
        return panel(as_images(self, self.sample(len(latent), {"latent": latent})), columns)


class Discriminator(nn.Module):
    """(N, C, H, W) -> logits (N,) and features (N, F), what its last linear map is given."""

    def __init__(self, network):
        super().__init__()
        if not isinstance(network, nn.Sequential):
            raise ValueError("model.network: InfoGAN needs a discriminator that is a sequence.")
        self.trunk, self.head = network[:-2], network[-2:]
        self.features = self.head[0].weight[0].numel()

    def forward(self, images):
        maps = self.trunk(images)
        return self.head(maps), maps.flatten(1)


def mutual_information(logits, category):
    """L_I = E log Q(c|x) + H(c), Chen et al. 2016, eq. 5, in nats, of equally likely categories.

    At most H(c) = ln K, which a Q without error reaches. logits: (N, K), category: (N,) int64.
    """
    return math.log(logits.shape[1]) - cross_entropy(logits, category)


@full_precision
def code_error(means, codes):
    """½ Σ (c - mean(x))², averaged over samples: -log Q(c|x) of N(mean, 1) but for ½ ln 2π a code.

    A Q that knows nothing gives 1/6 for each uniform code. means, codes: (N, number of codes).
    """
    return (codes - means).square().sum(dim=1).mean() / 2
