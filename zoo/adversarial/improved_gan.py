"""Improved techniques for training GANs (Salimans et al. 2016, arXiv 1606.03498)."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo.adversarial.gan import GAN
from zoo.config.errors import NEEDS_LABELS
from zoo.config.fixed_parameters import with_fixed
from zoo.engine.batch_checks import zoo_data_module
from zoo.engine.schedules import linear_decay
from zoo.engine.seeds import run_seed, stream
from zoo.losses import cross_entropy
from zoo.networks.salimans2016 import DISCRIMINATORS, GENERATORS
from zoo.networks.salimans2016_layers import (
    Discriminator,
    HistoricalAverage,
    ReferenceBatchGenerator,
    init_from_data_,
)
from zoo.precision import full_precision


@full_precision
def real_logit(logits: Tensor) -> Tensor:
    """Return log Z, the logit of D(x) = Z / (Z + 1) with Z = Σ exp l_k (section 5).

    There are K + 1 classes, and the logit l_K+1 of generated images is fixed at 0.

    Args:
        logits: Logits (N, K) of the K classes of real images.

    Returns:
        (N,).
    """
    return logits.logsumexp(dim=1)


@full_precision
def feature_matching_loss(
    real: Tensor, fake: Tensor, reduce: Callable[[Tensor], Tensor] | None = None, power: int = 2
) -> Tensor:
    """Mean over features of |E f(x) - E f(G(z))|^power, with means over the batch (section 3.1).

    Args:
        real: Features (N, F) of real images.
        fake: Features (N, F) of generated images.
        reduce: Function that averages a tensor over all processes. The loss and its averaged
            gradients are then those of the batches of all processes together.
        power: 2, or 1 as in the authors' code for convolutional networks.
    """
    difference = real.mean(dim=0) - fake.mean(dim=0)  # (F,)
    if reduce is not None:
        own = difference.detach()
        difference = difference + (reduce(own.clone()) - own)
    return difference.abs().pow(power).mean()


class ImprovedGAN(GAN):
    """Semi-supervised GAN: the discriminator has a logit for each of K classes.

    The discriminator learns to classify a few labeled images (data.labels=N) and to distinguish all
    real images from generated ones. The defaults are the paper's settings for semi-supervised
    MNIST.

    Before training, the gains and biases of the discriminator's weight norm are initialized on 500
    images. Those of the convolutional generator's last layer are initialized on 100 latents. Only
    the gains of the last layers are trained. This follows the authors' code. The initialization
    needs a data module, and is skipped when training on loaders.

    Args:
        classes: Number of classes, K.
        network: "mlp", the authors' networks for MNIST, or "conv", those for CIFAR-10 and SVHN.
        width: Units or channels of the discriminator's first layer.
        generator_width: Units of the generator's layers, or channels of its smallest feature maps.
            Default: width times the authors' ratio.
        lr: Adam's learning rate.
        unlabeled_weight: Weight of the loss on unlabeled images. With 0 the discriminator is
            trained as a classifier of the labeled images only.
        feature_matching: Train the generator with feature matching instead of the GAN loss. As in
            the authors' code, "mlp" uses squared differences and "conv" absolute differences.
        minibatch_kernels: Number of kernels of minibatch discrimination. 0 disables it, and the
            authors use 100. Images are compared within one process. All batches must have the same
            size.
        historical_averaging: Weight of historical averaging, ‖θ - mean θ‖², in the losses of both
            players.
        reference_batch: Size of the reference batch of the generator's virtual batch norm; 0 uses
            batch norm.
        decay: Number of batches of training. Learning rates decay linearly to 0 over the last
            third. 0 keeps them constant.

    Deviations: features are matched on the batch of the discriminator's step. The authors use
    another batch. Adam's epsilon of 1e-4 is added outside the square root. The authors add 1e-8
    inside it. This difference changes the step size by less than a factor of √2. Averaged weights
    start at the initial weights. In the authors' code they start at 0. With minibatch
    discrimination, the networks still use dropout, generator and discriminator take one step each
    in turn, and the projection tensor has no weight norm.
    """

    needs = ("image", "label", "labeled_image", "labeled_label")
    discriminator: Discriminator

    def __init__(
        self,
        classes: int = 10,
        network: str = "mlp",
        width: int = 1000,
        generator_width: int | None = None,
        lr: float = 3e-3,
        unlabeled_weight: float = 1.0,
        feature_matching: bool = True,
        minibatch_kernels: Annotated[int, "[0, 65536]"] = 0,
        historical_averaging: Annotated[float, "[0, inf)"] = 0.0,
        reference_batch: Annotated[int, "[0, 1000000]"] = 0,
        decay: Annotated[int, "[0, inf)"] = 0,
        **gan,
    ):
        if network not in GENERATORS:
            raise ValueError(f"model.network={network}: choose one of {', '.join(GENERATORS)}.")
        if not classes:
            raise ValueError(f"improved_gan {NEEDS_LABELS}")
        super().__init__(**with_fixed(self, gan, {"spectral_norm": False}))
        if self.hparams.historical_averaging:
            self.discriminator_history = HistoricalAverage(self.discriminator.parameters())
            self.generator_history = HistoricalAverage(self.generator.parameters())

    def build_generator(self) -> nn.Module:
        hp = self.hparams
        default_width = {"mlp": hp.width // 2, "conv": hp.width * 16 // 3}  # 500 / 1000, 512 / 96
        width = hp.generator_width or default_width[hp.network]
        shape = hp.image_size, hp.image_channels, hp.latent_dim, width
        network = GENERATORS[hp.network](*shape, hp.reference_batch)
        if not hp.reference_batch:
            return network
        return ReferenceBatchGenerator(network, torch.rand(hp.reference_batch, hp.latent_dim))

    def build_discriminator(self) -> Discriminator:
        """Images (N, C, H, W) -> class logits (N, K) and features (N, F)."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.classes, hp.width
        return DISCRIMINATORS[hp.network](*shape, hp.minibatch_kernels)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data: Any = zoo_data_module(self.trainer.datamodule)
        if stage != "fit" or data is None or self.discriminator.initialized:
            return
        train = data.source("train")
        batch = data.prepare_batch(train[torch.arange(min(500, len(train)))], self)
        with stream(self.device, str(run_seed()), "settle"):  # text: results depend on it
            init_from_data_(self.discriminator, batch["image"])
            init_from_data_(self.generator, self.prior(100))
        self.discriminator.initialized.fill_(True)

    def prior(self, count: int) -> Tensor:
        """Sample latents (count, Z), uniform in [0, 1]."""
        return torch.rand(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def project(self, latents: Tensor) -> Tensor:
        """Return the nearest latents in the support of `prior`."""
        return latents.clamp(0, 1)

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logits, _ = self.discriminator(images)
        return real_logit(logits)

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return L_supervised + w L_unsupervised (section 5), with the authors' factor of ½."""
        unsupervised = super().discriminator_loss(batch) / 2
        logits, _ = self.discriminator(batch["labeled_image"])  # (N, K)
        supervised = cross_entropy(logits, batch["labeled_label"])
        loss = supervised + self.hparams.unlabeled_weight * unsupervised
        return loss + self.historical_term("discriminator")

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        if not self.hparams.feature_matching:
            return super().generator_loss(batch) + self.historical_term("generator")
        real = batch["image"]
        with torch.no_grad():
            _, real_features = self.discriminator(real)  # (N, F)
        _, fake_features = self.discriminator(self.sample(len(real), batch))
        several = self._trainer is not None and self.trainer.world_size > 1
        reduce = self.trainer.strategy.reduce if several else None
        power = 1 if self.hparams.network == "conv" else 2
        loss = feature_matching_loss(real_features, fake_features, reduce, power)
        return loss + self.historical_term("generator")

    def historical_term(self, player: str) -> Tensor | float:
        """Return the weighted term of historical averaging in a player's loss (section 3.3)."""
        weight = self.hparams.historical_averaging
        if not weight:
            return 0.0
        history = getattr(self, f"{player}_history")
        return weight * history(getattr(self, player).parameters())

    def configure_optimizers(self) -> Any:
        hp = self.hparams
        steps = hp.decay // hp.accumulate
        optimizers = super().configure_optimizers()
        for optimizer in optimizers:
            optimizer.param_groups[0]["eps"] = 1e-4
        return linear_decay(optimizers, steps, steps // hp.discriminator_steps, slope=3)

    def measure(self, data: Any, split: str) -> dict[str, float]:
        """Compute accuracy_SPLIT, the share of images that are classified correctly."""
        if data.classes != self.hparams.classes:
            return {}
        right = count = 0
        for batch in data.loader(split, data.batch_size):
            batch = data.prepare_batch(batch, self)
            logits, _ = self.discriminator(batch["image"])  # (N, K)
            right += int((logits.argmax(dim=1) == batch["label"]).sum())
            count += len(logits)
        return {f"accuracy_{split}": right / count} if count else {}
