"""VQ-VAE (van den Oord, Vinyals, Kavukcuoglu 2017, arXiv 1711.00937): codes and their prior."""

from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.engine.seeds import keyed_permutation
from zoo.losses import mse_loss
from zoo.metrics.codebook import codebook_metrics
from zoo.metrics.psnr import psnr
from zoo.networks import raster_sampling as raster
from zoo.networks.codebook import Codebook, straight_through
from zoo.networks.gated_pixelcnn import GatedConvs
from zoo.networks.vqvae import decoder, encoder
from zoo.plots.reconstructions import reconstructions
from zoo.precision import at_least_float32, uniforms


class VQVAE(GenerativeModule):
    """Autoencoder whose code is a small map of codebook entries, and a PixelCNN prior of codes.

    Each output of the encoder is replaced by the nearest vector of the codebook. The decoder's
    gradient is copied to the encoder. The codebook follows the encoder by moving averages, over all
    processes. `sample` draws codes from the prior and decodes them. `data=codes` trains another
    model as the prior.

    Deviations: the prior is trained together with the autoencoder, on the codes of the same batch,
        instead of after it. The prior has no effect on the autoencoder. The first batch
        initializes the codebook, and unused codes are replaced. Images are in [-1, 1], the output
        of a tanh.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size Z of a vector of the codebook.
        num_codes: Number K of vectors.
        halvings: Number of times that the encoder halves the size of the maps.
        width: Feature maps of encoder and decoder.
        blocks: Residual blocks of encoder and decoder, each.
        commitment_weight: Weight β of the commitment term (eq. 3).
        codebook_decay: Weight of the old codebook in its moving averages (appendix A.1).
        revival: A code is replaced by a random output of the encoder when its average usage falls
            below this fraction of the mean usage.
        prior_width: Feature maps of the prior.
        prior_layers: Gated layers of the prior.
        prior_lr: Adam's learning rate of the prior.
        lr: Adam's learning rate of encoder and decoder.
        decay: Both learning rates are multiplied by this factor after each step.
    """

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        latent_dim: int = 64,
        num_codes: Annotated[int, "[2, 65536]"] = 512,
        halvings: Annotated[int, "[1, 10]"] = 2,
        width: int = 256,
        blocks: int = 2,
        commitment_weight: float = 0.25,
        codebook_decay: Annotated[float, "[0, 1)"] = 0.99,
        revival: Annotated[float, "[0, 1)"] = 0.1,
        prior_width: int = 64,
        prior_layers: int = 8,
        prior_lr: float = 1e-3,
        lr: float = 2e-4,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        **shared,
    ):
        if image_size % 2**halvings:
            raise ValueError(
                f"model.halvings={halvings}: the image size {image_size} is no multiple of "
                f"{2**halvings}. Set a smaller model.halvings or another data.image_size."
            )
        super().__init__(**shared)
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        self.codebook = Codebook(num_codes, latent_dim)
        self.code_prior = self.build_code_prior()
        self.group_sums: Tensor | None = None  # of the codebook, if a group of batches has begun

    @property
    def code_size(self) -> int:
        """Height and width of an image's map of codes."""
        return self.hparams.image_size // 2**self.hparams.halvings

    def build_encoder(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to vectors (N, Z, h, w)."""
        hp = self.hparams
        return encoder(hp.image_channels, hp.latent_dim, hp.width, hp.halvings, hp.blocks)

    def build_decoder(self) -> nn.Module:
        """Build the network from vectors (N, Z, h, w) to images (N, C, H, W) before tanh."""
        hp = self.hparams
        return decoder(hp.latent_dim, hp.image_channels, hp.width, hp.halvings, hp.blocks)

    def build_code_prior(self) -> nn.Module:
        """Build the network from vectors (N, Z, h, w) to the logits (N, 1, K, h, w) of their codes.

        It must be autoregressive in raster order.
        """
        hp = self.hparams
        size = hp.prior_width, hp.prior_layers
        return GatedConvs(1, hp.num_codes, *size, kernel=3, first_kernel=5, inputs=hp.latent_dim)

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes (N, h, w) int64 of images (N, C, H, W) in [-1, 1]."""
        return self.codebook.nearest(self.encoder(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images (N, C, H, W) in [-1, 1] of codes (N, h, w)."""
        return self.decoder(self.codebook(codes).to(self.dtype)).tanh()

    def reconstruct(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the decoded codes of a batch's images, (N, C, H, W)."""
        return self.decode(self.encode(batch["image"]))

    def code_nll(self, codes: Tensor) -> Tensor:
        """Return -log p(codes) of the prior, (N,) in nats, for codes (N, h, w)."""
        vectors = self.codebook.standardized()[codes].movedim(-1, 1)  # (N, Z, h, w)
        logits = at_least_float32(self.code_prior(vectors.to(self.dtype)))[:, 0]  # (N, K, h, w)
        return cross_entropy(logits, codes, reduction="none").flatten(1).sum(dim=1)

    @torch.no_grad()
    def draw_codes(self, count: int) -> Tensor:
        """Sample codes (count, h, w) from the prior."""
        dim, size, drawn = self.hparams.latent_dim, self.code_size, []
        noise = uniforms(count, 1, size, size, device=self.device)
        vectors = self.codebook.standardized().to(self.dtype)

        def choose(logits: Tensor, noise: Tensor, channels: slice) -> Tensor:
            drawn.append(raster.draw_levels(logits, noise[:, 0]))
            return vectors[drawn[-1]]

        with torch.autocast(self.device.type, enabled=False):  # steps write in place
            inputs = vectors.new_zeros(count, dim, size, size)
            uncached = partial(raster.UncachedSteps, self.code_prior)
            steps = getattr(self.code_prior, "steps", uncached)(inputs)
            raster.draw(steps, inputs, noise, choose, [slice(0, dim)])
        return torch.stack(drawn, dim=1).view(count, size, size)

    def prior(self, count: int) -> Tensor:
        """Sample latents from the prior: the vectors of codes, (count, Z h w)."""
        return self.codebook(self.draw_codes(count)).flatten(1)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        vectors = latent.view(count, -1, self.code_size, self.code_size)
        return self.decoder(vectors.to(self.dtype)).tanh()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        real = batch["image"]  # (N, C, H, W)
        autoencoder_optimizer, prior_optimizer = self.optimizers()
        with self.turn(autoencoder_optimizer):
            encoded = self.encoder(real)  # (N, Z, h, w)
            self.replace_unused_codes_(encoded)
            codes = self.codebook.nearest(encoded)
            quantized = self.codebook(codes).to(encoded.dtype)
            fake = self.decoder(straight_through(encoded, quantized)).tanh()
            squared_error, commitment = mse_loss(fake, real), mse_loss(encoded, quantized)
            self.manual_backward(squared_error + self.hparams.commitment_weight * commitment)
        self.update_codebook_(encoded, codes)
        with self.turn(prior_optimizer):
            code_nats = self.code_nll(codes).mean()
            self.manual_backward(code_nats)
        self.log_losses(squared_error=squared_error, commitment=commitment, code_nats=code_nats)

    @torch.no_grad()
    def replace_unused_codes_(self, encoded: Tensor) -> None:
        """Replace unused vectors of the codebook by outputs (N, Z, h, w) of the encoder.

        Before the first batch, no vector has been used. All processes choose the same outputs among
        those of all processes. With accumulation, these are the outputs of a group's first batch.
        """
        codebook, world_size, group = (
            self.codebook,
            self.trainer.world_size,
            self.hparams.accumulate,
        )
        if (self.trainer.global_step - 1) % group:
            return
        outputs = group * world_size * encoded.numel() // encoded.shape[1]
        mean_usage = outputs / len(codebook.usage)
        unused = codebook.usage <= self.hparams.revival * mean_usage
        count = int(unused.sum())
        if not count:
            return
        if world_size > 1:
            gathered: Any = self.all_gather(encoded)  # (W, N, Z, h, w)
            encoded = gathered.transpose(0, 1).flatten(0, 1)
        flat = encoded.movedim(1, -1).flatten(0, 2)  # (M, Z)
        order = keyed_permutation(len(flat), "codes", self.seed, self.trainer.global_step)
        chosen = order[torch.arange(count) % len(order)].to(flat.device)
        codebook.replace_(unused, flat[chosen], mean_usage)

    @torch.no_grad()
    def update_codebook_(self, encoded: Tensor, codes: Tensor) -> None:
        """Update the codebook's averages with the encoder's outputs on all processes.

        With accumulation, they are updated after a group of batches, as the weights are.
        """
        sums = self.codebook.sums(encoded, codes)
        sums = sums if self.group_sums is None else self.group_sums + sums
        ended = self.trainer.global_step % self.hparams.accumulate == 0
        self.group_sums = None if ended else sums
        if not ended:
            return
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
        self.codebook.update_(sums, self.hparams.codebook_decay)

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        optimizers: list[Optimizer] = [
            torch.optim.Adam(weights, hp.lr),
            torch.optim.Adam(self.code_prior.parameters(), hp.prior_lr),
        ]
        return optimizers, [ExponentialLR(optimizer, hp.decay) for optimizer in optimizers]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return psnr(self, data, split) | codebook_metrics(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return reconstructions(self, data)
