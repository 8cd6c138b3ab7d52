"""A model is told what it needs to know of each sample: by test samples, or by the user."""

import pytest
import torch

from datamodules.image import ImageDataModule
from tests import kit
from zoo.config.errors import UserError
from zoo.engine.conditions import conditions_of
from zoo.media.text import to_ids
from zoo.runs.requested_conditions import number_of, read_conditions


def test_conditions_are_those_of_test_samples_over_and_over():
    model, data = kit.build("quadrant_vae"), kit.Toy(count=5)
    found = conditions_of(model, data, 12)
    assert set(found) == {"image"}
    test = data.source("test")[torch.arange(5)]["image"] / 127.5 - 1
    places = [(test == image).flatten(1).all(dim=1).nonzero().item() for image in found["image"]]
    assert sorted(places[:5]) == [0, 1, 2, 3, 4] != places[:5]
    assert places == (places[:5] * 3)[:12]
    later = conditions_of(model, data, 4, start=3)
    assert torch.equal(later["image"], found["image"][3:7])


def test_conditions_are_asked_for_where_there_are_none():
    assert conditions_of(kit.build("wgan"), None, 3) is None
    for data in (kit.Toy(count=0), ImageDataModule, None):
        with pytest.raises(UserError, match="QuadrantVAE needs image to sample"):
            conditions_of(kit.build("quadrant_vae"), data, 3)


def test_a_caption_and_a_label_are_the_same_for_each_sample():
    given = read_conditions(kit.build("text_to_image"), 3, None, "a red circle", None)
    assert torch.equal(given["text"], to_ids(["a red circle"] * 3))
    given = read_conditions(kit.build("cgan"), 4, 2, None, None)
    assert given["label"].tolist() == [2, 2, 2, 2]
    assert read_conditions(kit.build("cgan"), 4, None, None, None) is None


def test_a_class_is_named_or_numbered():
    assert number_of(3, ()) == 3
    assert number_of("dog", ["cat", "dog"]) == 1
    assert number_of(1, ["cat", "dog"]) == 1
    assert number_of(10, ["1", "2", "10"]) == 2, "where names are numbers, they are meant"
    with pytest.raises(UserError, match=r"no class label=7\. There are: 1, 2, 10"):
        number_of(7, ["1", "2", "10"])
    with pytest.raises(UserError, match=r"no class label=dig\. Did you mean dog"):
        number_of("dig", ["cat", "dog"])
    with pytest.raises(UserError, match=r"label=dog: the classes have no names"):
        number_of("dog", [])


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"label": 3}, r"one entry per sample, such as torch.tensor\(\[3\] \* 2\), not 3"),
        ({"label": torch.tensor(3)}, r"one entry per sample, .* not a tensor \(\) int64"),
        ({"label": [1, 2]}, r"must be a tensor .* not \[1, 2\]"),
        (
            torch.tensor([1, 2]),
            r'a dict of tensors, such as {"label": .*, not a tensor \(2,\)',
        ),
        ({"label": torch.tensor([1.0, 2.0])}, r"must be \(N,\) int64, not a tensor \(2,\) float32"),
        ({"label": torch.tensor([1, 10])}, r"holds 10: the model has the classes 0 to 9"),
        ({"label": torch.tensor([-1, 1])}, r"holds -1: the model has the classes 0 to 9"),
        ({"label": torch.tensor([1])}, r'the condition "label" has 1 samples'),
    ],
)
@pytest.mark.parametrize("name", ["cgan", "cvae"])
def test_wrong_conditions_in_python_are_one_message(name, condition, message):
    with pytest.raises(ValueError, match=message):
        kit.build(name).eval().sample(2, condition)
