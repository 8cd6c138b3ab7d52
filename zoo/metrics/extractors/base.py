"""What all feature extractors share."""

import copy
import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.config import trust
from zoo.config.errors import UserError


class Extractor(nn.Module):
    """uint8 images (N, C, H, W) in, float32 features (N, F) out.

    A subclass takes plain values with defaults, loads its own weights and gives `forward`; where
    its features lead to classes, `classify` too: features (N, F) to probabilities (N, K). What
    changes the numbers belongs into `name`, which is in the name of every metric.
    """

    name = ""
    count = 2000  # the samples that it takes for numbers that are usually compared
    colours = True  # whether it is made for images in colour
    purpose = "images"  # what it is made for

    def num_features(self, shape: tuple[int, ...]) -> int | None:
        """F for images of a shape (C, H, W); None where it is not known without a pass."""
        return None


def check_images(images: Tensor) -> None:
    """TypeError unless these are uint8 images (N, 1 or 3, H, W)."""
    if images.dtype != torch.uint8:
        raise TypeError(f"an extractor takes uint8 images, got {images.dtype}: see to_uint8")
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        shape = tuple(images.shape)
        raise TypeError(f"an extractor takes images (N, 1 or 3, H, W), got {shape}")


def check_purpose(extractor: nn.Module, images: Tensor) -> None:
    """UserError where images (N, C, H, W) are coloured and the extractor is made for grey ones.

    Grey images may have three channels, all equal.
    """
    if getattr(extractor, "colours", True) or (images == images[:, :1]).all():
        return
    raise UserError(
        f"extractor={extractor.name} is made for {extractor.purpose}, and these are in colour: "
        "take another, such as extractor=inception or extractor=pixels."
    )


def read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises ValueError if its hash is not `sha256`."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is damaged or another version: sha256 {found}, not {sha256}")
    return safetensors.torch.load(content)


def load_extractor(choice: str | dict | nn.Module) -> nn.Module:
    """An extractor, frozen and in eval mode.

    choice: a name, the dotted path of a class, {"_target_": ..., parameter: value}, or a module,
        of which a copy is taken.

    Raises UserError for an unknown name, ValueError or FileNotFoundError for missing weights.
    """
    if isinstance(choice, str):
        choice = {"_target_": choice}
    if isinstance(choice, dict):
        options = {name: value for name, value in choice.items() if name != "_target_"}
        choice = trust.import_class("extractor", choice["_target_"])(**options)
    else:
        choice = copy.deepcopy(choice)
    choice.name = getattr(choice, "name", "") or type(choice).__name__.lower()
    choice.count = getattr(choice, "count", Extractor.count)
    return choice.eval().requires_grad_(False)
