"""Autoencoder (Hinton, Salakhutdinov 2006), optionally denoising (Vincent et al. 2008)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.engine.batch_checks import zoo_data_module
from zoo.engine.conditions import check_conditions
from zoo.engine.distributed import on_rank_zero
from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import keyed_permutation
from zoo.losses import mse_loss
from zoo.metrics.psnr import psnr
from zoo.networks.autoencoder import Decoder, Encoder
from zoo.plots.reconstructions import reconstructions
from zoo.taxonomy import Leaf

LEAF = Leaf.DIRECT  # unlike its package: there is no density
MAX_CODES = 10_000  # number of training images whose codes the mixture is fitted to


class Autoencoder(GenerativeModule):
    """Encoder and decoder trained to minimize the squared error of reconstructions.

    An autoencoder has no prior. `sample` decodes codes from a Gaussian mixture, which scikit-learn
    fits to the codes of training images. It is fitted when the model is evaluated or saved during
    training, and at the end of training. With callbacks.ema the codes are those of the averaged
    encoder.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size Z of the code.
        network: Architecture of both networks, "mlp" or "conv".
        width: Hidden units of the MLPs, or feature maps of the first convolution.
        noise: Standard deviation of the normal noise added to the encoder's input in training, for
            images in [-1, 1]. With noise the model is a denoising autoencoder, which reconstructs
            the clean image.
        components: Number of Gaussians in the mixture.
        lr: Learning rate of Adam.
    """

    mixture_weights: Tensor
    means: Tensor
    factors: Tensor

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
        # The mixture: weights (K,), means, and Cholesky factors L of the covariances L Lᵀ.
        self.register_buffer("mixture_weights", torch.full((count,), 1 / count))
        self.register_buffer("means", torch.zeros(count, dim))
        self.register_buffer("factors", torch.eye(dim).repeat(count, 1, 1))
        self.fitted_at: int | None = None  # the batch after which the mixture was fitted

    def build_encoder(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to codes (N, Z)."""
        hp = self.hparams
        return Encoder(hp.network, hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def build_decoder(self) -> nn.Module:
        """Build the network from codes (N, Z) to images (N, C, H, W) before tanh."""
        hp = self.hparams
        return Decoder(hp.network, hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def prior(self, count: int) -> Tensor:
        """Sample codes (N, Z) from the mixture."""
        noise = torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)
        component = torch.multinomial(self.mixture_weights.float(), count, replacement=True)
        return self.means[component] + (self.factors[component] @ noise[..., None])[..., 0]

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.decoder(latent).tanh()

    def reconstruct(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the decoded codes of a batch's images, (N, C, H, W) in [-1, 1]."""
        return self.decoder(self.encoder(batch["image"])).tanh()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        hp, real = self.hparams, batch["image"]  # (N, C, H, W)
        optimizer = self.optimizers()
        with self.turn(optimizer):
            inputs = real
            if hp.noise:
                inputs = real + hp.noise * torch.randn(
                    *real.shape, device=self.device, dtype=self.dtype
                )
            loss = mse_loss(self.reconstruct({"image": inputs}), real)
            self.manual_backward(loss)
        self.log_losses(squared_error=loss)

    def configure_optimizers(self) -> Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

    @contextmanager
    def evaluating(self) -> Iterator["Autoencoder"]:
        with super().evaluating():
            if self.mixture_is_outdated():
                self.fit_mixture()
            yield self

    def mixture_is_outdated(self) -> bool:
        """Return whether to fit the mixture: after each batch of training, or if it never was."""
        trainer: Any = self._trainer
        if trainer is None or zoo_data_module(trainer.datamodule) is None:
            return False
        if trainer.state.fn == "fit":
            return self.fitted_at != trainer.global_step
        return not self.means.any()  # zeros until it is fitted

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.fitted_at = None

    def on_train_end(self) -> None:
        super().on_train_end()
        with self.evaluating():  # fits the mixture after the last batch
            pass

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The mixture is fitted in place: the checkpoint already refers to these buffers.
        with self.evaluating():
            super().on_save_checkpoint(checkpoint)

    def fit_mixture(self) -> None:
        """Fit the mixture to the codes of training images on process 0, and share the result."""
        fitted = on_rank_zero(self._fitted_mixture)
        for buffer, values in zip(
            (self.mixture_weights, self.means, self.factors), fitted, strict=True
        ):
            buffer[len(values) :] = 0  # unused components, if there are fewer codes
            buffer[: len(values)] = values
        self.fitted_at = self.trainer.global_step

    def _fitted_mixture(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return shares (K,), means (K, Z) and Cholesky factors (K, Z, Z) of a new mixture."""
        from sklearn.mixture import GaussianMixture  # slow to import; samples do not need it

        data = self.trainer.datamodule
        source = data.source("train")
        chosen = keyed_permutation(len(source), "mixture")[:MAX_CODES].split(CHUNK)
        images = (data.prepare_batch(source[part], self)["image"] for part in chosen)
        codes = torch.cat([self.encoder(part) for part in images]).cpu().double().numpy()  # (N, Z)
        components = min(self.hparams.components, len(codes))
        mixture = GaussianMixture(components, reg_covar=1e-4, random_state=0).fit(codes)
        factors = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
        return torch.from_numpy(mixture.weights_), torch.from_numpy(mixture.means_), factors

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return psnr(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return reconstructions(self, data)
