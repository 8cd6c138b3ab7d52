"""Vision transformers with random weights of a small architecture, read from a file."""

import hashlib

import pytest
import safetensors.torch
import torch

from zoo.metrics.extractors.clip import Clip
from zoo.metrics.extractors.dinov2 import Dinov2

SMALL = "vit_tiny_patch16_224"


@pytest.fixture(params=[Clip, Dinov2])
def small(request, monkeypatch, tmp_path):
    """An extractor's class, a network with random weights, and the file of them."""
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(request.param, "architecture", SMALL)
    network = timm.create_model(SMALL, num_classes=request.param.num_outputs).eval()
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file(network.state_dict(), file)
    return request.param, network, file


@torch.no_grad()
def test_features_are_the_output_for_normalized_pixels(small):
    cls, network, file = small
    before = torch.get_rng_state()
    extractor = cls(str(file)).eval()
    assert torch.equal(torch.get_rng_state(), before)
    images = torch.randint(256, (2, 3, 224, 224), dtype=torch.uint8)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (cls.mean, cls.deviation))
    expected = network((images / 255 - mean) / deviation)
    assert torch.allclose(extractor(images), expected, rtol=0, atol=1e-4)
    assert expected.shape == (2, extractor.num_features((3, 224, 224)))
    gray = images[:1, :1, :32, :32]
    assert torch.allclose(extractor(gray), extractor(gray.expand(-1, 3, -1, -1)), atol=1e-4)
    with pytest.raises(TypeError, match="uint8"):
        extractor(images / 255)


def test_the_name_contains_the_hash_of_the_file_and_other_kinds_are_read(small, tmp_path):
    cls, network, file = small
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert cls(str(file)).name == f"{cls.label}_{sha256[:8]}"
    torch.save(network.state_dict(), tmp_path / "model.pth")
    state = cls(str(tmp_path / "model.pth")).network.state_dict()
    assert torch.equal(state["norm.weight"], network.state_dict()["norm.weight"])
    safetensors.torch.save_file({"head.weight": torch.zeros(2)}, file)
    (tmp_path / "broken.pth").write_text("no weights")
    (tmp_path / "broken.safetensors").write_text("no weights")
    for other in (file, tmp_path / "broken.pth", tmp_path / "broken.safetensors"):
        with pytest.raises(ValueError, match=f"{other} does not have the weights of {SMALL}"):
            cls(str(other))


@pytest.mark.parametrize("cls", [Clip, Dinov2])
def test_missing_weights_name_the_way_out(cls, tmp_path):
    missing = tmp_path / "missing"
    for path, problem in (
        (None, "extractor.weights is not set"),
        (str(missing), f"there is no {missing}"),
    ):
        choice = f"^extractor={cls.__name__.lower()} needs .*{problem}"
        with pytest.raises(FileNotFoundError, match=rf"{choice}.*timm.*extractor\.weights=PATH"):
            cls(path)
