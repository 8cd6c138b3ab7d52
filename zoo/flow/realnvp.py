"""RealNVP (Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803): a multi-scale flow."""

import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.metrics.likelihood import bits_per_dim, discrete_nll
from zoo.networks.pixel_logits import from_logits, to_logits
from zoo.networks.realnvp import MultiScaleFlow
from zoo.precision import at_least_float32


class RealNVP(GenerativeModule):
    """Invertible affine couplings that map images to latents from N(0, I), one per sub-pixel.

    The log-density of an image is that of its latents plus the log-determinant of the map's
    Jacobian (eq. 2). The density is exact for dequantized pixels, and gives a bound on the
    likelihood of gray levels. `sample` inverts the map and rounds to gray levels. Gradients ignore
    the rounding.

    Deviations: no batch normalization, neither in the networks nor between couplings, because its
    running statistics are inaccurate for small data sets. No weight normalization, and the
    networks' last layers start at zero instead, so that the flow starts as the identity. The weight
    decay is decoupled (AdamW) and acts on all parameters. The paper penalizes the scales of
    normalized weights. The networks have no skip connections to the output. Pixels are mapped to
    alpha + (1 - 2 alpha) u before the logit, as in the authors' code. The paper's alpha + (1 -
    alpha) u can reach 1.

    Args:
        image_size: Height and width of the images, a multiple of 2^(scales - 1).
        image_channels: Channels of the images.
        num_levels: Number of gray levels that images are quantized to.
        scales: Number of scales. Each one but the last halves height and width, and half of its
            values become latents.
        width: Feature maps of the couplings' networks at the first scale, doubled by each squeeze.
        blocks: Residual blocks in each coupling's network.
        dropout: Dropout probability in the residual blocks.
        alpha: Distance of pixels from 0 and 1 before the logit.
        lr: Learning rate of AdamW.
        decay: The learning rate is multiplied by this factor after each step.
        weight_decay: Weight decay of AdamW.
    """

    likelihood_kind = "bound"

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        num_levels: int = 256,
        scales: int = 3,
        width: int = 32,
        blocks: int = 4,
        dropout: float = 0.0,
        alpha: Annotated[float, "(0, 0.5)"] = 0.05,
        lr: float = 1e-3,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        weight_decay: Annotated[float, "[0, inf)"] = 5e-5,
        **shared,
    ):
        check_size(image_size, scales, multiple=2 ** (scales - 1))
        super().__init__(**shared)
        self.flow = self.build_flow()

    def build_flow(self) -> nn.Module:
        """Build the map from logits (N, C, H, W) to latents (N, Z) and log-determinants (N,).

        Its method `inverse` maps latents to logits.
        """
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.scales
        return MultiScaleFlow(*shape, hp.width, hp.blocks, hp.dropout)

    def prior(self, count: int) -> Tensor:
        """Sample latents (N, Z) from N(0, I)."""
        dimensions = self.hparams.image_channels * self.hparams.image_size**2
        return torch.randn(count, dimensions, device=self.device, dtype=self.dtype)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Dequantize images and map them to latents.

        Args:
            images: (N, C, H, W) in [-1, 1].

        Returns:
            Latents (N, Z), and log |det dz/du| (N,) for pixels u in [0, 1].
        """
        logits, log_det = self.dequantize(images)
        latent, flow_log_det = self.flow(logits)
        return latent, log_det + flow_log_det

    def dequantize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the flow gets, logits y (N, C, H, W), and log |det dy/du| (N,)."""
        logits, log_det = to_logits(images, self.hparams.num_levels, self.hparams.alpha)
        return logits.to(torch.promote_types(self.dtype, logits.dtype)), log_det

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        logits = self.flow.inverse(at_least_float32(latent))  # type: ignore[operator]
        return from_logits(logits, self.hparams.num_levels, self.hparams.alpha).to(self.dtype)

    def nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return an upper bound on -log p(x) of gray levels, (N,) in nats."""
        latent, log_det = self.encode(batch["image"])
        density = -(latent.square() + math.log(2 * math.pi)).sum(dim=1) / 2 + log_det
        return discrete_nll(-density, latent.shape[1], 1 / self.hparams.num_levels)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        with self.turn(optimizer):
            nll = self.nll(batch).mean()
            loss = bits_per_dim(nll, batch["image"][0].numel())
            self.manual_backward(loss)
        self.log_losses(bits_per_dim=loss)

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.AdamW(self.parameters(), hp.lr, weight_decay=hp.weight_decay)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]


def check_size(image_size: int, scales: int, multiple: int) -> None:
    """Refuse images that cannot be halved as often as the scales need.

    Args:
        image_size: Height and width of the images.
        scales: Number of scales, for the message.
        multiple: What the size must be a multiple of.

    Raises:
        ValueError: It is not.
    """
    if image_size % multiple:
        raise ValueError(
            f"model.scales={scales} needs images whose size is a multiple of {multiple}, not "
            f"{image_size}: use fewer scales, or another data.image_size."
        )
