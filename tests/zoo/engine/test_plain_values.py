"""A checkpoint that was saved can be loaded, whatever its model was constructed with."""

import enum
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import zoo
from callbacks.checkpoint import Checkpoint
from tests import kit
from zoo.adversarial.wgan import WGAN
from zoo.engine.plain_values import plain, refuse_objects
from zoo.runs.checkpoints import load_data
from zoo.runs.exports import export_model


class Color(enum.Enum):
    RED = "red"


class Named(str):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (Path("a/b"), "a/b"),
        (Named("a"), "a"),
        ((np.int8(1), [Path("x")]), (1, ["x"])),
        (OrderedDict(a=np.float64(1.5)), {"a": 1.5}),
        (OmegaConf.create({"a": [1, 2]}), {"a": [1, 2]}),
        (range(3), [0, 1, 2]),
        (None, None),
        (True, True),
        ("a", "a"),
    ],
)
def test_values_become_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value", [object(), Color.RED, torch.zeros(1), np.zeros(2), len, {1, 2}, b"a", 1j, [object()]]
)
def test_objects_are_refused_by_name(value):
    with pytest.raises(TypeError):
        plain(value)
    with pytest.raises(ValueError, match=r"model\.x: .* which a checkpoint cannot hold"):
        refuse_objects({"x": value}, "model")


class Own(kit.Toy):
    def __init__(self, root: str = "data", extra=None, **toy):
        super().__init__(**toy)


class Extra(WGAN):
    def __init__(self, extra=None, **wgan):
        super().__init__(**wgan)


def shape(**more):
    return {"image_size": np.int64(8), "image_channels": 1, "width": np.int32(4)} | more


def test_a_model_of_numpy_scalars_and_paths_is_loaded_again(tmp_path):
    model = Extra(extra=Path("x"), lr=np.float32(0.001), clip=np.float64(0.02), **shape())
    kit.fit(model, tmp_path, 1, Own(root=tmp_path), callbacks=[Checkpoint()])
    loaded = zoo.load(tmp_path)
    kit.assert_same(kit.weights(loaded), kit.weights(model))
    assert dict(loaded.hparams) == dict(model.hparams)
    assert type(loaded.hparams.lr) is float
    assert loaded.hparams.extra == "x"
    assert load_data(tmp_path).hparams.root == str(tmp_path)
    export_model(tmp_path, tmp_path / "shared")
    kit.assert_same(kit.weights(zoo.load(tmp_path / "shared.json")), kit.weights(model))


@pytest.mark.parametrize("where", ["model", "data"])
def test_objects_are_refused_when_training_begins(where, tmp_path):
    model = Extra(extra=object() if where == "model" else None, **shape())
    data = Own(extra=torch.zeros(2) if where == "data" else None)
    with pytest.raises(ValueError, match=rf"{where}\.extra: .* which a checkpoint cannot"):
        kit.fit(model, tmp_path, 1, data, callbacks=[Checkpoint()])
    assert not list(tmp_path.rglob("*.ckpt"))
    with torch.no_grad():
        model.sample(2)  # without training it does no harm
