"""What models that are known to be right, collapsed or confused score."""

import pytest
import torch
from torch import nn

from datamodules.digits import Digits
from tests import kit
from zoo.base import GenerativeModule
from zoo.engine.seeds import reseed
from zoo.metrics.class_accuracy import accuracy_of, accuracy_trained_on, class_accuracies
from zoo.metrics.disentanglement import classify_attributes
from zoo.metrics.extractors.base import Extractor, may_classify

OF, TRAINED = "accuracy_of_samples_digits_1k", "accuracy_trained_on_samples_1k_test"


class Remembering(GenerativeModule):
    """Draws training images of the class, `variety` of each; `confuse` maps the class asked for."""

    def __init__(self, classes: int = 10, variety: int | None = None):
        super().__init__()
        source = Digits().source("train")
        batch = source[torch.arange(len(source))]
        self.of = [batch["image"][batch["label"] == c][:variety] for c in range(10)]
        self.confuse = lambda label: label
        self.asked = []

    def sample(self, count, given=None):
        self.asked += given["label"].tolist()
        chosen = [self.of[self.confuse(c)] for c in given["label"].tolist()]
        places = torch.rand(count).tolist()
        images = [of[int(place * len(of))] for of, place in zip(chosen, places, strict=True)]
        return torch.stack(images) / 127.5 - 1


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_real_images_of_the_class_score_as_real_images_do():
    model = Remembering()
    found = class_accuracies(model, Digits(), "test")
    assert found[OF] >= 0.998
    assert found[TRAINED] >= 0.98
    assert torch.tensor(model.asked).bincount().tolist() == [100] * 10


def test_one_image_for_each_class_is_found_out_by_training_on_it():
    """Measured: 0.59 to 0.66."""
    found = class_accuracies(Remembering(variety=1), Digits(), "test")
    assert found[OF] == 1
    assert found[TRAINED] < 0.8


def test_one_class_of_ten_confused_costs_a_tenth():
    model = Remembering()
    model.confuse = lambda label: 1 if label == 7 else label
    found = class_accuracies(model, Digits(), "test")
    assert found[OF] == pytest.approx(0.9, abs=0.003)
    assert found[TRAINED] == pytest.approx(0.85, abs=0.05), "no 7, and half of the 1"


def test_all_classes_confused():
    model = Remembering()
    model.confuse = lambda label: (label + 1) % 10
    found = class_accuracies(model, Digits(), "test")
    assert max(found.values()) < 0.01


def test_the_samples_are_those_of_the_generators_state():
    """Of noise it sees what the seed gives; names say how many."""
    found = []
    for seed in (0, 0, 1):
        reseed(torch.device("cpu"), seed)
        found.append(class_accuracies(Remembering(), Digits(), "test", count=50))
    assert found[0] == found[1] != found[2]
    assert set(found[0]) == {"accuracy_of_samples_digits_50", "accuracy_trained_on_samples_50_test"}


def test_data_of_other_classes_have_no_accuracy():
    assert class_accuracies(Remembering(classes=5), Digits(), "test") == {}
    assert class_accuracies(Remembering(), unlabeled(), "test") == {}


def unlabeled():
    data = kit.Toy()
    data.classes = 0
    return data


IMAGES, LABELS = torch.zeros(20, 1, 8, 8, dtype=torch.uint8), torch.arange(20) % 2
IMAGES[LABELS == 1] = 255


class Halves(kit.Toy):
    """White is class 1, black 0; of four test images one is labeled wrongly, others not at all."""

    classes = 2

    def load(self, split):
        label = torch.tensor([0, 0, 1, 1] + [-1] * 6 if split == "test" else [0, 1] * 5)
        images = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
        images[[0, 2, 3]] = torch.tensor([255, 255, 255], dtype=torch.uint8).view(3, 1, 1, 1)
        return images, label


def test_an_accuracy_by_hand_leaves_out_images_without_a_label():
    assert accuracy_trained_on(IMAGES, LABELS, Halves(), "test") == {
        "accuracy_trained_on_samples": 0.75
    }


def test_test_images_without_any_label_give_no_accuracy():
    data = Halves()
    data.load = lambda split: (IMAGES, torch.full((20,), -1))
    assert accuracy_trained_on(IMAGES, LABELS, data, "test") == {}


class Brightness(nn.Module):
    """Sees class 1 in what is bright; has `classes` classes."""

    name = "brightness"

    def __init__(self, classes=2):
        super().__init__()
        self.classes = classes
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return images.float().flatten(1).mean(dim=1, keepdim=True) / 255

    def classify(self, features):
        return torch.cat([1 - features, features, 0 * features], dim=1)[:, : self.classes]


def test_the_classifiers_share_by_hand():
    data = kit.Toy()
    data.classes, data.extractor = 2, Brightness()
    assert accuracy_of(IMAGES, LABELS, data) == {"accuracy_of_samples_brightness": 1}
    assert accuracy_of(IMAGES[:4], torch.tensor([1, 1, 0, 0]), data) == {
        "accuracy_of_samples_brightness": 0.5
    }


class Thousand(Extractor):
    """A classifier of other classes than any data here, which fails if it is used."""

    num_classes = 1008

    def __init__(self):
        raise AssertionError("the extractor was loaded")

    def classify(self, features):
        raise AssertionError("the extractor was called")


@pytest.mark.parametrize("choose", [str, lambda name: {"_target_": name}])
def test_a_classifier_that_names_other_classes_is_not_even_loaded(choose):
    data = kit.Toy()
    data.classes, data.extractor = 2, choose(f"{__name__}.Thousand")
    assert accuracy_of(IMAGES, LABELS, data) == {}
    assert classify_attributes(data, IMAGES) == {}
    data.classes = 1008
    with pytest.raises(AssertionError, match="was loaded"):
        accuracy_of(IMAGES, LABELS, data)


def test_a_module_that_names_other_classes_is_not_called():
    data = kit.Toy()
    data.classes, data.extractor = 2, Brightness(classes=3)
    data.extractor.num_classes = 3
    data.extractor.forward = None
    assert accuracy_of(IMAGES, LABELS, data) == {}


def test_other_classes_that_only_a_pass_can_tell_take_one_chunk(monkeypatch):
    data, extractor = kit.Toy(), Brightness(classes=3)
    data.classes, data.extractor = 2, extractor
    monkeypatch.setattr("copy.deepcopy", lambda module: module)
    assert accuracy_of(IMAGES.repeat(20, 1, 1, 1), LABELS.repeat(20), data) == {}
    assert extractor.calls == 1


@pytest.mark.parametrize(("name", "classes"), [("digits", 10), ("inception", 1008)])
def test_extractors_name_the_number_of_their_classes(name, classes):
    assert may_classify(name, classes)
    assert not may_classify(name, classes + 1)


@pytest.mark.parametrize("extractor", [None, "pixels", Brightness(classes=3)])
def test_without_a_classifier_of_the_datas_classes_samples_have_no_class(extractor):
    data = kit.Toy()
    data.classes, data.extractor = 2, extractor
    assert accuracy_of(IMAGES, LABELS, data) == {}
