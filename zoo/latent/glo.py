"""Generative latent optimization (Bojanowski, Joulin, Lopez-Paz, Szlam 2018, arXiv 1707.05776)."""

from typing import Annotated, Any

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo import networks
from zoo.base import GenerativeModule
from zoo.engine.batch_checks import needed_data
from zoo.engine.conditions import check_conditions
from zoo.engine.inversion import descend, nearest_starts
from zoo.engine.principal_components import fit_principal_components, to_gaussian_of
from zoo.engine.seeds import keyed_generator, keyed_permutation, run_seed, stream
from zoo.losses import laplacian_loss, mse_loss
from zoo.metrics.psnr import glo_psnr
from zoo.plots.reconstructions import reconstructions
from zoo.taxonomy import Leaf

LEAF = Leaf.DIRECT  # unlike its package: there is no density
LOSSES, STARTS = ("lap1", "l2", "both"), ("pca", "normal")
PCA_IMAGES = 10_000  # number of training images for the principal components
CANDIDATES = 100  # samples of the prior, the best of which start the search for a latent


def project_to_ball(latent: Tensor) -> Tensor:
    """Project latents (N, Z) onto the unit ball."""
    return latent / latent.norm(dim=1, keepdim=True).clamp(min=1)


class GLO(GenerativeModule):
    """A generator and a latent for each training image, optimized to reconstruct the images.

    There is no encoder and no discriminator. The mean of loss(G(z_i), x_i) is minimized over the
    weights of G and over z_1 ... z_N in the unit ball.

    `sample` uses latents from a Gaussian with the mean and covariance of the learned latents. The
    learned latents are a buffer, which is synchronized over processes. Batches need `index`, and
    images must not be flipped.

    Deviation: the Laplacian pyramid uses means of 2x2 pixels and bilinear upsampling instead of a
        Gaussian kernel.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size Z of a latent.
        network: Architecture of the generator, a module in zoo/networks.
        width: Channels of the generator's last hidden layer.
        loss: "lap1", the L1 distance of Laplacian pyramids, "l2", the squared error, or "both",
            their sum.
        pyramid_levels: Number of halvings in the Laplacian pyramid. Reduced if the image size
            cannot be halved that many times.
        start: Initial latents: "pca", the whitened principal components of the image, or "normal",
            random.
        learned: Update the latents. If false, they keep their initial values.
        lr: Learning rate of SGD for the generator.
        latent_lr: Learning rate of SGD for the latents, with the gradient of the batch's mean loss.
        iterations: Number of Adam iterations in the search for the latent of an unseen image.
        restarts: Number of starting points of that search.
    """

    needs = ("image", "index")
    latents: Tensor  # (N, Z), a row for each training image
    owners: Tensor  # (N,), the indices of these images in the data set
    average: Tensor  # (C H W,), the mean of the training images
    components: Tensor  # (Z, C H W), for whitening

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
        iterations: int = 100,
        restarts: Annotated[int, "[1, 1000]"] = 4,
        **shared,
    ):
        for name, value, choices in (("loss", loss, LOSSES), ("start", start, STARTS)):
            if value not in choices:
                raise ValueError(f"model.{name}={value}: choose one of {', '.join(choices)}.")
        super().__init__(**shared)
        hp = self.hparams
        self.generator = self.build_generator()
        pixels = hp.image_channels * hp.image_size**2
        self.register_buffer("latents", torch.zeros(0, hp.latent_dim))
        self.register_buffer("owners", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("average", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(hp.latent_dim, pixels))

    def build_generator(self) -> nn.Module:
        """Build the network from latents (N, Z) to images (N, C, H, W)."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        return network.generator(hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def load_state_dict(self, state_dict: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        for name in ("latents", "owners"):  # their length is the number of training images
            if name in state_dict:
                setattr(self, name, torch.zeros_like(state_dict[name], device=self.device))
        return super().load_state_dict(state_dict, *args, **kwargs)

    def prior(self, count: int) -> Tensor:
        """Sample latents (N, Z) from a Gaussian fitted to the learned ones; untrained: N(0, I)."""
        noise = torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)
        if len(self.latents) < 2:
            return noise
        return to_gaussian_of(self.latents, noise)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.generator(latent)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage != "fit":
            return
        data: Any = needed_data(self)
        for augmentation in ("flip", "binarize"):
            if data.hparams.get(augmentation):
                raise MisconfigurationException(f"GLO needs data.{augmentation}=false.")
        if self.trainer.precision.startswith("16"):
            raise MisconfigurationException("GLO needs trainer.precision=bf16-mixed, not fp16.")
        if len(self.latents) != len(data.source("train")):  # unless they were loaded
            self.init_latents_(data)

    def init_latents_(self, data: Any) -> None:
        """Fit principal components to training images, and create the latents of all of them."""
        source, dim = data.source("train"), self.hparams.latent_dim
        chosen = keyed_permutation(len(source), "glo")[:PCA_IMAGES]
        mean, components = fit_principal_components(self.flat_images(data, "train", chosen), dim)
        self.average.copy_(mean)
        self.components.copy_(components)
        generator = keyed_generator("glo", str(run_seed()))  # text: results depend on it
        latents = torch.empty(len(source), dim).normal_(generator=generator)  # (N, Z)
        if self.hparams.start == "pca":
            chunks = torch.arange(len(source)).split(1000)
            flat = (self.flat_images(data, "train", chunk) for chunk in chunks)
            latents = torch.cat([self.whitened(chunk) for chunk in flat])
        self.latents = project_to_ball(latents).to(self.latents)
        self.owners = source.chosen.to(self.owners)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        source = self.trainer.datamodule.source("train")
        if not self.owns(source):
            raise MisconfigurationException(
                f"The model has latents of {len(self.latents)} images, but not of the "
                f"{len(source)} to train on: set data.val_count and data.split_seed as before."
            )

    def owns(self, source: Any) -> bool:
        """Return whether the latents belong to the images of a source, compared by index."""
        return torch.equal(self.owners.cpu(), source.chosen)

    def flat_images(self, data: Any, split: str, positions: Tensor) -> Tensor:
        """Return images (N, C H W) in [-1, 1] of a split."""
        return data.prepare_batch(data.source(split)[positions], self)["image"].flatten(1)

    def whitened(self, flat: Tensor) -> Tensor:
        """Return principal components (N, Z) of images (N, C H W), scaled to unit variance."""
        return (flat - self.average) @ self.components.T

    def distance(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the loss (N,) of images (N, C, H, W)."""
        hp = self.hparams
        squared = mse_loss(fake, real, reduction="none").flatten(1).mean(dim=1)
        if hp.loss == "l2":
            return squared
        return laplacian_loss(fake, real, hp.pyramid_levels) + (squared if hp.loss == "both" else 0)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        latent = self.latents[batch["index"]].requires_grad_()  # (N, Z)
        with self.turn(optimizer):
            loss = self.distance(self.generator(latent), batch["image"]).mean()
            self.manual_backward(loss)
        if self.hparams.learned:
            self.update_latents_(batch["index"], latent)
        self.log_losses(loss=loss)

    @torch.no_grad()
    def update_latents_(self, index: Tensor, latent: Tensor) -> None:
        """Take one step of SGD on a batch's latents, and project them onto the unit ball.

        The loss is the mean over all processes and over the batches of an accumulation group.

        Args:
            index: Positions (N,) of the images in the training set.
            latent: Their latents (N, Z), with gradients.
        """
        hp, world_size = self.hparams, self.trainer.world_size
        rate = hp.latent_lr / (world_size * hp.accumulate)
        latent = project_to_ball(latent - rate * latent.grad)
        if world_size > 1:
            gathered: Any = self.all_gather((index, latent))
            index, latent = gathered[0].flatten(), gathered[1].flatten(0, 1)
        self.latents[index] = latent

    def configure_optimizers(self) -> Optimizer:
        return torch.optim.SGD(self.generator.parameters(), lr=self.hparams.lr)

    def project(self, latents: Tensor) -> Tensor:
        """Project latents (N, Z) onto the unit ball. See zoo.engine.inversion."""
        return project_to_ball(latents)

    def reconstruct(self, batch: dict[str, Tensor]) -> Tensor:
        """Return images (N, C, H, W) of the latents that a search finds for a batch's images.

        The starting points are the `restarts` best of CANDIDATES samples of the prior, which are
        the same for all images. With start="pca", principal components replace the worst one.
        """

        def errors(latent: Tensor) -> Tensor:
            return self.distance(self.generator(latent), batch["image"])

        with torch.no_grad():
            starts = self.search_starts(batch["image"])
        latent, _ = descend(errors, starts, self.hparams.iterations, 0.1, self.project)
        return self.generator(latent)

    def search_starts(self, real: Tensor) -> Tensor:
        """Return latents (restarts, N, Z) at which the search for images (N, C, H, W) starts."""
        with stream(self.device, "glo search"):
            candidates = self.project(self.prior(max(CANDIDATES, self.hparams.restarts)))
        generated = self.generator(candidates)
        starts = nearest_starts(self.distance, real, candidates, generated, self.hparams.restarts)
        if self.hparams.start == "pca":
            starts[-1] = self.project(self.whitened(real.flatten(1)))
        return starts

    def pca_reconstruction(self, flat: Tensor) -> Tensor:
        """Return reconstructions (N, C H W) from the first latent_dim principal components."""
        scaled = self.components / self.components.square().sum(dim=1, keepdim=True)
        return self.average + self.whitened(flat) @ scaled

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return glo_psnr(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return reconstructions(self, data)
