"""Samples do not depend on how many processes draw them."""

import numpy as np
import pytest
import torch

import zoo
from tests import kit
from zoo.engine.conditions import to_model
from zoo.engine.sampling import draw


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 99, 100, 250])
def test_samples_do_not_depend_on_the_number_of_processes(processes, count):
    model = kit.build("wgan")
    with model.evaluating():
        whole = torch.cat(list(draw(model, count, seed=3)))
        shards = [list(draw(model, count, 3, None, r, processes)) for r in range(processes)]
    assert whole.shape == (count, 1, 8, 8)
    if count > 100:
        assert not torch.equal(whole[:50], whole[100:150]), "each chunk has noise of its own"
    chunks = max(map(len, shards))
    interleave = [s[chunk] for chunk in range(chunks) for s in shards if chunk < len(s)]
    assert torch.equal(whole, torch.cat(interleave))


def test_draw_passes_each_chunk_its_conditions():
    class Labeled(type(kit.build("wgan"))):
        def sample(self, count, given=None):
            assert len(given["label"]) == count
            return given["label"].view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 200 - 0.5

    model = Labeled(image_size=8, image_channels=1, width=4)
    with model.evaluating():
        images = torch.cat(list(draw(model, 150, condition={"label": torch.arange(150)})))
    assert torch.equal(images[:, 0, 0, 0], torch.arange(150) / 200 - 0.5)


def test_conditions_move_to_the_device_and_the_dtype_of_the_model():
    condition = {"latent": torch.randn(2, 8), "label": torch.arange(2)}
    moved = to_model(kit.build("cgan").to("meta", torch.float64), condition)
    assert {(values.device.type, values.dtype) for values in moved.values()} == {
        ("meta", torch.float64),
        ("meta", torch.int64),
    }
    model = kit.build("cgan").eval()
    expected = zoo.generate(model, 2, condition=condition)
    assert torch.equal(
        zoo.generate(model, 2, condition=condition | {"latent": condition["latent"].double()}),
        expected,
    )


def test_generate_refuses_unknown_conditions():
    def refused(name, condition, message):
        model = kit.build(name)
        condition = {key: torch.zeros(2, *shape) for key, shape in condition.items()}
        with pytest.raises(ValueError, match=message):
            zoo.generate(model, 2, condition=condition)

    refused("cgan", {"lable": ()}, r"CGAN does not accept lable: .* mean label or latent\?")
    refused("wgan", {"latnet": (8,)}, r"Did you mean latent\?")
    refused("wgan", {"zzz": (8,)}, r"Leave zzz out, or use a model trained with it\.")
    refused("quadrant_vae", {"imag": (1, 8, 8)}, r"Did you mean image\?")
    refused("pixelcnn", {"imgae": (1, 8, 8)}, r"Did you mean image")
    with pytest.raises(ValueError, match=r"Did you mean label"):
        zoo.generate(kit.build("cgan"), 2, condition={"lable": [1, 2]})
    batch = {"label": torch.zeros(2, dtype=torch.int64), "index": torch.arange(2)}
    assert len(kit.build("cgan").sample(2, batch)) == 2  # as in training steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count=0 must be at least 1"),
        ({"count": -1}, "count=-1 must be at least 1"),
        ({"count": 2.5}, "count=2.5 must be an integer"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"batch_size": True}, "batch_size=True must be an integer"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"seed": 2**32}, "seed=4294967296 must be at most 4294967295"),
        ({"seed": None}, "seed=None must be an integer"),
        ({"truncation": "a"}, "truncation='a' must be a number"),
        ({"truncation": float("nan")}, "truncation=nan must be at least 0"),
    ],
)
def test_generate_refuses_numbers_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        zoo.generate("wgan_digits", **{"count": 2} | settings)


def test_generate_accepts_the_integers_of_numpy():
    assert len(zoo.generate(kit.build("wgan"), np.int64(2), seed=np.int64(1))) == 2
