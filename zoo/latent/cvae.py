"""Conditional VAE (Kingma et al. 2014, arXiv 1406.5298, M2; Sohn, Lee, Yan 2015): p(x | label)."""

from typing import Any

from torch import Tensor
from torch.nn.functional import one_hot

from zoo.config.errors import NEEDS_LABELS
from zoo.engine.conditions import check_conditions, draw_labels
from zoo.latent.vae import VAE
from zoo.metrics.class_accuracy import class_accuracies
from zoo.plots.class_grid import class_figures


class CVAE(VAE):
    """VAE whose encoder and decoder are conditioned on the class of an image.

    The latent then describes the style, such as slant and stroke width.

    Args:
        classes: Number of classes of the data.
    """

    needs = ("image", "label")

    def __init__(self, classes: int = 0, **vae):
        if not classes:
            raise ValueError(f"CVAE {NEEDS_LABELS}")
        super().__init__(**vae)

    def condition_size(self) -> int:
        return self.hparams.classes

    def condition(self, batch: dict[str, Tensor]) -> Tensor:
        return one_hot(batch["label"], self.hparams.classes).to(self.dtype)  # (N, K)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        label = condition["label"] if "label" in condition else draw_labels(self, count)
        return super().sample(count, condition | {"latent": latent, "label": label})

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return super().measure(data, split) | class_accuracies(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return super().figures(data) | class_figures(self, data)
