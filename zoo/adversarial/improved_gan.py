"""Improved techniques for training GANs (Salimans et al. 2016, arXiv 1606.03498)."""

import os
from typing import Annotated

import torch

from zoo.adversarial.gan import GAN
from zoo.engine.batch_checks import readable
from zoo.engine.schedules import linear_decay
from zoo.engine.seeds import stream
from zoo.losses import cross_entropy
from zoo.networks.salimans2016 import DISCRIMINATORS, GENERATORS
from zoo.networks.salimans2016_layers import (
    HistoricalAverage,
    ReferenceBatchGenerator,
    init_from_data_,
)
from zoo.precision import full_precision


@full_precision
def real_logit(logits):
    """log Z, (N,), of class logits (N, K): the logit of D(x) = Z / (Z + 1), Z = Σ exp l_k.

    The K + 1 classes of section 5, where l_K+1, the logit of the generated ones, is fixed at 0.
    """
    return logits.logsumexp(dim=1)


@full_precision
def feature_matching_loss(real, fake, reduce=None, power=2):
    """Mean over the features of |E f(x) - E f(G(z))|^power, section 3.1: of means, not of pairs.

    Args:
        real: features (N, F) of real images.
        fake: features (N, F) of generated ones.
        reduce: the mean of a tensor over the processes, among which the batch is shared out. The
            loss is that of the whole batch then, and the mean of its gradients over the processes
            is, too.
        power: 2, or 1, which the authors' code has for convolutional networks.
    """
    difference = real.mean(dim=0) - fake.mean(dim=0)
    if reduce is not None:
        own = difference.detach()
        difference = difference + (reduce(own.clone()) - own)
    return difference.abs().pow(power).mean()


class ImprovedGAN(GAN):
    """GAN that classifies: semi-supervised, its discriminator has a logit for each of K classes.

    It learns the classes of few labelled images, and that all images, labelled or not, are of one
    of them and the generated ones of none. data.labels=N says how many have labels.

    The techniques, with the defaults of the paper's semi-supervised MNIST:
        network: "mlp", the authors' for MNIST, or "conv", for CIFAR-10 and SVHN; width is that of
            the discriminator, generator_width that of the generator, by default in proportion.
        unlabelled_weight: of the loss on images without labels; at 0 the discriminator is a
            classifier that learns from the labelled images alone, whatever the generator does.
        feature_matching: the generator's objective, by squares, or by absolute values for the
            convolutional networks, as in the authors' code; else it is GAN's, see `saturating`.
        minibatch_kernels: of minibatch discrimination, 0 leaves it out; the authors take 100. It is
            among the images of a process, and wants batches of one size.
        historical_averaging: the weight of ‖θ - mean θ‖² in the losses of both players.
        label_smoothing: one-sided, of the images without labels; see GAN.
        reference_batch: size of that of the generator's virtual batch norm; 0 is batch norm.
        decay: batches of which the last third lowers the rates linearly to 0; 0 leaves them alone.

    Before training, data set the gains and biases of weight norm, as in the authors' code: 500
    images those of the discriminator, 100 latents that of the convolutional generator's last layer.
    The gains of all layers but the last stay. Training on loaders of one's own leaves them
    as they are.

    Deviations: the features matched are those of the batch that the discriminator has just seen,
    the authors' those of another. The authors' Adam adds 1e-8 to the mean square below the root;
    ours adds 1e-4 to the root, which differs from theirs by less than a factor of √2. Averaged
    weights begin at the weights, the authors' at 0. With minibatch discrimination dropout stays,
    the players move in turns of one, and its tensor has no weight norm.
    """

    needs = ("image", "label", "labelled_image", "labelled_label")

    def __init__(
        self,
        classes: int = 10,
        network: str = "mlp",
        width: int = 1000,
        generator_width: int | None = None,
        lr: float = 3e-3,
        unlabelled_weight: float = 1.0,
        feature_matching: bool = True,
        minibatch_kernels: Annotated[int, "[0, 65536]"] = 0,
        historical_averaging: Annotated[float, "[0, inf)"] = 0.0,
        reference_batch: Annotated[int, "[0, 1000000]"] = 0,
        decay: Annotated[int, "[0, inf)"] = 0,
        **gan,
    ):
        if network not in GENERATORS:
            raise ValueError(f"model.network={network}: there are {', '.join(GENERATORS)}.")
        if not classes:
            raise ValueError("improved_gan needs data with labels.")
        super().__init__(**gan | {"spectral_norm": False})
        if self.hparams.historical_averaging:
            self.discriminator_history = HistoricalAverage(self.discriminator.parameters())
            self.generator_history = HistoricalAverage(self.generator.parameters())

    def build_generator(self):
        hp = self.hparams
        of_width = {"mlp": hp.width // 2, "conv": hp.width * 16 // 3}  # 500 of 1000, 512 of 96
        width = hp.generator_width or of_width[hp.network]
        shape = hp.image_size, hp.image_channels, hp.latent_dim, width
        network = GENERATORS[hp.network](*shape, hp.reference_batch)
        if not hp.reference_batch:
            return network
        return ReferenceBatchGenerator(network, torch.rand(hp.reference_batch, hp.latent_dim))

    def build_discriminator(self):
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.classes, hp.width
        return DISCRIMINATORS[hp.network](*shape, hp.minibatch_kernels)

    def setup(self, stage):
        super().setup(stage)
        data = readable(self.trainer.datamodule)
        if stage != "fit" or data is None or self.discriminator.settled:
            return
        train = data.source("train")
        batch = data.prepare_batch(train[torch.arange(min(500, len(train)))], self)
        with stream(self.device, os.environ.get("PL_GLOBAL_SEED", 0), "settle"):
            init_from_data_(self.discriminator, batch["image"])
            init_from_data_(self.generator, self.prior(100))
        self.discriminator.settled.fill_(True)

    def prior(self, count):
        return torch.rand(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def project(self, latents):
        """The nearest latents that `prior` can draw."""
        return latents.clamp(0, 1)

    def discriminate(self, images, batch):
        logits, _ = self.discriminator(images)
        return real_logit(logits)

    def discriminator_loss(self, batch):
        """L_supervised + L_unsupervised, section 5; the latter halved, as in the authors' code."""
        unsupervised = super().discriminator_loss(batch) / 2
        logits, _ = self.discriminator(batch["labelled_image"])
        supervised = cross_entropy(logits, batch["labelled_label"])
        loss = supervised + self.hparams.unlabelled_weight * unsupervised
        return loss + self.averaging("discriminator")

    def generator_loss(self, batch):
        if not self.hparams.feature_matching:
            return super().generator_loss(batch) + self.averaging("generator")
        real = batch["image"]
        with torch.no_grad():
            _, real_features = self.discriminator(real)
        _, fake_features = self.discriminator(self.sample(len(real), batch))
        several = self._trainer is not None and self.trainer.world_size > 1
        reduce = self.trainer.strategy.reduce if several else None
        power = 1 if self.hparams.network == "conv" else 2
        loss = feature_matching_loss(real_features, fake_features, reduce, power)
        return loss + self.averaging("generator")

    def averaging(self, player):
        """The term of historical averaging in a player's loss."""
        weight = self.hparams.historical_averaging
        if not weight:
            return 0.0
        history = getattr(self, f"{player}_history")
        return weight * history(getattr(self, player).parameters())

    def configure_optimizers(self):
        hp = self.hparams
        steps = hp.decay // hp.accumulate
        optimizers = super().configure_optimizers()
        for optimizer in optimizers:
            optimizer.param_groups[0]["eps"] = 1e-4
        return linear_decay(optimizers, steps, steps // hp.discriminator_steps, lastly=3)

    def measure(self, data, split):
        """accuracy_SPLIT: the share of the images whose class the discriminator names."""
        if data.classes != self.hparams.classes:
            return {}
        right = count = 0
        for batch in data.loader(split, data.batch_size):
            batch = data.prepare_batch(batch, self)
            logits, _ = self.discriminator(batch["image"])
            right += int((logits.argmax(dim=1) == batch["label"]).sum())
            count += len(logits)
        return {f"accuracy_{split}": right / count} if count else {}
