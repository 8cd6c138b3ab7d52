"""What the numbers of a perfect, a deaf and a half-deaf model are."""

import pytest
import torch

from datamodules.captioned_shapes import CaptionedShapes
from tests import kit
from zoo.metrics.caption_accuracy import agreement, caption_scores


@pytest.fixture(scope="module")
def data():
    return CaptionedShapes(count=200, val_count=0)


def model_of(data, order):
    """Gives the test images in another order, `order` of places (1980,), five hundred at a time."""
    model = kit.build("text_to_image", 16, 3)
    images = data.source("test")[order]["image"] / 127.5 - 1
    parts = iter(images.split(500))
    model.sample = lambda count, given: next(parts)
    return model


def test_real_images_are_scored_as_themselves(data):
    numbers = caption_scores(model_of(data, torch.arange(1980)), data, "test")
    seen = int(data.seen(data.attributes("test")).sum())
    name = f"accuracy_all_seen_captioned_shapes_{seen}_test"
    assert next(iter(numbers)) == name, "by which the best checkpoint is kept"
    assert len(numbers) == 2 * 2 * 5
    for name, value in numbers.items():
        assert value >= 0.98
        if not name.startswith("real_"):
            assert value == numbers[f"real_{name}"]
    assert f"accuracy_size_held_out_captioned_shapes_{1980 - seen}_test" in numbers


def test_other_images_are_at_chance(data):
    numbers = caption_scores(model_of(data, torch.arange(1980).roll(1)), data, "test")
    seen = {
        n.split("_")[1]: v for n, v in numbers.items() if n.startswith("accuracy") and "_seen" in n
    }
    chances = {"shape": 1 / 3, "color": 1 / 6, "position": 1 / 2, "size": 1 / 2, "all": 1 / 72}
    for what, chance in chances.items():
        assert seen[what] == pytest.approx(chance, abs=0.06), what


def test_agreement_by_hand():
    messages = {"shape": torch.tensor([0, 1, 2, 0]), "size": torch.tensor([0, 0, 1, 1])}
    read = {"shape": torch.tensor([0, 1, 0, 1]), "size": torch.tensor([0, 1, 1, 0])}
    right = {what: each.tolist() for what, each in agreement(read, messages).items()}
    assert right == {
        "all": [True, False, False, False],
        "shape": [True, True, False, False],
        "size": [True, False, True, False],
    }


def test_data_that_cannot_read_are_not_measured():
    assert caption_scores(kit.build("text_to_image"), kit.Toy(), "test") == {}
