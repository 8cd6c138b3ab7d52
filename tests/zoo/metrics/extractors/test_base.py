"""Extractors are found by name, by path or given, and take nothing but images."""

import pytest
import torch
from torch import nn

from zoo.config import catalog
from zoo.config.errors import UserError
from zoo.metrics.extractors.base import check_images, load_extractor
from zoo.metrics.extractors.digits import Digits


class Halves(nn.Module):
    """Anybody's module: not derived from Extractor."""

    def __init__(self, factor: float = 0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(factor))

    def forward(self, images):
        return images.flatten(1) * self.weight


def test_they_are_found_by_the_names_of_their_files():
    assert catalog.names("extractor") == [
        *("clip", "digits", "dinov2", "efficientnet_lite0", "inception", "mnist", "pixels"),
    ]


@pytest.mark.parametrize("choice", ["digits", "zoo.metrics.extractors.digits.Digits", Digits()])
def test_extractors_by_name_by_path_or_as_modules(choice):
    extractor = load_extractor(choice)
    assert isinstance(extractor, Digits)
    assert extractor.name == "digits"
    assert not any(module.training for module in extractor.modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_a_users_own_module_with_its_parameters(tmp_path, monkeypatch):
    (tmp_path / "my_features.py").write_text(
        "import torch\n\n\nclass MyFeatures(torch.nn.Module):\n"
        "    def __init__(self, factor: float = 1.0):\n        super().__init__()\n"
        "        self.factor = factor\n\n"
        "    def forward(self, images):\n        return images.flatten(1) * self.factor\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    extractor = load_extractor({"_target_": "my_features.MyFeatures", "factor": 2.0})
    assert extractor(torch.ones(2, 1, 2, 2)).tolist() == [[2.0] * 4] * 2
    assert extractor.name == "myfeatures"
    assert extractor.count == 2000


def test_a_module_keeps_its_own_name():
    named = Halves()
    named.name = "mine"
    assert load_extractor(named).name == "mine"
    assert load_extractor(Halves()).name == "halves"


def test_a_module_is_not_changed():
    given = Halves().train()
    extractor = load_extractor(given)
    assert given.training
    assert given.weight.requires_grad
    assert not hasattr(given, "name")
    assert not extractor.training


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"no extractor=digit\. Did you mean digits"):
        load_extractor("digit")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 8, 8), "uint8 images, got torch.float32: see to_uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), r"images \(N, 1 or 3, H, W\), got \(2, 8, 8\)"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), r"got \(2, 8, 8, 3\)"),
    ],
)
def test_what_are_no_images_are_refused(images, message):
    with pytest.raises(TypeError, match=message):
        check_images(images)


def test_pixels_are_the_numbers_themselves():
    images = torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2)
    features = load_extractor("pixels")(images)
    assert features.dtype == torch.float32
    assert features.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
