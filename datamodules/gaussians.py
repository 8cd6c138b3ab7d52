"""Gaussians in the plane, on which papers on GANs count modes: a ring of 8, a grid of 25."""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from datamodules.image import ImageDataModule
from zoo.engine.seeds import keyed_generator


def ring() -> Tensor:
    """(8, 2): centres at radius 2."""
    angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    return 2 * torch.stack([angles.cos(), angles.sin()], dim=1)


def grid() -> Tensor:
    """(25, 2): centres from -4 to 4 in steps of 2."""
    ticks = torch.arange(-4, 5, 2, dtype=torch.float64)
    return torch.cartesian_prod(ticks, ticks)


LAYOUTS = {"ring": (ring, 0.02), "grid": (grid, 0.05)}  # centres and sigma, in the papers' units
EDGE = 0.8  # the largest coordinate of a centre once scaled: 20 sigma inside [-1, 1]
TEST_COUNT = 10_000
SIDE = 512  # pixels of a picture
RADIUS = 3  # standard deviations, of the circles
INK = (0.12, 0.27, 0.6)  # the darkest colour of a sample, red, green, blue
PAPER, LINE = 1.0, 0.75  # shades of grey


class Gaussians(ImageDataModule):
    """Points of a mixture of equal Gaussians, as images of one pixel and two channels.

    layout: "ring", 8 at radius 2 with sigma 0.02, or "grid", 25 at -4, -2 ... 4 with sigma 0.05
    count: points to train on, `val_count` of them held out; there are 10,000 to test on

    The constants are those of the official code of WGAN-GP (Gulrajani et al. 2017) and PacGAN (Lin
    et al. 2018), whose ring is half as large in both. Everything is multiplied by 0.4 (ring) or 0.2
    (grid), so that the outermost coordinate of a centre is 0.8. The points, not only the split,
    depend on split_seed; `label` is the Gaussian. There are no pixels to quantise: floats in
    [-1, 1] are loaded, trained on and measured as they are.
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
            raise ValueError(f"data.layout={layout!r}: there are {' and '.join(LAYOUTS)}")
        make, sigma = LAYOUTS[layout]
        scale = EDGE / make().abs().max().item()
        self.centres = make() * scale  # (M, 2)
        self.sigma = sigma * scale
        self.classes = len(self.centres)

    def load(self, split):
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        generator = keyed_generator(hp.split_seed, "gaussians", hp.layout, split)
        labels = torch.randint(self.classes, (count,), generator=generator)
        noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        points = self.centres[labels] + self.sigma * noise
        return points.float()[:, :, None, None], labels

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch | {"image": batch["image"].to(self.dtype)}

    @staticmethod
    def denormalize(samples: Tensor) -> Tensor:
        """As they are."""
        return samples

    @property
    def mixture(self) -> tuple[Tensor, float]:
        """The centres (M, 2) and the standard deviation of the Gaussians."""
        return self.centres, self.sigma

    def figure(self, samples: Tensor) -> Tensor:
        """Where samples (N, 2, 1, 1) fall in [-1, 1]², y upwards, as uint8 (3, SIDE, SIDE).

        Darker where there are more, with a circle of 3 sigma around each centre. Samples from
        outside lie on the border. Raises ValueError for samples that hold NaN.
        """
        if samples.isnan().any():
            raise ValueError("the samples hold NaN")
        columns, rows = ((samples.flatten(1).cpu() + 1) / 2 * SIDE).long().clamp(0, SIDE - 1).T
        counts = (rows * SIDE + columns).bincount(minlength=SIDE**2).view(1, SIDE, SIDE)
        dots = avg_pool2d(counts.float(), 3, stride=1, padding=1, divisor_override=1)
        depth = 0.4 + 0.6 * dots.log1p() / dots.max().log1p()  # a lone sample is seen, too
        ink = torch.tensor(INK)[:, None, None]
        image = torch.where(dots > 0, PAPER + depth * (ink - PAPER), self._circles())
        return (image.flip(1) * 255).round().to(torch.uint8)

    def _circles(self):
        """The drawing without samples, (SIDE, SIDE) in [0, 1]."""
        axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
        pixels = torch.cartesian_prod(axis, axis).flip(1)  # (row, column) to (x, y)
        distance = torch.cdist(pixels, self.centres.float()).min(dim=1).values
        on_circle = (distance - RADIUS * self.sigma).abs() < 1 / SIDE  # half a pixel
        return torch.where(on_circle, LINE, PAPER).view(SIDE, SIDE)
