"""Whether a batch is what a model is trained on: told at the first one, with the way out."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.config.errors import UserError

# key: the axes of what a batch holds under it.
IMAGES = dict.fromkeys(("image", "source", "wrong_image", "partner", "other"), "NCHW")
FLOATS = IMAGES | {"labelled_image": "NCHW", "video": "NTCHW", "audio": "NT"}
INTEGERS = {"label": "N", "labelled_label": "N", "index": "N", "text": "NT", "wrong_text": "NT"}
INTEGERS |= {"segmentation": "NTHW"}
ENOUGH = 8  # images of which none is dark, so that they can hardly be in [-1, 1]
WAY_OUT = "See 'Your own data' in the README"


def check_batch(model: LightningModule, batch: object) -> bool:
    """Check the first batch of a run; the values are read once, later batches are not looked at.

    Args:
        model: a GenerativeModule; `needs` names the keys, its hyperparameters the shapes.
        batch: what the loader gave, on the model's device.

    Where the batch is of one sample, so is batch norm that would get one value a channel.

    Returns:
        True.

    Raises:
        UserError: the batch is no dict, lacks a key, holds another shape, type or range, or has
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
        if key in FLOATS:
            _check_floats(model, key, batch[key])
        elif key in INTEGERS:
            _check_integers(model, key, batch[key])
    if len(batch[model.needs[0]]) == 1:
        _refuse_single_values(model)
    return True


def _refuse_single_values(model):
    """Raises a UserError for batch norm of one value a channel: now, or where a layer is run."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)}
    names = {layer: name for name, layer in layers.items()}

    def refuse(layer):
        raise UserError(
            f"data.batch_size=1: the batch norm {names[layer]} of {type(model).__name__} has one "
            "value a channel, of which there is no variance. Take data.batch_size=2 or more."
        )

    def look(layer, inputs):
        if layer.training and inputs[0].numel() == inputs[0].shape[1]:
            refuse(layer)

    for module in model.modules():
        children = list(module.children()) if isinstance(module, nn.Sequential) else []
        for before, layer in pairwise(children):
            if isinstance(before, nn.Linear) and isinstance(layer, _BatchNorm):
                refuse(layer)  # of vectors; some are not run before a later phase of training
    for layer in names:
        layer.register_forward_pre_hook(look)


def _check_floats(model, key, values):
    form = f'batch["{key}"] must be {_form(FLOATS[key])} float in [-1, 1]'
    if not isinstance(values, Tensor) or not values.is_floating_point():
        scale = f"{key}.float() / 127.5 - 1 makes that of 0 to 255"
        raise UserError(f"{form}, not {_described(values)}: {scale}. {WAY_OUT}")
    expected = _shape(model, key)
    if values.dim() != len(FLOATS[key]) or any(
        size not in (None, found) for size, found in zip(expected, values.shape, strict=True)
    ):
        raise UserError(
            f"{form}, not {_described(values)}: {type(model).__name__} was made for "
            f"{_settings(model)}. Resize the data, or give the model theirs. {WAY_OUT}"
        )
    low, high = (value.item() for value in values.detach().float().aminmax())
    if not -1.01 < low <= high < 1.01:  # half precision rounds
        raise UserError(f"{form}, not from {low:g} to {high:g}: rescale the data. {WAY_OUT}")
    if key in IMAGES and 0 <= low < high and len(values) >= ENOUGH:
        raise UserError(
            f"{form}, and these {len(values)} are in [{low:g}, {high:g}], as images in [0, 1] are: "
            f"2 * {key} - 1 brings them there. {WAY_OUT}"
        )


def _check_integers(model, key, values):
    form = f'batch["{key}"] must be {_form(INTEGERS[key])} int64'
    fits = isinstance(values, Tensor) and values.dtype == torch.int64
    if not fits or values.dim() != len(INTEGERS[key]):
        raise UserError(f"{form}, not {_described(values)}. {WAY_OUT}")
    classes = model.hparams.get("classes")
    if key.endswith("label") and classes:
        low, high = (value.item() for value in values.aminmax())
        least = 0 if key == "labelled_label" else -1
        if not least <= low <= high < classes:
            raise UserError(
                f"{form} of 0 to {classes - 1}, the classes of the model, or -1 without a label, "
                f"not from {low} to {high}. {WAY_OUT}"
            )


def _shape(model, key):
    """The sizes that the model's hyperparameters ask for; None for any."""
    hp = model.hparams
    side, channels = hp.get("image_size"), hp.get("image_channels")
    if key == "audio":
        return None, hp.get("audio_length")
    if key == "source":
        channels = hp.get("source_channels", channels)
    return (*[None] * (len(FLOATS[key]) - 3), channels, side, side)


def _settings(model):
    names = ("image_size", "image_channels", "source_channels", "audio_length")
    return ", ".join(f"{name}={model.hparams[name]}" for name in names if name in model.hparams)


def _form(axes):
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def _described(values):
    if not isinstance(values, Tensor):
        return f"a {type(values).__name__}"
    return f"{tuple(values.shape)} {str(values.dtype).removeprefix('torch.')}"


def readable(data: LightningDataModule | None) -> LightningDataModule | None:
    """Return data whose splits can be read, those of the zoo; None for a user's own.

    Of a LightningDataModule or of loaders of the user's, only the batches are known.
    """
    of_the_zoo = isinstance(data, LightningDataModule) and hasattr(data, "prepare_batch")
    return data if of_the_zoo else None


def needed_data(model: LightningModule) -> LightningDataModule:
    """Return the data that a model reads besides the batches.

    Raises:
        UserError: they are the user's own, of which only the batches are known.
    """
    data = readable(model.trainer.datamodule)
    if data is None:
        raise UserError(
            f"{type(model).__name__} reads its training samples besides the batches: it needs a "
            f"datamodules.base.DataModule. {WAY_OUT}."
        )
    return data
