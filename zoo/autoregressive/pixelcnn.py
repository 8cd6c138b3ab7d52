"""Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328): p(x_i | x_1 ... x_i-1) of pixels."""

from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.base import GenerativeModule
from zoo.config.errors import NEEDS_LABELS
from zoo.engine.conditions import check_conditions, draw_labels
from zoo.media.completion import check_completion
from zoo.media.images import from_levels, to_levels
from zoo.metrics.class_accuracy import class_accuracies
from zoo.metrics.likelihood import bits_per_dim
from zoo.networks import raster_sampling as raster
from zoo.networks.gated_pixelcnn import GatedConvs
from zoo.plots.class_grid import class_figures
from zoo.plots.completions import completions
from zoo.precision import at_least_float32, uniforms


class PixelCNN(GenerativeModule):
    """Gated convolutions that predict the gray level of a sub-pixel from all previous ones.

    sample(count, {"image": ..., "mask": ...}) completes images: it keeps the pixels where the mask
    (N, 1, H, W) is 0. The colors of a pixel are sampled in the order red, green, blue.

    Deviations: inputs are floats in [-1, 1] instead of one-hot levels. The connection from the
        vertical to the horizontal stack is added after the label's bias. The outputs of all layers
        are summed, and the last layer has no residual connection. In the paper, only the last layer
        is connected to the output.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        classes: Number of classes of the data.
        conditional: Condition on labels. Each label adds a bias to each feature (eq. 4).
        spatial: Use separate biases of the label for each pixel (eq. 5). Needs conditional=true.
        num_levels: Number of gray levels that images are quantized to. The output is a softmax over
            them.
        width: Number of feature maps per color.
        layers: Number of gated layers.
        kernel: Size of the layers' kernels, odd.
        first_kernel: Size of the first layer's kernel, odd.
        lr: Learning rate.
        decay: The learning rate is multiplied by this factor after each step.
    """

    likelihood_kind = "exact"
    uncached_steps = raster.UncachedSteps  # used for a network without `steps`

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        classes: int = 0,
        conditional: bool = False,
        spatial: bool = False,
        num_levels: int = 256,
        width: int = 128,
        layers: int = 10,
        kernel: int = 3,
        first_kernel: int = 7,
        lr: float = 1e-3,
        decay: Annotated[float, "(0, 1]"] = 0.9999,
        **shared,
    ):
        if conditional and not classes:
            raise ValueError(f"model.conditional=true {NEEDS_LABELS}")
        if spatial and not conditional:
            raise ValueError("model.spatial=true needs model.conditional=true.")
        super().__init__(**shared)
        if conditional:
            self.needs = ("image", "label")
        self.network = self.build_network()

    def build_network(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to logits (N, C, num_levels, H, W)."""
        hp = self.hparams
        return GatedConvs(
            hp.image_channels,
            hp.num_levels,
            hp.width,
            hp.layers,
            hp.kernel,
            hp.first_kernel,
            condition=hp.classes if hp.conditional else 0,
            condition_map_size=hp.image_size if hp.spatial else None,
        )

    def condition(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Return the features (N, K, 1, 1) that the network is conditioned on, or None."""
        if not self.hparams.conditional:
            return None
        return one_hot(batch["label"], self.hparams.classes)[..., None, None].to(self.dtype)

    def quantized(self, images: Tensor) -> Tensor:
        """Return images with each value at the nearest of the model's levels."""
        num_levels = self.hparams.num_levels
        return from_levels(to_levels(images, num_levels), num_levels)

    def elementwise_nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p(x_i | x_1 ... x_i-1) of each sub-pixel, (N, C, H, W) in nats."""
        levels = to_levels(batch["image"], self.hparams.num_levels)
        images = from_levels(levels, self.hparams.num_levels).to(self.dtype)
        logits = at_least_float32(self.network(images, self.condition(batch)))  # (N, C, K, H, W)
        # Flatten in memory order: a copy of 256 numbers per sub-pixel is as slow as a layer.
        logits, levels = logits.permute(0, 3, 4, 1, 2), levels.permute(0, 2, 3, 1)
        nll = cross_entropy(logits.flatten(0, 3), levels.flatten(), reduction="none")  # (N H W C,)
        return nll.view_as(levels).permute(0, 3, 1, 2)

    def nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p(x) of images, (N,) in nats."""
        return self.elementwise_nll(batch).flatten(1).sum(dim=1)

    @torch.no_grad()
    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        hp, condition = self.hparams, condition or {}
        noise = uniforms(count, *self.noise_shape(), device=self.device)
        if hp.conditional and "label" not in condition:
            label = draw_labels(self, count)
            condition = condition | {"label": label}
        shape = count, hp.image_channels, hp.image_size, hp.image_size
        images, hidden = torch.zeros(shape, device=self.device, dtype=self.dtype), None
        if "mask" in condition:
            check_completion(condition, "image", shape)
            hidden = condition["mask"] > 0.5
            images = torch.where(hidden, images, self.quantized(condition["image"]).to(self.dtype))
        with torch.autocast(self.device.type, enabled=False):  # steps write in place
            begin = getattr(self.network, "steps", partial(self.uncached_steps, self.network))
            steps = begin(images, self.condition(condition))
            return raster.draw(steps, images, noise, self.choose, self.channel_groups(), hidden)

    def channel_groups(self) -> list[slice]:
        """Return slices of the channels that are sampled together: one channel each."""
        return [slice(channel, channel + 1) for channel in range(self.hparams.image_channels)]

    def noise_shape(self) -> tuple[int, int, int]:
        """Return the shape of an image's uniform random numbers: one for each sub-pixel."""
        hp = self.hparams
        return hp.image_channels, hp.image_size, hp.image_size

    def choose(self, logits: Tensor, noise: Tensor, channels: slice) -> Tensor:
        """Sample the value of a sub-pixel by inverting its cumulative distribution.

        Args:
            logits: (num_levels, N).
            noise: Uniform random numbers (N, C) of the pixel.
            channels: The channel to sample, as a slice.

        Returns:
            (N, 1) in [-1, 1].
        """
        level = raster.draw_levels(logits, noise[:, channels][:, 0])
        return from_levels(level[:, None], self.hparams.num_levels)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        with self.turn(optimizer):
            loss = self.elementwise_nll(batch).mean()
            self.manual_backward(loss)
        self.log_losses(bits_per_dim=bits_per_dim(loss, 1))

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.Adam(self.parameters(), hp.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return class_accuracies(self, data, split) if self.hparams.conditional else {}

    def figures(self, data: Any) -> dict[str, Tensor]:
        figures = class_figures(self, data) if self.hparams.conditional else {}
        return figures | completions(self, data)
