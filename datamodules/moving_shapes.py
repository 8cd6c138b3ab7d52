"""Videos of textured shapes that occlude each other, with the class of each pixel."""

from functools import cache
from typing import Annotated

import torch
from torch import Generator, Tensor

from datamodules.loading.sources import TensorSource
from datamodules.moving_digits import bouncing_path, noise_texture, random_ints
from datamodules.video import VideoDataModule
from zoo.engine.seeds import keyed_generator

SHAPES = ("disc", "square", "triangle")  # classes 1, 2, 3; class 0 is the background
TEST_COUNT = 300
DARKEST = 0.3  # smallest value of a color's channels


class MovingShapes(VideoDataModule):
    """Clips of shapes that move in straight lines over a still texture, with segmentations.

    Shapes bounce off the edges, and later shapes occlude earlier ones. Discs have horizontal
    stripes of two colors, squares vertical stripes, and triangles a checkerboard. All colors are
    random, so they do not reveal the class. `segmentation` is (N, T, H, W) int64. There are 300
    test clips. A clip depends only on split_seed and its index.

    Args:
        frames: Frames per clip, T.
        objects: Shapes per clip.
        speed: Largest speed along each axis, in pixels per frame; the smallest is 1.
        noise: Standard deviation of the noise added to each frame, for values in [0, 1].
        count: Number of training clips.
        val_count: Number of validation clips, in addition to the `count` training clips.
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

    def open(self, split: str) -> TensorSource:
        hp = self.hparams
        counts = {"train": hp.count, "val": hp.val_count, "test": TEST_COUNT}
        clips = [self.clip(split, position) for position in range(max(counts[split], 1))]
        videos, segmentations = (
            torch.stack(parts)[: counts[split]] for parts in zip(*clips, strict=True)
        )
        return TensorSource(video=videos, segmentation=segmentations)

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch | {"segmentation": batch["segmentation"].long()}

    def clip(self, split: str, position: int) -> tuple[Tensor, Tensor]:
        """Generate the clip at a position, uint8 (T, 3, H, W), and its classes, uint8 (T, H, W)."""
        hp = self.hparams
        generator = keyed_generator(hp.split_seed, self.name, split, position)
        size = hp.image_size
        ground, *inks = random_colors(1 + 2 * hp.objects, generator).split([1, *[2] * hp.objects])
        frames = ground * noise_texture(size, generator)[..., None]
        frames = frames.repeat(hp.frames, 1, 1, 1)  # (T, H, W, 3)
        classes = torch.zeros(frames.shape[:3], dtype=torch.uint8)
        times = torch.arange(hp.frames)[:, None]
        for which, ink in zip(random_ints(len(SHAPES), hp.objects, generator), inks, strict=True):
            (extra,) = random_ints(size // 4 - 2, 1, generator)
            side = size // 4 + 1 + extra
            covered, pattern = shape_pixels(which, side)
            room = size - side
            paths = [bouncing_path(room, hp.speed, hp.frames, generator) for _ in range(2)]
            y, x = torch.tensor(paths)[:, :, None] + covered[:, None]  # (T, P) each
            frames[times, y, x] = ink[pattern]
            classes[times, y, x] = 1 + which
        frames += hp.noise * torch.randn(frames.shape, generator=generator)
        video = (255 * frames).round().clamp(0, 255).to(torch.uint8)
        return video.movedim(-1, 1), classes


def random_colors(count: int, generator: Generator) -> Tensor:
    """Draw RGB colors, (count, 3) in [DARKEST, 1]."""
    return DARKEST + (1 - DARKEST) * torch.rand(count, 3, generator=generator)


@cache
def shape_pixels(which: int, side: int) -> tuple[Tensor, Tensor]:
    """Compute the pixels that a shape covers.

    Args:
        which: Index in SHAPES.
        side: Height and width of the shape.

    Returns:
        Rows and columns of the pixels, (2, P); which of two colors each has, (P,).
    """
    y, x = torch.arange(side)[:, None].expand(side, side), torch.arange(side).expand(side, side)
    down, right = 2 * y - (side - 1), 2 * x - (side - 1)  # from the center, in half pixels
    covered = {
        "disc": down**2 + right**2 <= side**2,
        "square": torch.ones(side, side, dtype=torch.bool),
        "triangle": right.abs() <= y + 1,
    }[SHAPES[which]]
    pattern = {"disc": y % 2, "square": x % 2, "triangle": (x + y) % 2}[SHAPES[which]]
    return covered.nonzero().T, pattern[covered]
