"""MADE (Germain et al. 2015, arXiv 1502.03509): a masked autoencoder that predicts each pixel."""

import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.config.fixed_parameters import with_fixed
from zoo.engine.conditions import check_conditions, draw_labels
from zoo.engine.seeds import keyed_permutation
from zoo.media.completion import check_completion
from zoo.media.images import from_levels, to_levels
from zoo.metrics.likelihood import bits_per_dim
from zoo.networks.masked_mlp import MaskedMLP
from zoo.precision import at_least_float32, uniforms


class MADE(PixelCNN):
    """Fully connected network whose masks make each output depend on earlier inputs only.

    One pass computes all conditional probabilities p(x_i | x_1 ... x_i-1). With several orders,
    training cycles through random orders of the sub-pixels, and p(x) is the mean of the
    probabilities of all orders (section 4.2, the ensemble).
    sample(count, {"image": ..., "mask": ...}) completes images as PixelCNN does.

    Deviations: inputs are floats in [-1, 1], and outputs are a softmax over gray levels. The
        paper's images are binary. The degrees of hidden units are spread evenly and fixed instead
        of sampled (no connectivity-agnostic training). AdamW instead of Adagrad or Adadelta. Labels
        add a bias to the hidden units and the outputs. The paper has no labels.

    Args:
        num_levels: Number of gray levels that images are quantized to.
        width: Number of units of each hidden layer.
        layers: Number of hidden layers.
        orders: Number of orders of the sub-pixels. With 1, the order is from left to right in rows
            from the top. Several orders are random.
        direct: Also connect inputs directly to outputs.
        dropout: Probability that a hidden unit is dropped.
        weight_decay: AdamW's weight decay.
        lr: Learning rate.
        decay: The learning rate is multiplied by this factor after each step.
    """

    network: MaskedMLP

    def __init__(
        self,
        num_levels: int = 2,
        width: int = 500,
        layers: int = 1,
        orders: Annotated[int, "[1, 10000]"] = 1,
        direct: bool = True,
        dropout: float = 0.0,
        weight_decay: Annotated[float, "[0, inf)"] = 0.0,
        lr: float = 1e-3,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        **pixelcnn: Any,
    ):
        super().__init__(
            **with_fixed(self, pixelcnn, {"spatial": False, "kernel": 3, "first_kernel": 7})
        )

    def build_network(self) -> nn.Module:
        hp = self.hparams
        return MaskedMLP(
            (hp.image_channels, hp.image_size, hp.image_size),
            hp.num_levels,
            hp.width,
            hp.layers,
            self.sampling_orders(),
            hp.direct,
            hp.dropout,
            condition=hp.classes if hp.conditional else 0,
        )

    def sampling_orders(self) -> Tensor:
        """Return the places (O, D) of the sub-pixels of a flattened image in each order."""
        hp = self.hparams
        shape = hp.image_channels, hp.image_size, hp.image_size
        count = math.prod(shape)
        if hp.orders > 1:
            orders = [keyed_permutation(count, "order", number) for number in range(hp.orders)]
            return torch.stack(orders)
        # The colors of a pixel follow each other.
        return torch.arange(count).view(shape).permute(1, 2, 0).flatten()[None]

    def elementwise_nll(self, batch: dict[str, Tensor], order: int = 0) -> Tensor:
        """Return -log p(x_i | those before it in an order), (N, C, H, W) in nats."""
        levels = to_levels(batch["image"], self.hparams.num_levels)
        images = from_levels(levels, self.hparams.num_levels).to(self.dtype)
        logits = at_least_float32(self.network(images, self.condition(batch), order))
        return cross_entropy(logits.transpose(1, 2), levels, reduction="none")

    def nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p(x) of the mixture of all orders, (N,) in nats."""
        nlls = [
            self.elementwise_nll(batch, order).flatten(1).sum(dim=1)
            for order in range(self.hparams.orders)
        ]
        return math.log(len(nlls)) - (-torch.stack(nlls)).logsumexp(dim=0)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        with self.turn(optimizer):
            loss = self.elementwise_nll(batch, self.clock % self.hparams.orders).mean()
            self.manual_backward(loss)
        self.log_losses(bits_per_dim=bits_per_dim(loss, 1))

    @torch.no_grad()
    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        if self.hparams.orders == 1:
            return super().sample(count, condition)
        check_conditions(self, count, condition)
        hp, condition = self.hparams, condition or {}
        noise = uniforms(count, *self.noise_shape(), device=self.device)
        chosen = (uniforms(count, device=self.device) * hp.orders).long().clamp(max=hp.orders - 1)
        if hp.conditional and "label" not in condition:
            condition = condition | {"label": draw_labels(self, count)}
        shape = count, hp.image_channels, hp.image_size, hp.image_size
        images = torch.zeros(shape, device=self.device, dtype=self.dtype)
        hidden = torch.ones_like(images, dtype=torch.bool)
        if "mask" in condition:
            check_completion(condition, "image", shape)
            hidden = (condition["mask"] > 0.5).expand_as(images)
            images = torch.where(hidden, images, self.quantized(condition["image"]).to(self.dtype))
        features = self.condition(condition)
        with torch.autocast(self.device.type, enabled=False):  # steps write in place
            for order in chosen.unique().tolist():
                rows = chosen == order
                own = None if features is None else features[rows]
                images[rows] = self.sample_in_order(
                    order, images[rows], noise[rows], hidden[rows], own
                )
        return images

    def sample_in_order(
        self, order: int, images: Tensor, noise: Tensor, hidden: Tensor, features: Tensor | None
    ) -> Tensor:
        """Sample the hidden sub-pixels of images in place, in one order.

        Args:
            order: Number of the order.
            images: (N, C, H, W).
            noise: Uniform random numbers (N, C, H, W).
            hidden: Sub-pixels to sample, (N, C, H, W) bool.
            features: See `condition`.

        Returns:
            The images.
        """
        steps = self.network.steps(images, features, order)
        flat, noise, hidden = images.flatten(1), noise.flatten(1), hidden.flatten(1)
        for place in self.network.orders[order].tolist():
            values = self.choose(steps.at(place), noise[:, place, None], slice(None))[:, 0]
            flat[:, place] = torch.where(hidden[:, place], values.to(flat), flat[:, place])
        return images

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.AdamW(self.parameters(), hp.lr, weight_decay=hp.weight_decay)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]
