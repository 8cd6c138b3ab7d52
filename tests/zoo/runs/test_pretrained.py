"""Every pretrained model in the package loads and still gives its golden samples."""

import json

import pytest

import zoo
from zoo.config import catalog
from zoo.runs import golden_samples
from zoo.runs.loaded_checkpoint import read
from zoo.runs.pretrained import FOLDER

NAMES = sorted(zoo.pretrained())


@pytest.mark.parametrize("name", NAMES)
def test_it_still_gives_its_golden_samples(name):
    golden_samples.check(read(name))


@pytest.mark.parametrize("name", NAMES)
def test_its_description_is_complete(name):
    card = json.loads((FOLDER / f"{name}.json").read_text())
    assert f"experiment={name}" in card["arguments"], "a pretrained model has its recipe's name"
    assert name in catalog.recipes()
    assert any(metric.startswith("test/") for metric in card["results"])
    assert len(card["commit"]) == 40
    assert zoo.pretrained()[name].startswith(card["class"].rpartition(".")[2])


def test_every_model_has_pretrained_weights():
    classes = {json.loads(file.read_text())["class"] for file in FOLDER.glob("*.json")}
    missing = [
        n for n in catalog.names("model") if catalog.describe("model", n).target not in classes
    ]
    assert not missing


def test_the_weights_are_small():
    sizes = [file.stat().st_size for file in FOLDER.iterdir()]
    assert sum(sizes) < 60e6
    assert sum(sizes) / len(NAMES) < 2e6
