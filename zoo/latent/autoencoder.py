"""Autoencoder (Hinton, Salakhutdinov 2006), denoising if asked (Vincent et al. 2008)."""

from contextlib import contextmanager
from typing import Annotated

import torch
from sklearn.mixture import GaussianMixture

from zoo.base import GenerativeModule
from zoo.engine.batch_checks import readable
from zoo.engine.conditions import check_conditions
from zoo.engine.distributed import on_rank_zero
from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import keyed_permutation
from zoo.losses import mse_loss
from zoo.metrics.psnr import psnr
from zoo.networks.autoencoder import Decoder, Encoder
from zoo.plots.reconstructions import reconstructions

MOST_CODES = 10_000  # of training images, a fixed choice, to which the mixture is fitted


class Autoencoder(GenerativeModule):
    """Encoder and decoder that lower the squared error of reconstructed images.

    noise: standard deviation of normal noise on what the encoder sees in training, in units of
    images in [-1, 1]; the decoder is to give them without it. network: "mlp" or "conv".

    It has no prior of its own: samples are decoded from a mixture of `components` Gaussians, fitted
    by scikit-learn to the codes of training images whenever the model is evaluated or saved, and at
    the end of training; to those of the averaged encoder, where there is one.
    """

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        latent_dim: int = 32,
        network: str = "conv",
        width: int = 32,
        noise: Annotated[float, "[0, inf)"] = 0.0,
        components: Annotated[int, "[1, 65536]"] = 20,
        lr: float = 1e-3,
        **shared,
    ):
        super().__init__(**shared)
        hp = self.hparams
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        count, dim = hp.components, hp.latent_dim
        self.register_buffer("shares", torch.full((count,), 1 / count))
        self.register_buffer("means", torch.zeros(count, dim))
        self.register_buffer("factors", torch.eye(dim).repeat(count, 1, 1))  # L of L Lᵀ
        self.fitted = None  # the batch after which the mixture was fitted

    def build_encoder(self):
        hp = self.hparams
        return Encoder(hp.network, hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def build_decoder(self):
        hp = self.hparams
        return Decoder(hp.network, hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def prior(self, count):
        """Codes (N, Z) of the mixture."""
        noise = torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)
        component = torch.multinomial(self.shares.float(), count, replacement=True)
        return self.means[component] + (self.factors[component] @ noise[..., None])[..., 0]

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.decoder(latent).tanh()

    def reconstruct(self, batch):
        return self.decoder(self.encoder(batch["image"])).tanh()

    def training_step(self, batch, batch_idx):
        hp, real = self.hparams, batch["image"]
        optimizer = self.optimizers()
        with self.turn(optimizer):
            seen = real
            if hp.noise:
                seen = real + hp.noise * torch.randn(
                    *real.shape, device=self.device, dtype=self.dtype
                )
            loss = mse_loss(self.reconstruct({"image": seen}), real)
            self.manual_backward(loss)
        self.log_losses(squared_error=loss)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

    @contextmanager
    def evaluating(self):
        with super().evaluating() as model:
            trainer = self._trainer
            if trainer and readable(trainer.datamodule) and self.fitted != trainer.global_step:
                self.fit_mixture()
            yield model

    def on_fit_start(self):
        super().on_fit_start()
        self.fitted = None

    def on_train_end(self):
        super().on_train_end()
        with self.evaluating():  # so that the mixture is of the last batch
            pass

    def on_save_checkpoint(self, checkpoint):
        with self.evaluating():  # in place: the checkpoint holds the buffers themselves
            super().on_save_checkpoint(checkpoint)

    def fit_mixture(self):
        """Fits the mixture to the codes of training images, on process 0, for all."""
        found = on_rank_zero(self._mixture)
        for buffer, values in zip((self.shares, self.means, self.factors), found, strict=True):
            buffer[len(values) :] = 0  # of no share, where there are fewer codes than components
            buffer[: len(values)] = values
        self.fitted = self.trainer.global_step

    def _mixture(self):
        data = self.trainer.datamodule
        source = data.source("train")
        chosen = keyed_permutation(len(source), "mixture")[:MOST_CODES].split(CHUNK)
        images = (data.prepare_batch(source[part], self)["image"] for part in chosen)
        codes = torch.cat([self.encoder(part) for part in images]).cpu().double().numpy()
        components = min(self.hparams.components, len(codes))
        mixture = GaussianMixture(components, reg_covar=1e-4, random_state=0).fit(codes)
        factors = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
        return torch.from_numpy(mixture.weights_), torch.from_numpy(mixture.means_), factors

    def measure(self, data, split):
        return psnr(self, data, split)

    def figures(self, data):
        return reconstructions(self, data)
