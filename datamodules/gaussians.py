"""Mixtures of Gaussians in 2D, on which GAN papers count modes: a ring of 8, a grid of 25."""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from datamodules.image import ImageDataModule
from zoo.engine.seeds import keyed_generator


def ring() -> Tensor:
    """Return 8 centers at radius 2, (8, 2)."""
    angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    return 2 * torch.stack([angles.cos(), angles.sin()], dim=1)


def grid() -> Tensor:
    """Return 25 centers from -4 to 4 in steps of 2, (25, 2)."""
    ticks = torch.arange(-4, 5, 2, dtype=torch.float64)
    return torch.cartesian_prod(ticks, ticks)


LAYOUTS = {"ring": (ring, 0.02), "grid": (grid, 0.05)}  # centers and sigma, in the papers' units
EDGE = 0.8  # the largest coordinate of a scaled center: 20 sigma inside [-1, 1]
TEST_COUNT = 10_000
SIDE = 512  # of a figure, in pixels
RADIUS = 3  # of the circles, in standard deviations
INK = (0.12, 0.27, 0.6)  # RGB of the densest samples
PAPER, LINE = 1.0, 0.75  # gray levels of the background and the circles


class Gaussians(ImageDataModule):
    """Points of a mixture of equally likely Gaussians, as images of one pixel and two channels.

    The constants follow the official code of WGAN-GP (Gulrajani et al. 2017) and PacGAN (Lin et al.
    2018); PacGAN's ring has half this radius and half this sigma. All coordinates are multiplied by
    0.4 (ring) or 0.2 (grid), so that the largest coordinate of a center is 0.8. `label` is the
    index of the Gaussian. Values are floats and are never quantized. There are 10,000 test points.

    Args:
        layout: "ring", 8 Gaussians at radius 2 with sigma 0.02, or "grid", 25 at -4, -2 ... 4 with
            sigma 0.05.
        count: Number of training points, including `val_count` validation points.
    """

    image_size = 1
    image_channels = 2
    extractor = "pixels"

    def __init__(
        self,
        layout: str = "ring",
        batch_size: int = 256,
        count: int = 100_000,
        val_count: int = 10_000,
        split_seed: int = 0,
    ):
        super().__init__()
        if layout not in LAYOUTS:
            raise ValueError(f"data.layout={layout!r}: choose {' or '.join(LAYOUTS)}")
        make, sigma = LAYOUTS[layout]
        scale = EDGE / make().abs().max().item()
        self.centers = make() * scale  # (M, 2)
        self.sigma = sigma * scale
        self.classes = len(self.centers)

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        generator = keyed_generator(hp.split_seed, "gaussians", hp.layout, split)
        labels = torch.randint(self.classes, (count,), generator=generator)
        noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        points = self.centers[labels] + self.sigma * noise
        return points.float()[:, :, None, None], labels

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        return batch | {"image": batch["image"].to(self.dtype)}

    @staticmethod
    def denormalize(samples: Tensor) -> Tensor:
        """Return the samples unchanged, because the data are floats."""
        return samples

    @property
    def mixture(self) -> tuple[Tensor, float]:
        """The centers (M, 2) and the standard deviation of the Gaussians."""
        return self.centers, self.sigma

    def figure(self, samples: Tensor) -> Tensor:
        """Draw a 2D histogram of samples, with a circle of 3 sigma around each center.

        Args:
            samples: (N, 2, 1, 1). The figure shows [-1, 1]², y upwards; samples outside are drawn
                on the border.

        Returns:
            uint8 (3, SIDE, SIDE), darker where there are more samples.

        Raises:
            ValueError: The samples contain NaN.
        """
        if samples.isnan().any():
            raise ValueError("the samples contain NaN")
        columns, rows = ((samples.flatten(1).cpu() + 1) / 2 * SIDE).long().clamp(0, SIDE - 1).T
        counts = (rows * SIDE + columns).bincount(minlength=SIDE**2).view(1, SIDE, SIDE)
        dots = avg_pool2d(counts.float(), 3, stride=1, padding=1, divisor_override=1)
        depth = 0.4 + 0.6 * dots.log1p() / dots.max().log1p()  # so that a single sample is visible
        ink = torch.tensor(INK)[:, None, None]
        image = torch.where(dots > 0, PAPER + depth * (ink - PAPER), self._circles())
        return (image.flip(1) * 255).round().to(torch.uint8)

    def _circles(self) -> Tensor:
        """Draw the circles alone, (SIDE, SIDE) in [0, 1]."""
        axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
        pixels = torch.cartesian_prod(axis, axis).flip(1)  # (row, column) to (x, y)
        distance = torch.cdist(pixels, self.centers.float()).min(dim=1).values
        on_circle = (distance - RADIUS * self.sigma).abs() < 1 / SIDE  # half a pixel
        return torch.where(on_circle, LINE, PAPER).view(SIDE, SIDE)
