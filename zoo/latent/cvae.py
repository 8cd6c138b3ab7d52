"""Conditional VAE (Kingma et al. 2014, arXiv 1406.5298, M2; Sohn, Lee, Yan 2015): p(x | label)."""

import torch
from torch.nn.functional import one_hot

from zoo.engine.conditions import check_conditions
from zoo.latent.vae import VAE
from zoo.metrics.class_accuracy import class_accuracies
from zoo.plots.class_grid import class_figures


class CVAE(VAE):
    """VAE both of whose networks are told the class of an image: z is left with the rest."""

    needs = ("image", "label")

    def __init__(self, classes: int = 0, **vae):
        if not classes:
            raise ValueError("CVAE needs data with labels.")
        super().__init__(**vae)

    def condition_size(self):
        return self.hparams.classes

    def condition(self, batch):
        return one_hot(batch["label"], self.hparams.classes).to(self.dtype)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        label = condition["label"] if "label" in condition else self.draw_labels(count)
        return super().sample(count, condition | {"latent": latent, "label": label})

    def draw_labels(self, count):
        return torch.randint(self.hparams.classes, (count,), device=self.device)

    def measure(self, data, split):
        return super().measure(data, split) | class_accuracies(self, data, split)

    def figures(self, data):
        return super().figures(data) | class_figures(self)
