"""The base class of feature extractors, and how they are loaded."""

import copy
import hashlib
import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import resize

from zoo.config import trust
from zoo.config.errors import UserError
from zoo.engine.distributed import on_rank_zero


class Extractor(nn.Module):
    """A network from uint8 images (N, C, H, W) to float32 features (N, F).

    The constructor of a subclass takes plain values with defaults and loads the weights. A subclass
    defines `forward`, and if it has a classifier `classify`, from features (N, F) to probabilities
    (N, K). `float_features`, if there is one, is `forward` for floats in [0, 255]. `name` becomes a
    part of the name of every metric, so it must contain all settings that change the metrics.
    """

    name = ""
    count = 2000  # default number of samples
    colors = True  # whether it is made for images in color
    purpose = "images"  # what it is made for, in error messages
    num_classes: int | None = None  # K of `classify`, or None if only a pass can tell

    def num_features(self, shape: tuple[int, ...]) -> int | None:
        """Return F for images of a shape (C, H, W), or None if it is not known in advance."""
        return None

    @staticmethod
    def replacement() -> str | None:
        """Return the extractor to use where this default one has no weights; None if it has."""
        return None


def num_features(extractor: Any, shape: tuple[int, ...] | None) -> int | None:
    """Return the number of features of an image, None if it is not known.

    Args:
        extractor: An extractor, or any other module that computes features.
        shape: (C, H, W) of the image; None if it is not known.
    """
    if shape is None or not hasattr(extractor, "num_features"):
        return None
    return extractor.num_features(shape)


def check_images(images: Tensor) -> None:
    """Raise TypeError unless these are uint8 images (N, 1 or 3, H, W)."""
    if images.dtype != torch.uint8:
        raise TypeError(f"an extractor takes uint8 images, got {images.dtype}: see to_uint8")
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        shape = tuple(images.shape)
        raise TypeError(f"an extractor takes images (N, 1 or 3, H, W), got {shape}")


def gray_pixels(pixels: Tensor, side: int) -> Tensor:
    """Return (N, 1, side, side) in [-1, 1] of floats (N, 1 or 3, H, W) in [0, 255]."""
    gray = pixels.mean(dim=1, keepdim=True)
    return resize(gray, [side, side], antialias=True) / 127.5 - 1


def check_purpose(extractor: nn.Module, images: Tensor) -> None:
    """Check that an extractor made for gray images gets gray images.

    Args:
        extractor: The extractor.
        images: (N, C, H, W). Gray images may have three equal channels.

    Raises:
        UserError: The images are in color.
    """
    if getattr(extractor, "colors", True) or (images == images[:, :1]).all():
        return
    raise UserError(
        f"extractor={extractor.name} is made for {extractor.purpose}, and these are in color: "
        "use another, such as extractor=inception or extractor=pixels."
    )


def read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        ValueError: The file's hash is not `sha256`.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is damaged or another version: sha256 {found}, not {sha256}")
    return safetensors.torch.load(content)


def may_classify(choice: Any, num_classes: int) -> bool:
    """Return whether an extractor may have a classifier of so many classes, without loading it.

    Args:
        choice: See `load_extractor`; None for no extractor.
        num_classes: The number of classes of the data.
    """
    extractor = _class_or_module(choice)
    found = getattr(extractor, "num_classes", None)
    return hasattr(extractor, "classify") and found in (None, num_classes)


def _class_or_module(choice: Any) -> Any:
    """Return the class of an extractor's name or settings, or the module itself."""
    if isinstance(choice, dict):
        choice = choice["_target_"]
    return trust.import_class("extractor", choice) if isinstance(choice, str) else choice


def default_extractor(choice: Any) -> Any:
    """Return the extractor that data name, or its replacement if the weights are missing.

    Process 0 decides, and prints the replacement. An extractor with settings was chosen by the user
    and is never replaced.

    Args:
        choice: See `load_extractor`; None for no extractor.
    """
    return on_rank_zero(_with_weights, choice) if isinstance(choice, str) else choice


def _with_weights(choice: str) -> str:
    """Return an extractor's name, or that of its replacement, which is printed."""
    find = getattr(_class_or_module(choice), "replacement", None)
    found = find() if find else None
    if found is None:
        return choice
    print(
        f"Metrics use extractor={found}, because the weights of {choice} are missing. Its FIDs do "
        f"not compare with published ones. To use {choice}, set extractor.weights=PATH or "
        "extractor.download=true.",
        file=sys.stderr,
    )
    return found


def load_extractor(choice: Any) -> Any:
    """Return an extractor, frozen and in eval mode.

    Args:
        choice: A name, the dotted path of a class, {"_target_": ..., parameter: value}, or a
            module, which is copied.

    Raises:
        UserError: The name is unknown.
        FileNotFoundError: The weights are missing.
        ValueError: The weights are damaged.
    """
    if isinstance(choice, dict):
        options = {name: value for name, value in choice.items() if name != "_target_"}
        choice = _class_or_module(choice)(**options)
    elif isinstance(choice, str):
        choice = _class_or_module(choice)()
    else:
        choice = copy.deepcopy(choice)
    choice.name = getattr(choice, "name", "") or type(choice).__name__.lower()
    choice.count = getattr(choice, "count", Extractor.count)
    return choice.eval().requires_grad_(False)
