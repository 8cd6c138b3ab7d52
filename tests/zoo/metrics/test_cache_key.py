"""A number is found again under its key only as long as nothing that it depends on has changed."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import zoo
from datamodules.image import ImageDataModule
from tests import kit
from zoo.metrics import cache_key as module
from zoo.metrics import features
from zoo.metrics.cache_key import code_of_packages, identity
from zoo.metrics.extractors.base import Extractor, load_extractor
from zoo.metrics.features import sample_features


class Helped(Extractor):
    """Has a part of its own, and settings of many kinds."""

    name = "helped"

    def __init__(self, mean=(0.0,), table=0.0, slope=0.1):
        super().__init__()
        self.mean, self.table = mean, {"a": [torch.full((2,), table)]}
        self.part = nn.LeakyReLU(slope)


def test_an_identity_sees_every_setting():
    base = identity(Helped())
    assert identity(Helped()) == base
    for other in (Helped(mean=(9.0,)), Helped(table=1e-7), Helped(slope=0.2)):
        assert identity(other) != base
    unknown = Helped(mean=lambda images: images)
    assert identity(unknown) != identity(unknown), "a function cannot be told from another"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The folder of a copy of the zoo's code, which identities are made of."""
    root = Path(zoo.__file__).parent
    for file in root.rglob("*.py"):
        copy = tmp_path / "zoo" / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    monkeypatch.setattr(zoo, "__file__", str(tmp_path / "zoo/__init__.py"))
    code_of_packages.cache_clear()
    yield tmp_path / "zoo"
    code_of_packages.cache_clear()


@pytest.mark.parametrize(
    "file", ["engine/seeds.py", "engine/sampling.py", "networks/dcgan.py", "media/images.py"]
)
def test_an_edit_of_any_file_of_the_zoo_draws_the_samples_anew(file, copied, monkeypatch):
    samples, draw_chunk = [], features.draw_chunk

    def counted(*arguments):
        samples.append(1)
        return draw_chunk(*arguments)

    monkeypatch.setattr(features, "draw_chunk", counted)
    model, extractor = kit.build("wgan"), load_extractor("digits")

    def draws():
        samples.clear()
        code_of_packages.cache_clear()
        sample_features(extractor, model, 10, 0, ImageDataModule, keep=True)
        return len(samples)

    draws()
    assert draws() == 0
    (copied / file).write_text((copied / file).read_text() + "\n# edited\n")
    assert draws() == 1


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of a user's extractor in a file of its own, and of a helper that it imports."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_helper.py").write_text("import own_constants\n\n\ndef scaled(x):\n    pass\n")
    (tmp_path / "own_constants.py").write_text("SCALE = 1\n")
    (tmp_path / "own_unrelated.py").write_text("SCALE = 1\n")
    (tmp_path / "own_extractor.py").write_text(
        "import torch\nimport own_unrelated\nfrom own_helper import scaled\n"
        "class Own(torch.nn.Module):\n    name = 'own'\n"
    )
    yield tmp_path
    for name in ("own_helper", "own_constants", "own_extractor", "own_unrelated"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("file", ["own_extractor.py", "own_helper.py", "own_constants.py"])
def test_an_edit_of_a_users_file_changes_the_identity(file, own):
    extractor = importlib.import_module("own_extractor").Own()
    before = identity(extractor)
    assert identity(extractor) == before
    (own / file).write_text((own / file).read_text() + "\n# edited\n")
    assert identity(extractor) != before


def test_the_class_of_the_data_takes_part():
    class Halved(ImageDataModule):
        pass

    model = kit.build("wgan")
    assert identity(model, ImageDataModule) != identity(model, Halved)


@pytest.mark.parametrize("library", ["numpy", "PIL", "torch", "torchvision"])
def test_another_version_of_a_library_changes_the_identity(library, monkeypatch):
    before = identity(Helped())
    monkeypatch.setitem(module.VERSIONS, library, "0")
    assert identity(Helped()) != before
