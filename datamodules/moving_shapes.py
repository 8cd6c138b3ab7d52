"""Textured shapes that move and hide each other, and which of them each pixel is of."""

from functools import cache
from typing import Annotated

import torch
from torch import Tensor

from datamodules.loading.sources import TensorSource
from datamodules.moving_digits import draw, texture, way
from datamodules.video import VideoDataModule
from zoo.engine.seeds import keyed_generator

SHAPES = ("disc", "square", "triangle")  # the classes 1, 2, 3; 0 is the background
TEST_COUNT = 300
DARKEST = 0.3  # of a colour's channels


class MovingShapes(VideoDataModule):
    """Clips of shapes on straight ways over a still texture, and the class of each of their pixels.

    A shape moves by 1 to `speed` pixels a frame along each axis, and bounces off the edges. The
    later ones of `objects` shapes hide the earlier ones. Discs have rows of two colours, squares
    columns, and triangles both; colours, the background's too, are any, so that a colour says
    nothing. Each frame has noise of its own, of the standard deviation `noise`, where levels are in
    [0, 1]. `segmentation` is (N, T, H, W) int64.

    count: clips to train on; val_count: others to validate on; there are 300 to test on. A clip
    depends on split_seed and its place alone.
    """

    provides = ("video", "segmentation", "index")
    has_val_split = True
    classes = 1 + len(SHAPES)
    class_names = ("background", *SHAPES)

    def __init__(
        self,
        batch_size: int = 16,
        image_size: Annotated[int, "[12, 16384]"] = 24,
        frames: int = 7,
        objects: int = 3,
        speed: int = 2,
        noise: Annotated[float, "[0, inf)"] = 0.1,
        count: int = 3000,
        val_count: int = 300,
        split_seed: int = 0,
    ):
        super().__init__()

    def open(self, split):
        hp = self.hparams
        counts = {"train": hp.count, "val": hp.val_count, "test": TEST_COUNT}
        clips = [self.clip(split, position) for position in range(max(counts[split], 1))]
        videos, segmentations = (
            torch.stack(parts)[: counts[split]] for parts in zip(*clips, strict=True)
        )
        return TensorSource(video=videos, segmentation=segmentations)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch | {"segmentation": batch["segmentation"].long()}

    def clip(self, split: str, position: int) -> tuple[Tensor, Tensor]:
        """uint8 (T, 3, H, W), and the classes, uint8 (T, H, W)."""
        hp, generator = (
            self.hparams,
            keyed_generator(self.hparams.split_seed, self.name, split, position),
        )
        size = hp.image_size
        ground, *inks = colours(1 + 2 * hp.objects, generator).split([1, *[2] * hp.objects])
        frames = ground * texture(size, generator)[..., None]
        frames = frames.repeat(hp.frames, 1, 1, 1)  # (T, H, W, 3)
        classes = torch.zeros(frames.shape[:3], dtype=torch.uint8)
        times = torch.arange(hp.frames)[:, None]
        for which, ink in zip(draw(len(SHAPES), hp.objects, generator), inks, strict=True):
            (extra,) = draw(size // 4 - 2, 1, generator)
            side = size // 4 + 1 + extra
            covered, pattern = shape(which, side)
            ways = [way(size - side, hp.speed, hp.frames, generator) for _ in range(2)]
            y, x = torch.tensor(ways)[:, :, None] + covered[:, None]  # (T, P) each
            frames[times, y, x] = ink[pattern]
            classes[times, y, x] = 1 + which
        frames += hp.noise * torch.randn(frames.shape, generator=generator)
        video = (255 * frames).round().clamp(0, 255).to(torch.uint8)
        return video.movedim(-1, 1), classes


def colours(count, generator):
    """(count, 3) in [DARKEST, 1]."""
    return DARKEST + (1 - DARKEST) * torch.rand(count, 3, generator=generator)


@cache
def shape(which: int, side: int) -> tuple[Tensor, Tensor]:
    """The pixels of a square that a place in SHAPES covers, rows and columns (2, P), and which of
    two colours each has, (P,)."""
    y, x = torch.arange(side)[:, None].expand(side, side), torch.arange(side).expand(side, side)
    down, right = 2 * y - (side - 1), 2 * x - (side - 1)  # from the middle, in half pixels
    covered = {
        "disc": down**2 + right**2 <= side**2,
        "square": torch.ones(side, side, dtype=torch.bool),
        "triangle": right.abs() <= y + 1,
    }[SHAPES[which]]
    pattern = {"disc": y % 2, "square": x % 2, "triangle": (x + y) % 2}[SHAPES[which]]
    return covered.nonzero().T, pattern[covered]
