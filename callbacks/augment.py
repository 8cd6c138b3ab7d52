"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from callbacks.network_hooks import NetworkCallback, transform_inputs
from zoo.base import GenerativeModule
from zoo.config.errors import UserError


class Augment(NetworkCallback):
    """Augment every image that the adversary sees in training, real and generated alike.

    In both players' turns, so that the generator gets its gradient through the augmentation (eq.
    4 to 6). For data of a few thousand images or less, which the adversary would memorize.

    Translation and cutout move an image's condition with it, where the condition is an image too
    (pix2pix's source, the frames before a frame, LAPGAN's coarse image): the pair stays together.
    Colours of conditions stay as they are. Labels and embeddings have no place, and stay as well.

    Args:
        policy: among color, translation and cutout, in this order.
        player: the network's name, by default that of the discriminator or critic.

    Raises:
        ValueError: for an unknown policy.
        UserError: in training, for a player that is not called with images (N, C, H, W), or whose
            condition is a map of another size.
    """

    def __init__(
        self,
        policy: tuple[str, ...] = ("color", "translation", "cutout"),
        player: str | None = None,
    ):
        super().__init__(player)
        unknown = [name for name in policy if name not in COLOUR | PLACES]
        if unknown or not policy:
            names = ", ".join(COLOUR | PLACES)
            raise ValueError(f"callbacks.augment.policy={list(policy)}: there are {names}.")
        self.policy = tuple(policy)

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        return [transform_inputs(player, self.augmented)]

    def augmented(self, images: Tensor, *conditions: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) and their conditions after the policy."""
        if images.dim() != 4:
            raise UserError(
                f"callbacks.augment: the player is called with {tuple(images.shape)}, not with "
                "images (N, C, H, W). Name another with callbacks.augment.player=NAME."
            )
        for name in self.policy:
            for transform in COLOUR.get(name, ()):
                images = transform(images)
            for transform in PLACES.get(name, ()):
                images, *rest = transform_jointly(transform, images, *conditions)
                conditions = tuple(rest)
        return images, *conditions


def transform_jointly(transform, images: Tensor, *conditions: Tensor) -> list[Tensor]:
    """Transform images (N, C, H, W) and the conditions that have their size by the same draw."""
    seen = [images, *conditions]
    places = [k for k, values in enumerate(seen) if is_spatial(values, images)]
    channels = [seen[k].shape[1] for k in places]
    moved = transform(torch.cat([seen[k] for k in places], dim=1))
    for k, values in zip(places, moved.split(channels, dim=1), strict=True):
        seen[k] = values
    return seen


def is_spatial(condition: Tensor, images: Tensor) -> bool:
    """Whether a condition of images (N, C, H, W) is a map of their size; False for vectors.

    Raises:
        UserError: for a map of another size.
    """
    if condition.dim() < 3:
        return False
    if condition.dim() == 4 and condition.shape[2:] == images.shape[2:]:
        return True
    raise UserError(
        f"callbacks.augment: the condition of shape {tuple(condition.shape)} cannot be moved with "
        f"images of shape {tuple(images.shape)}: only callbacks.augment.policy=[color] is possible."
    )


# Each image (C, H, W) of (N, C, H, W) has its own draw. Ranges are those of the authors' code.


def brightness(images: Tensor) -> Tensor:
    """Adds u ~ U[-1/2, 1/2]."""
    return images + uniform(images) - 0.5


def saturation(images: Tensor) -> Tensor:
    """Moves the channels from or to their mean by u ~ U[0, 2]; nothing where there is one."""
    grey = images.mean(dim=1, keepdim=True)
    return grey + 2 * uniform(images) * (images - grey)


def contrast(images: Tensor) -> Tensor:
    """Moves the pixels from or to the image's mean by u ~ U[1/2, 3/2]."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (uniform(images) + 0.5) * (images - mean)


def translation(images: Tensor) -> Tensor:
    """Moves by up to an eighth of each side, over zeros, the middle of [-1, 1]."""
    count, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) + 1 - shift(images, height)  # (N, H)
    columns = torch.arange(width, device=images.device) + 1 - shift(images, width)  # (N, W)
    rows, columns = rows.clamp(0, height + 1), columns.clamp(0, width + 1)
    each = torch.arange(count, device=images.device)[:, None, None]
    framed = pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    return framed[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: Tensor) -> Tensor:
    """Zeros in a window of half of each side, whose middle is anywhere."""
    inside = [within(images, side) for side in images.shape[2:]]  # (N, H), (N, W)
    window = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images * ~window


def uniform(images: Tensor):
    """(N, 1, 1, 1) ~ U[0, 1]."""
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def shift(images: Tensor, side):
    """(N, 1) whole numbers between -side / 8 and side / 8, rounded."""
    most = int(side / 8 + 0.5)
    return torch.randint(2 * most + 1, (len(images), 1), device=images.device) - most


def within(images: Tensor, side):
    """(N, side): whether a place of a side is in the window."""
    size = int(side / 2 + 0.5)
    middle = torch.randint(side + 1 - size % 2, (len(images), 1), device=images.device)
    first = middle - size // 2
    places = torch.arange(side, device=images.device)
    return (places >= first) & (places < first + size)


# What changes values, of images alone; and what moves pixels, in the same way for all channels, so
# that an image and its condition can be stacked.
COLOUR = {"color": (brightness, saturation, contrast)}
PLACES = {"translation": (translation,), "cutout": (cutout,)}
