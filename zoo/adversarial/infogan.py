"""InfoGAN (Chen et al. 2016, arXiv 1606.03657): latent codes that can be inferred from images."""

import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import Optimizer

from zoo import networks
from zoo.adversarial.gan import GAN
from zoo.config.fixed_parameters import with_fixed
from zoo.losses import cross_entropy, gan_discriminator_loss, nonsaturating_generator_loss
from zoo.metrics.cluster_accuracy import category_accuracies
from zoo.metrics.compute import count_name
from zoo.networks.infogan import SLOPE, DiscriminatorWithFeatures, init_weights_
from zoo.plots.code_sweeps import code_sweeps
from zoo.precision import full_precision

MEASURED_SAMPLES = 2000  # new samples on which mutual information is measured


class InfoGAN(GAN):
    """GAN that maximizes a lower bound L_I on the mutual information between codes and images.

    A latent is (noise, categories, codes): `latent_dim` numbers ~ U(-1, 1), one-hot categories, and
    `continuous_codes` numbers ~ U(-1, 1). The recognition network Q(c|x) predicts categories and
    codes from the discriminator's features. Q is updated together with the discriminator, as in the
    authors' code.

    With information_weight=0 and recognition_weight=1, Q is trained, but the generator's loss does
    not include L_I. This is the baseline of the paper's figure 1.

    Args:
        latent_dim: Size of the noise vector.
        categories: Number K of values of a categorical code, all equally likely.
        categorical_codes: Number M of categorical codes. The paper has 1 for MNIST, 4 for SVHN and
            10 for CelebA.
        continuous_codes: Number of continuous codes.
        network: Pair of networks, a module in zoo/networks.
        width: Channels of the layers at the largest resolution, or units of fully connected layers.
        recognition_width: Units of Q's hidden layer.
        information_weight: Weight of L_I in the generator's loss, the paper's λ.
        recognition_weight: Weight of L_I in the joint loss of the discriminator and Q.
        continuous_weight: Weight of the continuous codes in L_I.
        warmup: Number of batches in which both weights of L_I rise linearly from 0; paper: none.
        lr: Adam's learning rate for the generator.
        discriminator_lr: Learning rate of the discriminator and Q.

    Deviations: the generator ends in tanh, so images are in [-1, 1]. The logged mutual information
    is that of the categories only. The authors add that of the continuous codes, and compute its
    entropy term with a prior of N(0, 1), although the codes are uniform. For continuous codes, the
    squared error of Q is logged, which is -log Q up to a constant.
    """

    discriminator: DiscriminatorWithFeatures

    def __init__(
        self,
        latent_dim: int = 62,
        categories: Annotated[int, "[2, 65536]"] = 10,
        categorical_codes: Annotated[int, "[1, 256]"] = 1,
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
        super().__init__(**with_fixed(self, gan, {"saturating": False}))
        self.recognition = self.build_recognition()

    def build_generator(self) -> nn.Module:
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        latent_dim = hp.latent_dim + self.code_outputs()
        return network.generator(hp.image_size, hp.image_channels, latent_dim, hp.width)

    def build_discriminator(self) -> DiscriminatorWithFeatures:
        """Images (N, C, H, W) -> logits (N,) and features (N, F)."""
        return DiscriminatorWithFeatures(super().build_discriminator())

    def code_outputs(self) -> int:
        """Return the number of values of all codes, categories as one-hot vectors."""
        hp = self.hparams
        return hp.categorical_codes * hp.categories + hp.continuous_codes

    def build_recognition(self) -> nn.Module:
        """Features (N, F) -> logits of the categories and means of the codes, concatenated."""
        hp = self.hparams
        layers = [
            nn.Linear(self.discriminator.features, hp.recognition_width, bias=False),
            nn.BatchNorm1d(hp.recognition_width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hp.recognition_width, self.code_outputs()),
        ]
        return nn.Sequential(*layers).apply(init_weights_)

    def prior(self, count: int) -> Tensor:
        hp, like = self.hparams, {"device": self.device, "dtype": self.dtype}
        noise = 2 * torch.rand(count, hp.latent_dim, **like) - 1
        shape = count, hp.categorical_codes
        category = torch.randint(hp.categories, shape, device=self.device)
        codes = 2 * torch.rand(count, hp.continuous_codes, **like) - 1
        return self.join_latent(noise, category, codes)

    def project(self, latents: Tensor) -> Tensor:
        """Return the nearest latents in the support of `prior`, with one-hot categories."""
        noise, category, codes = self.split_latent(latents)
        return self.join_latent(noise.clamp(-1, 1), category.argmax(dim=2), codes.clamp(-1, 1))

    def with_discrete_part(self, latents: Tensor, others: Tensor) -> Tensor:
        """Return latents (N, Z) with the categories of others (N, Z)."""
        (noise, _, codes), (_, category, _) = map(self.split_latent, (latents, others))
        return self.join_latent(noise, category.argmax(dim=2), codes)

    def join_latent(self, noise: Tensor, category: Tensor, codes: Tensor) -> Tensor:
        """Concatenate the parts of latents.

        Args:
            noise: (N, latent_dim).
            category: (N, M) int64.
            codes: (N, continuous_codes).

        Returns:
            Latents (N, Z), with the categories as one-hot vectors.
        """
        one_hots = one_hot(category, self.hparams.categories).to(noise.dtype)  # (N, M, K)
        return torch.cat([noise, one_hots.flatten(1), codes], dim=1)

    def split_latent(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split latents (N, Z) into noise, one-hot categories (N, M, K) and codes."""
        noise_dim = self.hparams.latent_dim
        return latent[:, :noise_dim], *self.split_codes(latent[:, noise_dim:])

    def split_codes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Split (N, code_outputs) into the part of the categories (N, M, K), and of the codes."""
        hp = self.hparams
        shape = hp.categorical_codes, hp.categories
        category, codes = values.tensor_split([shape[0] * shape[1]], dim=1)
        return category.unflatten(1, shape), codes

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logit, _ = self.discriminator(images)
        return logit

    def recognize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, M, K) and means (N, continuous_codes) of Q(c|x)."""
        return self.split_codes(self.recognition(features))

    def information(self, features: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Compare Q's predictions with the latents of the images.

        Args:
            features: (N, F), the discriminator's features of G(latent).
            latent: (N, Z).

        Returns:
            L_I of the categories, in nats, and the error of the continuous codes.
        """
        logits, means = self.recognize(features)
        _, category, codes = self.split_latent(latent)
        return mutual_information(logits, category.argmax(dim=2)), code_error(means, codes)

    def information_bound(self, information: Tensor, error: Tensor) -> Tensor:
        """Combine the results of `information` into L_I."""
        return information - self.hparams.continuous_weight * error

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss of the discriminator and Q, eq. 6."""
        hp, real = self.hparams, batch["image"]
        latent = self.prior(len(real))
        with torch.no_grad():
            fake = self.sample(len(real), {"latent": latent})
        real_logit = self.discriminate(real, batch)
        fake_logit, features = self.discriminator(fake)
        information, error = self.information(features, latent)
        self.log_with_losses(mutual_information=information, code_error=error)
        loss = gan_discriminator_loss(real_logit, fake_logit, hp.label_smoothing)
        weight = self.warmup_factor() * hp.recognition_weight
        return loss - weight * self.information_bound(information, error)

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the generator's loss, eq. 6, with the non-saturating loss."""
        latent = self.prior(len(batch["image"]))
        logit, features = self.discriminator(self.sample(len(latent), {"latent": latent}))
        bound = self.information_bound(*self.information(features, latent))
        weight = self.warmup_factor() * self.hparams.information_weight
        return nonsaturating_generator_loss(logit) - weight * bound

    def warmup_factor(self) -> float:
        """Return the factor in [0, 1] by which `warmup` scales the weights of L_I in this batch."""
        warmup = self.hparams.warmup
        return min(1.0, self.clock / warmup) if warmup else 1.0

    def configure_optimizers(self) -> list[Optimizer]:
        discriminator, generator = super().configure_optimizers()
        discriminator.add_param_group({"params": list(self.recognition.parameters())})
        return [discriminator, generator]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        """Compute L_I and the code error of new samples, and match categories with classes."""
        hp, results = self.hparams, []
        for latent in self.prior(MEASURED_SAMPLES).split(500):
            _, features = self.discriminator(self.sample(len(latent), {"latent": latent}))
            results.append(self.information(features, latent))
        information, error = torch.tensor(results).mean(dim=0).tolist()
        numbers = {f"mutual_information_{count_name(MEASURED_SAMPLES)}": information}
        if hp.continuous_codes:
            numbers[f"code_error_{count_name(MEASURED_SAMPLES)}"] = error
        return numbers | category_accuracies(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return code_sweeps(self)


def mutual_information(logits: Tensor, category: Tensor) -> Tensor:
    """L_I = E log Q(c|x) + H(c), Chen et al. 2016, eq. 5, in nats, for equally likely categories.

    Args:
        logits: Q's logits, (N, M, K).
        category: (N, M) int64.

    Returns:
        A scalar, the sum over the M codes. Its maximum is H(c) = M ln K, for a Q without errors.
    """
    error = cross_entropy(logits.flatten(0, 1), category.flatten())
    return logits.shape[1] * (math.log(logits.shape[2]) - error)


@full_precision
def code_error(means: Tensor, codes: Tensor) -> Tensor:
    """½ Σ (c - mean(x))² of Q's means and of codes (N, continuous_codes), averaged over samples.

    This is -log Q(c|x) for Q = N(mean, 1), without the constant ½ ln 2π of each code. If Q always
    predicts 0, each uniform code contributes 1/6 on average.
    """
    return (codes - means).square().sum(dim=1).mean() / 2
