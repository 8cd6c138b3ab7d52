"""Videos of digits that move over a texture and occlude each other."""

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from datamodules.digits import Digits
from datamodules.video import VideoDataModule
from zoo.engine.seeds import keyed_generator

TEST_COUNT = 300
LOWEST, HIGHEST = 13, 242  # gray levels of 0 and 1; at 0 and 255 the gradient of tanh vanishes
DARKEST = 0.75  # of a digit; backgrounds are at most 0.5
GRAINS = (3, 8)  # scales of the background noise, in pixels


class MovingDigits(VideoDataModule):
    """Gray clips of scikit-learn's digits that move in straight lines over a still background.

    Digits bounce off the edges. Later digits occlude earlier ones; each has its own gray level.
    There are 300 test clips, of digits that do not occur in training. A clip is generated on access
    and depends only on split_seed and its index.

    Args:
        frames: Frames per clip, T.
        objects: Digits per clip.
        speed: Largest speed along each axis, in pixels per frame; the smallest is 1.
        textured: Use noise at two scales as the background instead of black.
        count: Number of training clips.
        val_count: Number of validation clips, in addition to the `count` training clips and with
            the same digits.
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
        """Return the digits of "train" or "test", uint8 (D, 1, side, side)."""
        return Digits().load(split)[0]

    def open(self, split: str) -> "MovingDigitClips":
        hp = self.hparams
        digits = self.digits("test" if split == "test" else "train")[:, 0] / 255
        if hp.image_size <= digits.shape[-1]:
            raise ValueError(
                f"data.image_size={hp.image_size} must be larger than the digits, which have "
                f"{digits.shape[-1]} pixels"
            )
        counts = {"train": hp.count, "val": hp.val_count, "test": TEST_COUNT}
        return MovingDigitClips(digits, counts[split], hp, (hp.split_seed, self.name, split))


class MovingDigitClips:
    """Clips that are generated on access, see MovingDigits.

    Args:
        digits: (D, side, side) in [0, 1].
        count: Number of clips.
        settings: The hyperparameters of MovingDigits.
        stream: What clips depend on besides their positions.
    """

    def __init__(self, digits: Tensor, count: int, settings: Any, stream: tuple[object, ...]):
        self.digits = digits
        self.count = count
        self.settings = settings
        self.stream = stream

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        return {"video": torch.stack([self.clip(position) for position in positions.tolist()])}

    def clip(self, position: int) -> Tensor:
        """Generate the clip at a position, uint8 (T, 1, H, W)."""
        hp, generator = self.settings, keyed_generator(*self.stream, position)
        frames = torch.zeros(hp.image_size, hp.image_size)
        if hp.textured:
            frames = noise_texture(hp.image_size, generator) / 2
        frames = frames.repeat(hp.frames, 1, 1)
        side = self.digits.shape[-1]
        for which in random_ints(len(self.digits), hp.objects, generator):
            ink = self.digits[which]
            shade = DARKEST + (1 - DARKEST) * torch.rand(1, generator=generator)
            room = hp.image_size - side
            paths = [bouncing_path(room, hp.speed, hp.frames, generator) for _ in range(2)]
            for frame, top, left in zip(frames, *paths, strict=True):
                below = frame[top : top + side, left : left + side]
                below.lerp_(shade.expand_as(below), ink)
        return (LOWEST + (HIGHEST - LOWEST) * frames).round().to(torch.uint8)[:, None]


def noise_texture(size: int, generator: Generator) -> Tensor:
    """Generate noise of two scales, (size, size) in [0, 1]."""
    noises = [torch.rand(1, 1, *[-(-size // g)] * 2, generator=generator) for g in GRAINS]
    smooth = [interpolate(noise, (size, size), mode="bilinear") for noise in noises]
    return torch.cat(smooth).mean(dim=(0, 1))


def random_ints(high: int, count: int, generator: Generator) -> list[int]:
    """Draw `count` integers in [0, high)."""
    return torch.randint(high, (count,), generator=generator).tolist()


def bouncing_path(room: int, speed: int, frames: int, generator: Generator) -> list[int]:
    """Generate positions along an axis, one per frame: a triangle wave in time.

    Args:
        room: The largest position; the smallest is 0.
        speed: Largest step per frame; the smallest is 1.
        frames: Number of positions.
        generator: Source of randomness.
    """
    (start,), (step,), (back,) = (random_ints(high, 1, generator) for high in (room + 1, speed, 2))
    step = (-1) ** back * (1 + step)
    return [room - abs((start + step * t) % (2 * room) - room) for t in range(frames)]
