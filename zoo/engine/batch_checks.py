"""Checks of the first batch of a run: keys, shapes, types and ranges."""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.config.errors import UserError

# The axes of each key of a batch.
IMAGES = dict.fromkeys(("image", "source", "wrong_image", "partner", "other"), "NCHW")
FLOATS = IMAGES | {"labeled_image": "NCHW", "video": "NTCHW", "audio": "NT"}
INTEGERS = {"label": "N", "labeled_label": "N", "index": "N", "text": "NT", "wrong_text": "NT"}
INTEGERS |= {"segmentation": "NTHW"}
NUM_BRIGHT = 8  # so many images without a negative value are taken for images in [0, 1]
HOOKS = "batch_check_hooks"  # the attribute of a model that holds them during a fit
WAY_OUT = "See 'Your own data' in the README"


def check_batch(model: Any, batch: object) -> bool:
    """Check the first batch of a run. Later batches are not checked.

    A batch of one sample adds hooks to batch norm layers. `remove_hooks` removes them.

    Args:
        model: A GenerativeModule. `needs` has the keys, its hyperparameters the shapes.
        batch: The batch, on the model's device.

    Returns:
        True.

    Raises:
        UserError: The batch is not a dict, lacks a key, has the wrong shape, type or range, or has
            one sample where batch norm needs two.
    """
    name = type(model).__name__
    if not isinstance(batch, Mapping):
        raise UserError(
            f"{name} is trained on batches that are dicts of {', '.join(model.needs)}, not on a "
            f"{type(batch).__name__}: give the loader a collate_fn that makes them, such as "
            '{"image": 2 * images - 1, "label": labels} of images in [0, 1]. ' + WAY_OUT
        )
    missing = [key for key in model.needs if key not in batch]
    if missing:
        raise UserError(
            f"{name} needs the batch key {', '.join(missing)}, but a batch holds "
            f"{', '.join(map(str, batch)) or 'nothing'}. {WAY_OUT}"
        )
    for key in model.needs:
        if fault := fault_of(model, key, batch[key], f'batch["{key}"]'):
            raise UserError(f"{fault} {WAY_OUT}")
    if len(batch[model.needs[0]]) == 1:
        _refuse_single_values(model)
    return True


def check_scores(scores: Any, images: Tensor, method: str) -> Tensor:
    """Check that a critic or discriminator returns one number per image; its shape costs nothing.

    Args:
        scores: What it returned.
        images: (N, C, H, W).
        method: The method that builds it, for the message.

    Returns:
        The scores (N,).

    Raises:
        UserError: They have another shape, over which a loss would average without an error.
    """
    if not isinstance(scores, Tensor) or scores.shape != images.shape[:1]:
        raise UserError(
            f"The network of {method} must return one number per image, (N,), but for N="
            f"{len(images)} it returns {_described(scores)}: end it with one output per image and "
            "nn.Flatten(0), which makes (N, 1) to (N,)."
        )
    return scores


def _refuse_single_values(model: nn.Module) -> None:
    """Refuse batch norm of one value per channel, either now or when a layer runs in this fit.

    Raises:
        UserError: A batch norm follows a linear layer, so a batch of one has one value per channel.
    """
    layers = {layer: name for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)}
    refusals = {
        layer: f"data.batch_size=1: the batch norm {name} of {type(model).__name__} gets one value "
        "per channel, which has no variance. Use data.batch_size=2 or more."
        for layer, name in layers.items()
    }
    for module in model.modules():
        children = list(module.children()) if isinstance(module, nn.Sequential) else []
        for before, layer in pairwise(children):
            if isinstance(before, nn.Linear) and isinstance(layer, _BatchNorm):
                # Now, because some layers run in a later phase of training only.
                raise UserError(refusals[layer])
    hooks: Any = [
        layer.register_forward_pre_hook(partial(_refuse_single_value, message))
        for layer, message in refusals.items()
    ]
    vars(model)[HOOKS] = hooks


def _refuse_single_value(message: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Raise UserError if a batch norm in train mode gets one value per channel."""
    if layer.training and inputs[0].numel() == inputs[0].shape[1]:
        raise UserError(message)


def remove_hooks(model: nn.Module) -> None:
    """Remove the hooks of `check_batch`, which belong to one fit."""
    for hook in vars(model).pop(HOOKS, ()):
        hook.remove()


def fault_of(model: Any, key: str, values: Any, name: str) -> str:
    """Return a sentence that says what is wrong with the values of a batch's key, or "".

    Args:
        model: The model.
        key: The key. Keys without a fixed shape have no fault.
        values: The values.
        name: What the sentence calls them.
    """
    if key in FLOATS:
        return _fault_of_floats(model, key, values, f"{name} must be {_form(FLOATS[key])} float")
    if key in INTEGERS:
        return _fault_of_integers(model, key, values, f"{name} must be {_form(INTEGERS[key])}")
    return ""


def _fault_of_floats(model: Any, key: str, values: Any, form: str) -> str:
    """Return what is wrong with the type, shape or range of images, videos or audio."""
    form += " in [-1, 1]"
    if not isinstance(values, Tensor) or not values.is_floating_point():
        scale = f"{key}.float() / 127.5 - 1 rescales values of 0 to 255"
        return f"{form}, not {_described(values)}: {scale}."
    expected = _shape(model, key)
    if values.dim() != len(FLOATS[key]) or any(
        size not in (None, found) for size, found in zip(expected, values.shape, strict=True)
    ):
        return (
            f"{form}, not {_described(values)}: {type(model).__name__} was built with "
            f"{_settings(model)}. Resize the data, or build the model for their size."
        )
    low, high = (value.item() for value in values.detach().float().aminmax())
    if not -1.01 < low <= high < 1.01:  # half precision rounds
        return f"{form}, not from {low:g} to {high:g}: rescale the data."
    if key in IMAGES and 0 <= low < high and len(values) >= NUM_BRIGHT:
        return (
            f"{form}, but these {len(values)} are in [{low:g}, {high:g}] and look like images in "
            f"[0, 1]: 2 * {key} - 1 rescales them."
        )
    return ""


def _fault_of_integers(model: Any, key: str, values: Any, form: str) -> str:
    """Return what is wrong with the type, shape or range of labels, texts or indices."""
    form += " int64"
    fits = isinstance(values, Tensor) and values.dtype == torch.int64
    if not fits or values.dim() != len(INTEGERS[key]):
        return f"{form}, not {_described(values)}."
    classes = model.hparams.get("classes")
    if key.endswith("label") and classes:
        low, high = (value.item() for value in values.aminmax())
        least = 0 if key == "labeled_label" else -1
        if not least <= low <= high < classes:
            return (
                f"{form} of 0 to {classes - 1}, the classes of the model, or -1 without a label, "
                f"not from {low} to {high}."
            )
    return ""


def _shape(model: Any, key: str) -> tuple[int | None, ...]:
    """Return the shape that the model's hyperparameters define; None for any size."""
    hp = model.hparams
    side, channels = hp.get("image_size"), hp.get("image_channels")
    if key == "audio":
        return None, hp.get("audio_length")
    if key == "source":
        channels = hp.get("source_channels", channels)
    return (*[None] * (len(FLOATS[key]) - 3), channels, side, side)


def _settings(model: Any) -> str:
    """Return 'image_size=8, image_channels=1' of the model's hyperparameters."""
    names = ("image_size", "image_channels", "source_channels", "audio_length")
    return ", ".join(f"{name}={model.hparams[name]}" for name in names if name in model.hparams)


def _form(axes: str) -> str:
    """Return '(N, T)' of 'NT'."""
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def _described(values: object) -> str:
    """Return '(4, 1, 8, 8) float32' of a tensor, or the type of anything else."""
    if not isinstance(values, Tensor):
        return f"a {type(values).__name__}"
    return f"{tuple(values.shape)} {str(values.dtype).removeprefix('torch.')}"


def zoo_data_module(data: Any) -> Any:
    """Return a data module of the zoo, whose splits can be read; None for other data.

    Other data modules and loaders provide batches only.
    """
    of_the_zoo = isinstance(data, LightningDataModule) and hasattr(data, "prepare_batch")
    return data if of_the_zoo else None


def needed_data(model: Any) -> Any:
    """Return the data module of a model that reads training samples besides the batches.

    Raises:
        UserError: It is not a data module of the zoo.
    """
    data = zoo_data_module(model.trainer.datamodule)
    if data is None:
        raise UserError(
            f"{type(model).__name__} reads training samples directly: it needs a "
            f"datamodules.base.DataModule. {WAY_OUT}."
        )
    return data
