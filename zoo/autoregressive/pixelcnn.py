"""Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328): each pixel given those before it."""

from functools import partial
from typing import Annotated

import torch
from torch.nn.functional import cross_entropy, one_hot

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.media.completion import check_completion
from zoo.media.images import from_levels, to_levels
from zoo.metrics.class_accuracy import class_accuracies
from zoo.metrics.likelihood import bits_per_dim
from zoo.networks import raster_sampling as raster
from zoo.networks.gated_pixelcnn import GatedConvs
from zoo.plots.class_grid import class_figures
from zoo.plots.completions import completions
from zoo.precision import at_least_float32


class PixelCNN(GenerativeModule):
    """Gated convolutions that say how probable each level of a sub-pixel is, given those before it.

    levels: images are quantised to so many, of which each has a probability of its own. width: the
    feature maps of each colour; colours come in the order red, green, blue. kernel, first_kernel:
    sides of the layers' kernels, odd. conditional: on labels, of which each adds a bias to each
    feature (eq. 4), or, with `spatial`, one of its own at each place (eq. 5). decay: what the rate
    is multiplied by after each step.

    A batch's `image` may be completed: sample(count, {"image": ..., "mask": ...}) keeps the pixels
    where the mask is 0.

    Deviations: images are floats in [-1, 1], not one-hot; the vertical stack's link comes after its
    label; each layer adds to the output, not the last one alone, which then needs no residual.
    """

    likelihood_kind = "exact"
    naive = raster.Naive  # how a network that has no `steps` is drawn from

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
            raise ValueError("model.conditional=true needs data with labels.")
        if spatial and not conditional:
            raise ValueError("model.spatial=true needs model.conditional=true.")
        super().__init__(**shared)
        if conditional:
            self.needs = ("image", "label")
        self.network = self.build_network()

    def build_network(self):
        hp = self.hparams
        return GatedConvs(
            hp.image_channels,
            hp.num_levels,
            hp.width,
            hp.layers,
            hp.kernel,
            hp.first_kernel,
            condition=hp.classes if hp.conditional else 0,
            place_size=hp.image_size if hp.spatial else None,
        )

    def condition(self, batch):
        """What a batch gives the network beside images: (N, classes, 1, 1), or None."""
        if not self.hparams.conditional:
            return None
        return one_hot(batch["label"], self.hparams.classes)[..., None, None].to(self.dtype)

    def quantized(self, images):
        """Images at the nearest of the model's levels."""
        return from_levels(to_levels(images, self.hparams.num_levels), self.hparams.num_levels)

    def elementwise_nll(self, batch):
        """-log p(x_i | x_1 ... x_i-1) of each sub-pixel, in nats: (N, C, H, W)."""
        levels = to_levels(batch["image"], self.hparams.num_levels)
        images = from_levels(levels, self.hparams.num_levels).to(self.dtype)
        logits = at_least_float32(self.network(images, self.condition(batch)))
        logits, levels = logits.permute(0, 3, 4, 1, 2), levels.permute(0, 2, 3, 1)
        # As they lie in memory, for a copy of 256 numbers a sub-pixel costs as much as a layer.
        nll = cross_entropy(logits.flatten(0, 3), levels.flatten(), reduction="none")
        return nll.view_as(levels).permute(0, 3, 1, 2)

    def nll(self, batch):
        """-log p(x) of images, (N,) in nats."""
        return self.elementwise_nll(batch).flatten(1).sum(dim=1)

    @torch.no_grad()
    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        hp, condition = self.hparams, condition or {}
        noise = torch.rand(count, *self.noise_shape(), device=self.device)
        if hp.conditional and "label" not in condition:
            condition = condition | {
                "label": torch.randint(hp.classes, (count,), device=self.device)
            }
        shape = count, hp.image_channels, hp.image_size, hp.image_size
        images, hidden = torch.zeros(shape, device=self.device, dtype=self.dtype), None
        if "mask" in condition:
            check_completion(condition, "image", shape)
            hidden = condition["mask"] > 0.5
            images = torch.where(hidden, images, self.quantized(condition["image"]).to(self.dtype))
        with torch.autocast(self.device.type, enabled=False):  # steps write in place
            begin = getattr(self.network, "steps", partial(self.naive, self.network))
            steps = begin(images, self.condition(condition))
            return raster.draw(steps, images, noise, self.choose, self.parts(), hidden)

    def parts(self):
        """The channels of a pixel that are drawn together: one at a time."""
        return [slice(channel, channel + 1) for channel in range(self.hparams.image_channels)]

    def noise_shape(self):
        """Uniforms that decide an image: one for each sub-pixel."""
        hp = self.hparams
        return hp.image_channels, hp.image_size, hp.image_size

    def choose(self, logits, noise, part):
        """The value (N, 1) whose share of [0, 1], by logits (K, N), the noise (N, C) falls in."""
        shares = at_least_float32(logits).softmax(dim=0)
        level = (shares.cumsum(dim=0) < noise[:, part].T).sum(dim=0)
        # Rounding may leave the sum of the probabilities below 1.
        level = level.clamp(max=self.hparams.num_levels - 1)[:, None]
        return from_levels(level, self.hparams.num_levels)

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        with self.turn(optimizer):
            loss = self.elementwise_nll(batch).mean()
            self.manual_backward(loss)
        self.log_losses(bits_per_dim=bits_per_dim(loss, 1))

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = torch.optim.Adam(self.parameters(), hp.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]

    def measure(self, data, split):
        return class_accuracies(self, data, split) if self.hparams.conditional else {}

    def figures(self, data):
        shown = class_figures(self) if self.hparams.conditional else {}
        return shown | completions(self, data)
