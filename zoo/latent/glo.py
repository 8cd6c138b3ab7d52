"""Generative latent optimization (Bojanowski, Joulin, Lopez-Paz, Szlam 2018, arXiv 1707.05776)."""

import os
from typing import Annotated

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from sklearn.decomposition import PCA

from zoo import networks
from zoo.base import GenerativeModule
from zoo.engine.batch_checks import needed_data
from zoo.engine.conditions import check_conditions
from zoo.engine.inversion import descend, nearest_starts
from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import keyed_generator, keyed_permutation, stream
from zoo.losses import laplacian_loss, mse_loss
from zoo.metrics.psnr import decibels
from zoo.plots.reconstructions import reconstructions

LOSSES, STARTS = ("lap1", "l2", "both"), ("pca", "normal")
MOST = 10_000  # training images, a fixed choice, of which principal components are found
CANDIDATES = 100  # draws of the prior among which the search for a latent chooses its starts
MEASURED = 400  # images of each split, a fixed choice, whose reconstructions are measured


def projected(latent):
    """Latents (N, Z) in the unit ball: those outside come to its surface."""
    return latent / latent.norm(dim=1, keepdim=True).clamp(min=1)


class GLO(GenerativeModule):
    """A generator and a latent for each training image, both moved to reconstruct the images.

    There is no encoder and no adversary: min over θ and z_1 ... z_N in the unit ball of the mean
    loss(G(z_i), x_i). loss: "lap1", "l2", or "both", their sum; pyramid_levels: of the Laplacian
    pyramid, or as often as the image can be halved. start: of the latents, "pca", whitened
    principal
    components, or "normal". learned: false keeps them there. lr, latent_lr: of plain SGD, on the
    mean over the batch. steps: of Adam in the search for the latent of an unseen image, from
    `restarts` starts.

    Samples are of the Gaussian with the mean and covariance of the learned latents. The latents
    are a buffer, the same in all processes: each moves those of its batch and tells the others.
    A batch needs `index`, and images that are not flipped.

    Deviation: the pyramid is of means of 2x2 pixels, enlarged bilinearly, not of a Gaussian kernel.
    """

    needs = ("image", "index")

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        latent_dim: int = 32,
        network: str = "dcgan",
        width: int = 64,
        loss: str = "lap1",
        pyramid_levels: Annotated[int, "[1, 16]"] = 3,
        start: str = "pca",
        learned: bool = True,
        lr: float = 1.0,
        latent_lr: float = 10.0,
        steps: int = 100,
        restarts: Annotated[int, "[1, 1000]"] = 4,
        **shared,
    ):
        for name, value, known in (("loss", loss, LOSSES), ("start", start, STARTS)):
            if value not in known:
                raise ValueError(f"model.{name}={value}: there are {', '.join(known)}.")
        super().__init__(**shared)
        hp = self.hparams
        self.generator = self.build_generator()
        pixels = hp.image_channels * hp.image_size**2
        self.register_buffer("latents", torch.zeros(0, hp.latent_dim))
        self.register_buffer("owners", torch.zeros(0, dtype=torch.int64))  # places of their images
        self.register_buffer("average", torch.zeros(pixels))  # of the training images
        self.register_buffer("components", torch.zeros(hp.latent_dim, pixels))  # whitening

    def build_generator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        return network.generator(hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def load_state_dict(self, state_dict, *arguments, **keywords):
        for name in ("latents", "owners"):  # of as many images as there were
            if name in state_dict:
                setattr(self, name, torch.zeros_like(state_dict[name], device=self.device))
        return super().load_state_dict(state_dict, *arguments, **keywords)

    def prior(self, count):
        """Latents (N, Z) of the Gaussian of the learned ones; before there are any, N(0, I)."""
        noise = torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)
        if len(self.latents) < 2:
            return noise
        latents = self.latents.cpu().double()  # not every device has float64
        covariance = latents.T.cov() + 1e-8 * torch.eye(latents.shape[1]).to(latents)
        factor = torch.linalg.cholesky(covariance)
        return (latents.mean(dim=0) + noise.cpu().double() @ factor.T).to(noise)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.generator(latent)

    def setup(self, stage):
        super().setup(stage)
        if stage != "fit":
            return
        data = needed_data(self)
        for changing in ("flip", "binarize"):
            if data.hparams.get(changing):
                raise MisconfigurationException(f"A latent is of one image: data.{changing}=false.")
        if self.trainer.precision.startswith("16"):
            raise MisconfigurationException("Latents are not scaled: trainer.precision=bf16-mixed.")
        source, dim = data.source("train"), self.hparams.latent_dim
        if len(self.latents) == len(source):  # of a model that was loaded
            return
        chosen = keyed_permutation(len(source), "glo")[:MOST]
        flat = self._flat(data, "train", chosen).float().cpu().numpy()
        if dim > min(flat.shape):
            raise MisconfigurationException(
                f"model.latent_dim={dim} must be at most {min(flat.shape)}, the number of images "
                "or of the sub-pixels of one."
            )
        pca = PCA(dim, whiten=True, svd_solver="full").fit(flat)
        found = int((pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]).sum())
        if found < dim:
            raise MisconfigurationException(
                f"model.latent_dim={dim} must be at most {found}: in other directions the images "
                "do not differ."
            )
        self.average.copy_(torch.from_numpy(pca.mean_))
        scale = pca.explained_variance_[:, None] ** 0.5
        self.components.copy_(torch.from_numpy(pca.components_ / scale))
        generator = keyed_generator("glo", os.environ.get("PL_GLOBAL_SEED", 0))
        latents = torch.empty(len(source), dim).normal_(generator=generator)
        if self.hparams.start == "pca":
            parts = torch.arange(len(source)).split(1000)
            flat = (self._flat(data, "train", part) for part in parts)
            latents = torch.cat([self.whitened(part) for part in flat])
        self.latents = projected(latents).to(self.latents)
        self.owners = source.chosen.to(self.owners)

    def on_fit_start(self):
        super().on_fit_start()
        source = self.trainer.datamodule.source("train")
        if not self.owns(source):
            raise MisconfigurationException(
                f"The model has latents of {len(self.latents)} images, but not of the "
                f"{len(source)} to train on: data.val_count and data.split_seed must be as before."
            )

    def owns(self, source):
        """Whether the latents are those of a source's images, as far as their places tell."""
        return torch.equal(self.owners.cpu(), source.chosen)

    def _flat(self, data, split, positions):
        return data.prepare_batch(data.source(split)[positions], self)["image"].flatten(1)

    def whitened(self, flat):
        """Principal components (N, Z) of images (N, C H W), of variance 1 in the training set."""
        return (flat - self.average) @ self.components.T

    def distance(self, fake, real):
        """The loss of each image, (N,)."""
        hp = self.hparams
        squared = mse_loss(fake, real, reduction="none").flatten(1).mean(dim=1)
        if hp.loss == "l2":
            return squared
        return laplacian_loss(fake, real, hp.pyramid_levels) + (squared if hp.loss == "both" else 0)

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        latent = self.latents[batch["index"]].requires_grad_()
        with self.turn(optimizer):
            loss = self.distance(self.generator(latent), batch["image"]).mean()
            self.manual_backward(loss)
        if self.hparams.learned:
            self.move(batch["index"], latent)
        self.log_losses(loss=loss)

    @torch.no_grad()
    def move(self, index, latent):
        """One step of SGD of a batch's latents, on the mean over those of all processes, and of
        the micro-batches of a group."""
        hp, world_size = self.hparams, self.trainer.world_size
        rate = hp.latent_lr / (world_size * hp.accumulate)
        latent = projected(latent - rate * latent.grad)
        if world_size > 1:
            index, latent = self.all_gather(index).flatten(), self.all_gather(latent).flatten(0, 1)
        self.latents[index] = latent

    def configure_optimizers(self):
        return torch.optim.SGD(self.generator.parameters(), lr=self.hparams.lr)

    def project(self, latents):
        return projected(latents)

    def reconstruct(self, batch):
        """Images (N, C, H, W) of the latents in the unit ball that a search finds for images.

        The search descends from the `restarts` nearest of 100 draws of the prior, the same for all
        images, and of the principal components of the image where latents started at these.
        """

        def errors(latent):
            return self.distance(self.generator(latent), batch["image"])

        with torch.no_grad():
            starts = self.starts(batch["image"])
        latent, _ = descend(errors, starts, self.hparams.steps, 0.1, self.project)
        return self.generator(latent)

    def starts(self, real):
        """Latents (restarts, N, Z) at which the search for those of images (N, C, H, W) begins."""
        with stream(self.device, "glo search"):
            candidates = self.project(self.prior(max(CANDIDATES, self.hparams.restarts)))
        generated = self.generator(candidates)
        starts = nearest_starts(self.distance, real, candidates, generated, self.hparams.restarts)
        if self.hparams.start == "pca":  # they take the place of the farthest
            starts[-1] = self.project(self.whitened(real.flatten(1)))
        return starts

    def linear(self, flat):
        """Images (N, C H W) as so many principal components as there are latents have them."""
        scaled = self.components / self.components.square().sum(dim=1, keepdim=True)
        return self.average + self.whitened(flat) @ scaled

    def measure(self, data, split):
        """Decibels of reconstructions: psnr_train by the learned latents, where they are of these
        images, psnr_SPLIT by a search, psnr_pca_... by principal components."""
        numbers, shape = {}, (-1, self.hparams.image_channels, *[self.hparams.image_size] * 2)
        for part in ("train", split):
            source = data.source(part)
            chosen = keyed_permutation(len(source), "measured")[:MEASURED]
            if not len(chosen) or (part == "train" and not self.owns(source)):
                continue
            flat = self._flat(data, part, chosen)
            if part == split:
                chunks = flat.view(shape).split(CHUNK)
                found = torch.cat([self.reconstruct({"image": chunk}) for chunk in chunks])
            else:
                found = self.generator(self.latents[chosen])
            shown = {f"psnr_{part}": found, f"psnr_pca_{part}": self.linear(flat)}
            for name, images in shown.items():
                numbers[name] = decibels((images.flatten(1) - flat).square().mean().item())
        return numbers

    def figures(self, data):
        return reconstructions(self, data)
