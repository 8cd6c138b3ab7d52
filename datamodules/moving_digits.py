"""Digits that move in front of textures, and hide each other."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from datamodules.digits import Digits
from datamodules.video import VideoDataModule
from zoo.engine.seeds import keyed_generator

TEST_COUNT = 300
LOWEST, HIGHEST = 13, 242  # grey levels of 0 and 1: at the ends themselves tanh is flat
DARKEST = 0.75  # shade of a digit; no background is brighter than 0.5
GRAINS = (3, 8)  # pixels, of the backgrounds' noise


class MovingDigits(VideoDataModule):
    """Clips of scikit-learn's digits on straight ways in front of a still background, grey.

    A digit moves by 1 to `speed` pixels a frame along each axis, and bounces off the edges. The
    later ones of `objects` digits hide the earlier ones; each has a shade of its own. textured: the
    backgrounds are noise of two grains; else they are black. Test clips are of the test digits,
    which no training clip shows.

    count: clips to train on; val_count: others to validate on, of the training digits; there are
    300 to test on. A clip is drawn when it is asked for, and depends on split_seed and its place
    alone.
    """

    image_channels = 1
    has_val_split = True

    def __init__(
        self,
        batch_size: int = 16,
        image_size: int = 24,
        frames: int = 6,
        objects: int = 2,
        speed: int = 2,
        textured: bool = True,
        count: int = 20000,
        val_count: int = 300,
        split_seed: int = 0,
        workers: int = 0,
    ):
        super().__init__()

    def digits(self, split: str) -> Tensor:
        """uint8 (D, 1, side, side) of "train" or "test"."""
        return Digits().load(split)[0]

    def open(self, split):
        hp = self.hparams
        digits = self.digits("test" if split == "test" else "train")[:, 0] / 255
        if hp.image_size <= digits.shape[-1]:
            raise ValueError(
                f"data.image_size={hp.image_size} leaves digits of {digits.shape[-1]} pixels no "
                "room to move"
            )
        counts = {"train": hp.count, "val": hp.val_count, "test": TEST_COUNT}
        return Clips(digits, counts[split], hp, (hp.split_seed, self.name, split))


class Clips:
    """Clips drawn when they are asked for, see MovingDigits.

    digits: (D, side, side) in [0, 1]; stream: names what clips depend on beside their places.
    """

    def __init__(self, digits, count, settings, stream):
        self.digits = digits
        self.count = count
        self.settings = settings
        self.stream = stream

    def __len__(self):
        return self.count

    def __getitem__(self, positions):
        return {"video": torch.stack([self.clip(position) for position in positions.tolist()])}

    def clip(self, position: int) -> Tensor:
        """uint8 (T, 1, H, W)."""
        hp, generator = self.settings, keyed_generator(*self.stream, position)
        frames = torch.zeros(hp.image_size, hp.image_size)
        if hp.textured:
            frames = texture(hp.image_size, generator) / 2
        frames = frames.repeat(hp.frames, 1, 1)
        side = self.digits.shape[-1]
        for which in draw(len(self.digits), hp.objects, generator):
            ink = self.digits[which]
            shade = DARKEST + (1 - DARKEST) * torch.rand(1, generator=generator)
            ways = [way(hp.image_size - side, hp.speed, hp.frames, generator) for _ in range(2)]
            for frame, top, left in zip(frames, *ways, strict=True):
                below = frame[top : top + side, left : left + side]
                below.lerp_(shade.expand_as(below), ink)
        return (LOWEST + (HIGHEST - LOWEST) * frames).round().to(torch.uint8)[:, None]


def texture(size, generator):
    """Noise of two grains, (size, size) in [0, 1]."""
    noises = [torch.rand(1, 1, *[-(-size // g)] * 2, generator=generator) for g in GRAINS]
    smooth = [interpolate(noise, (size, size), mode="bilinear") for noise in noises]
    return torch.cat(smooth).mean(dim=(0, 1))


def draw(high, count, generator):
    """A list of whole numbers below `high`."""
    return torch.randint(high, (count,), generator=generator).tolist()


def way(room: int, speed: int, frames: int, generator: torch.Generator) -> list[int]:
    """Places from 0 to `room` along an axis, one a frame: a triangle wave in time."""
    (start,), (step,), (back,) = (draw(high, 1, generator) for high in (room + 1, speed, 2))
    step = (-1) ** back * (1 + step)
    return [room - abs((start + step * t) % (2 * room) - room) for t in range(frames)]
