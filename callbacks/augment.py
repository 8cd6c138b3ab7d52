"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from callbacks.network_hooks import NetworkCallback, transform_inputs
from zoo.base import GenerativeModule
from zoo.config.errors import UserError

Transform = Callable[[Tensor], Tensor]


class Augment(NetworkCallback):
    """Augment real and generated images before they enter the adversary in training.

    The generator's gradient passes through the augmentation (eqs. 4 to 6). Use it for training sets
    of a few thousand images or fewer, which the adversary would otherwise memorize.

    If a condition is an image, such as pix2pix's source, past frames or LAPGAN's coarse image,
    translation and cutout apply to both together. Colors of conditions, labels and embeddings are
    unchanged.

    Args:
        policy: Any of color, translation and cutout, applied in this order.
        player: Name of the adversary's network; by default discriminator or critic.

    Raises:
        ValueError: The policy is unknown.
        UserError: In training, the player's input is not images (N, C, H, W), or its condition is
            an image of another size.
    """

    def __init__(
        self,
        policy: tuple[str, ...] = ("color", "translation", "cutout"),
        player: str | None = None,
    ):
        super().__init__(player)
        unknown = [name for name in policy if name not in COLOR_TRANSFORMS | SPATIAL_TRANSFORMS]
        if unknown or not policy:
            names = ", ".join(COLOR_TRANSFORMS | SPATIAL_TRANSFORMS)
            raise ValueError(f"callbacks.augment.policy={list(policy)}: choose among {names}.")
        self.policy = tuple(policy)

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        return [transform_inputs(player, self.augment)]

    def augment(self, images: Tensor, *conditions: Tensor) -> tuple[Tensor, ...]:
        """Apply the policy to images (N, C, H, W) and their conditions."""
        if images.dim() != 4:
            raise UserError(
                f"callbacks.augment: the input of the player has shape {tuple(images.shape)}, but "
                "must be images (N, C, H, W). Choose another with callbacks.augment.player=NAME."
            )
        for name in self.policy:
            for transform in COLOR_TRANSFORMS.get(name, ()):
                images = transform(images)
            for transform in SPATIAL_TRANSFORMS.get(name, ()):
                images, *others = transform_jointly(transform, images, *conditions)
                conditions = tuple(others)
        return images, *conditions


def transform_jointly(transform: Transform, images: Tensor, *conditions: Tensor) -> list[Tensor]:
    """Transform images and spatial conditions with the same random parameters.

    Args:
        transform: A function of images (N, C, H, W) that treats all channels equally.
        images: (N, C, H, W).
        *conditions: Those of shape (N, C', H, W) are transformed.

    Returns:
        The images and all conditions.
    """
    inputs = [images, *conditions]
    spatial = [k for k, values in enumerate(inputs) if is_spatial(values, images)]
    channels = [inputs[k].shape[1] for k in spatial]
    transformed = transform(torch.cat([inputs[k] for k in spatial], dim=1))
    for k, values in zip(spatial, transformed.split(channels, dim=1), strict=True):
        inputs[k] = values
    return inputs


def is_spatial(condition: Tensor, images: Tensor) -> bool:
    """Return whether a condition is an image of the size of images (N, C, H, W).

    Raises:
        UserError: It is an image of another size.
    """
    if condition.dim() < 3:
        return False
    if condition.dim() == 4 and condition.shape[2:] == images.shape[2:]:
        return True
    raise UserError(
        f"callbacks.augment: a condition of shape {tuple(condition.shape)} cannot be transformed "
        f"with images of shape {tuple(images.shape)}: use callbacks.augment.policy=[color]."
    )


# Each of the N images has its own random parameters. Ranges are those of the authors' code.


def brightness(images: Tensor) -> Tensor:
    """Add u ~ U[-1/2, 1/2] to images (N, C, H, W)."""
    return images + uniform(images) - 0.5


def saturation(images: Tensor) -> Tensor:
    """Scale the channels' deviation from their mean by u ~ U[0, 2]; no effect on gray images."""
    grey = images.mean(dim=1, keepdim=True)
    return grey + 2 * uniform(images) * (images - grey)


def contrast(images: Tensor) -> Tensor:
    """Scale the pixels' deviation from the image's mean by u ~ U[1/2, 3/2]."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (uniform(images) + 0.5) * (images - mean)


def translation(images: Tensor) -> Tensor:
    """Shift images by up to 1/8 of each side and fill with 0, the middle of [-1, 1]."""
    count, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) + 1 - random_shift(images, height)  # (N, H)
    columns = torch.arange(width, device=images.device) + 1 - random_shift(images, width)  # (N, W)
    rows, columns = rows.clamp(0, height + 1), columns.clamp(0, width + 1)
    each = torch.arange(count, device=images.device)[:, None, None]
    framed = pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    return framed[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: Tensor) -> Tensor:
    """Set a window of half of each side, with its center anywhere in the image, to 0."""
    inside = [random_window(images, side) for side in images.shape[2:]]  # (N, H), (N, W)
    window = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images * ~window


def uniform(images: Tensor) -> Tensor:
    """Sample one number per image, (N, 1, 1, 1) ~ U[0, 1]."""
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def random_shift(images: Tensor, side: int) -> Tensor:
    """Sample one integer per image in [-side / 8, side / 8], rounded, (N, 1)."""
    most = int(side / 8 + 0.5)
    return torch.randint(2 * most + 1, (len(images), 1), device=images.device) - most


def random_window(images: Tensor, side: int) -> Tensor:
    """Sample one window per image. Returns the positions inside it, (N, side) bool."""
    size = int(side / 2 + 0.5)
    middle = torch.randint(side + 1 - size % 2, (len(images), 1), device=images.device)
    first = middle - size // 2
    places = torch.arange(side, device=images.device)
    return (places >= first) & (places < first + size)


# Spatial transforms treat all channels equally, so an image and its condition can be stacked.
COLOR_TRANSFORMS = {"color": (brightness, saturation, contrast)}
SPATIAL_TRANSFORMS = {"translation": (translation,), "cutout": (cutout,)}
