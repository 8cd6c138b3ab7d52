"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from callbacks.players import OnPlayer, change_images


class Augment(OnPlayer):
    """Every image that the adversary sees in training is augmented, real and generated alike.

    In both players' turns, so that the generator learns of the images before the augmentation (eq.
    4 to 6). For data of a few thousand images or less, which the adversary would learn by heart.
    policy: among color, translation and cutout, in this order. player: the network's name, by
    default that of the discriminator or critic.
    """

    def __init__(
        self,
        policy: tuple[str, ...] = ("color", "translation", "cutout"),
        player: str | None = None,
    ):
        super().__init__(player)
        unknown = [name for name in policy if name not in POLICIES]
        if unknown or not policy:
            raise ValueError(
                f"callbacks.augment.policy={list(policy)}: there are {', '.join(POLICIES)}."
            )
        self.policy = tuple(policy)

    def attach(self, model, player):
        return [change_images(player, self.augmented)]

    def augmented(self, images):
        for name in self.policy:
            for transform in POLICIES[name]:
                images = transform(images)
        return images


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


def uniform(images):
    """(N, 1, 1, 1) ~ U[0, 1]."""
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def shift(images, side):
    """(N, 1) whole numbers between -side / 8 and side / 8, rounded."""
    most = int(side / 8 + 0.5)
    return torch.randint(2 * most + 1, (len(images), 1), device=images.device) - most


def within(images, side):
    """(N, side): whether a place of a side is in the window."""
    size = int(side / 2 + 0.5)
    middle = torch.randint(side + 1 - size % 2, (len(images), 1), device=images.device)
    first = middle - size // 2
    places = torch.arange(side, device=images.device)
    return (places >= first) & (places < first + size)


POLICIES = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
}
