"""Conditional VAE (Kingma et al. 2014, arXiv 1406.5298, M2; Sohn, Lee, Yan 2015): p(x | label)."""

import torch
from torch.nn.functional import one_hot

from zoo.latent.vae import VAE
from zoo.metrics.classes import class_accuracies
from zoo.portraits import class_pictures


class CVAE(VAE):
    """VAE both of whose networks are told the class of an image: z is left with the rest."""

    needs = ("image", "label")

    def __init__(self, classes: int = 0, **vae):
        if not classes:
            raise ValueError("CVAE needs data with labels.")
        super().__init__(**vae)

    def given_count(self):
        return self.hparams.classes

    def given(self, batch):
        return one_hot(batch["label"], self.hparams.classes).to(self.dtype)

    def sample(self, count, given=None):
        given = given or {}
        latent = given["latent"] if "latent" in given else self.prior(count)
        label = given["label"] if "label" in given else self.labels(count)
        return super().sample(count, given | {"latent": latent, "label": label})

    def labels(self, count):
        return torch.randint(self.hparams.classes, (count,), device=self.device)

    def measure(self, data, split):
        return super().measure(data, split) | class_accuracies(self, data, split)

    def pictures(self, data):
        return super().pictures(data) | class_pictures(self)
