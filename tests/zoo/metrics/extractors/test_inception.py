import io
import os
import pickle
import subprocess
import sys
from unittest import mock

import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as peer
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks.fid_tools import write_random_weights
from tests import kit
from zoo.config import catalog
from zoo.engine import distributed as processes
from zoo.metrics.extractors import inception
from zoo.metrics.extractors.base import load_extractor

FOLDED = 1e-6  # relative; folding alone rounds 94 layers anew and is seen to move features by 3e-7


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights, and its hash."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    return path, write_random_weights(path)


@pytest.fixture(scope="module")
def load(weights):
    """Extractors with those weights, each setting loaded once."""
    kept = {}

    def load(**options):
        key = tuple(options.items())
        if key not in kept:
            path, sha256 = weights
            choice = {"_target_": "inception", "weights": str(path), "sha256": sha256}
            kept[key] = load_extractor(choice | options)
        return kept[key]

    return load


@pytest.fixture
def official(weights, monkeypatch):
    """The random weights, taken for the official ones; torch.hub's cache is empty."""
    monkeypatch.setattr(inception, "SHA256", weights[1])
    return weights[0]


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """torch.hub's cache, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "hub" / "checkpoints"


def random_images(*shape, seed=0):
    """Smooth noise, so that ways of resizing agree on most of it, as on photographs."""
    generator = torch.Generator().manual_seed(seed)
    *leading, height, width = shape
    coarse = torch.rand(*leading, height // 4, width // 4, generator=generator) * 300 - 20
    images = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return images.clamp(0, 255).to(torch.uint8)


SMALL = random_images(3, 3, 32, 32)
LARGE = random_images(1, 3, 330, 310)


def difference(found, expected):
    """Relative, in the norm."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == torch.float32
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("images", [SMALL[:1], LARGE], ids=["small", "large"])
def test_features_and_probabilities_are_those_of_torch_fidelity(load, weights, images):
    layers = ["2048", "logits_unbiased"]
    with torch.no_grad():
        features, logits = peer.FeatureExtractorInceptionV3("peer", layers, weights[0])(images)
    found = load()(images)
    assert 0.1 < features.std() < 10
    assert difference(found, features) < FOLDED
    probabilities = load().classify(found)
    assert probabilities.shape == (len(images), 1008)
    assert probabilities.max() > 0.01  # not all classes alike
    assert torch.allclose(probabilities, logits.softmax(dim=1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("antialias", [True, False])
def test_features_are_those_of_torchmetrics(load, weights, antialias):
    path = str(weights[0])
    metric = FrechetInceptionDistance(feature_extractor_weights_path=path, antialias=antialias)
    extractor = load(resize="torch_antialias") if antialias else load()
    assert difference(extractor(LARGE), metric.inception(LARGE)) < FOLDED


@pytest.mark.parametrize("images", [SMALL, LARGE], ids=["small", "large"])
def test_features_are_those_of_pytorch_fid(load, weights, monkeypatch, images):
    theirs = pytest.importorskip("pytorch_fid.inception")
    state = torch.load(weights[0], weights_only=True)
    monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda url, progress: state)
    expected = theirs.InceptionV3().eval()(images / 255)[0].flatten(1)
    assert difference(load(resize="torch")(images), expected) < FOLDED


def test_the_ways_of_resizing_differ(load):
    ways = [load(resize=resize)(LARGE) for resize in inception.RESIZES]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert difference(ways[one], ways[other]) > 100 * FOLDED


@pytest.mark.parametrize("shape", [(1, 1), (64, 48), (299, 299), (28, 299), (400, 301)])
def test_the_resize_is_tensorflows_bit_for_bit(shape):
    images = torch.randint(256, (2, 3, *shape), generator=torch.Generator().manual_seed(0)).float()
    resize = peer.interpolate_bilinear_2d_like_tensorflow1x
    expected = resize(images, size=(299, 299), align_corners=False)
    assert torch.equal(inception._resize_tf1(images), expected)


def test_a_gray_image_is_its_own_three_channels(load):
    grey = SMALL[:1, :1]
    assert torch.equal(load()(grey), load()(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("precision", inception.PRECISIONS)
def test_features_do_not_depend_on_the_batch(load, monkeypatch, precision):
    extractor = load(precision=precision)
    together = extractor(SMALL)
    alone = torch.cat([extractor(image) for image in SMALL.split(1)])
    monkeypatch.setattr(inception, "BLOCK", 2)
    in_blocks = extractor(SMALL)
    assert difference(alone, together) < FOLDED
    assert difference(in_blocks, together) < FOLDED
    assert extractor(SMALL[:0]).shape == (0, 2048)


def test_bfloat16_is_near_and_has_a_separate_name(load):
    exact, fast = load(), load(precision="bfloat16")
    assert 1e-4 < difference(fast(SMALL[:1]), exact(SMALL[:1])) < 1e-2
    assert fast.name == f"{exact.name}_bfloat16"


def test_autocast_does_not_change_the_precision(load):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = load()(SMALL[:1])
    assert torch.equal(found, load()(SMALL[:1]))


def test_names_contain_what_changes_the_numbers(load, weights, monkeypatch):
    own = f"inception_{weights[1][:8]}"
    assert load().name == own
    assert load(resize="torch").name == f"{own}_torch_resize"
    assert load(resize="torch_antialias").name == f"{own}_torch_antialias_resize"
    both = load(resize="torch", precision="bfloat16")
    assert both.name == f"{own}_torch_resize_bfloat16"
    monkeypatch.setattr(inception, "SHA256", weights[1])
    assert inception.Inception(weights=str(weights[0])).name == "inception"


def test_it_is_found_by_name_with_plain_settings():
    component = catalog.describe("extractor", "inception")
    assert component.defaults == {
        "weights": None,
        "sha256": None,
        "download": False,
        "resize": "tf1",
        "precision": "float32",
        "compile": False,
    }
    assert inception.Inception.count == 10_000


@pytest.mark.parametrize("options", [{"resize": "tf2"}, {"precision": "float16"}])
def test_unknown_settings_are_refused(load, options):
    (value,) = options.values()
    with pytest.raises(ValueError, match=f"'{value}': choose one of (tf1|float32), "):
        load(**options)


def test_floats_are_refused(load):
    with pytest.raises(TypeError, match="uint8"):
        load()(SMALL / 255)


def test_loading_touches_no_random_state_and_leaves_nothing_to_train(official):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    extractor = load_extractor({"_target_": "inception", "weights": str(official)})
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_features_carry_no_graph_whoever_built_the_extractor(official):
    assert not inception.Inception(weights=str(official))(SMALL[:1]).requires_grad


def test_batch_norms_are_folded_and_channels_come_last(load):
    state = load().network.state_dict()
    assert len(state) == 2 * 94  # a weight and a bias of each convolution
    kernels = [value for value in state.values() if value.shape[2:].numel() > 1]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def test_missing_weights_name_the_ways_out(hub, tmp_path):
    for options, place in (({}, hub), ({"weights": str(tmp_path / "w.pth")}, tmp_path / "w.pth")):
        with pytest.raises(FileNotFoundError) as caught:
            inception.Inception(**options)
        message = str(caught.value)
        assert str(place) in message
        ways = "extractor.weights=PATH", "extractor.download=true"
        for way in (*ways, inception.FILES[0]):
            assert way in message
        assert "~callbacks" not in message, "an option of zoo.fit alone"


def test_a_wrong_path_is_not_replaced_by_a_download(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"w\.pth"):
        inception.Inception(weights=str(tmp_path / "w.pth"), download=True)


def test_weights_of_another_hash_are_refused_unless_named(weights):
    path, sha256 = weights
    with pytest.raises(ValueError, match=rf"{path} is .* extractor\.sha256={sha256}"):
        inception.Inception(weights=str(path))
    with pytest.raises(ValueError, match=f"sha256 {sha256}, not 0000"):
        inception.Inception(weights=str(path), sha256="0" * 64)


def test_the_official_hash_is_that_in_the_files_names():
    assert len(inception.SHA256) == 64
    for name in inception.FILES:
        assert name.endswith(f"-{inception.SHA256[:8]}.pth")
    assert peer.URL_INCEPTION_V3.endswith(f"/{inception.FILES[0]}")


@pytest.mark.parametrize("name", inception.FILES)
def test_weights_in_the_cache_are_used(official, hub, name):
    hub.mkdir(parents=True)
    os.link(official, hub / name)
    assert inception.Inception().name == "inception"


def test_weights_are_fetched_once_by_several_processes(official, hub, monkeypatch, tmp_path):
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    fetch = torch.hub.download_url_to_file

    def noting(*arguments, **keywords):
        (fetched / str(processes.rank_and_world_size()[0])).touch()
        fetch(*arguments, **keywords)

    monkeypatch.setattr(peer, "URL_INCEPTION_V3", official.as_uri())
    monkeypatch.setattr(torch.hub, "download_url_to_file", noting)
    names = kit.in_processes(
        2,
        lambda: processes.local_rank_zero_first(lambda: inception.Inception(download=True).name),
        tmp_path,
    )
    assert names == ["inception"] * 2
    assert [file.name for file in hub.iterdir()] == [inception.FILES[0]]
    assert [file.name for file in fetched.iterdir()] == ["0"]


def test_a_download_of_another_hash_is_refused_and_not_kept(weights, hub, monkeypatch):
    monkeypatch.setattr(peer, "URL_INCEPTION_V3", weights[0].as_uri())
    with pytest.raises(OSError, match=r"invalid hash value.*extractor\.weights=PATH"):
        inception.Inception(download=True)
    assert list(hub.iterdir()) == []
    monkeypatch.setattr(peer, "URL_INCEPTION_V3", "file:///nowhere/weights.pth")
    with pytest.raises(OSError, match=r"could not be downloaded from file:///nowhere"):
        inception.Inception(download=True)


def test_neither_tf32_nor_autocast_changes_the_precision(load, monkeypatch):
    extractor, seen = load(), []
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)

    def note(*arguments):
        allowed = torch.backends.cudnn.allow_tf32, torch.is_autocast_enabled("cpu")
        seen.append((allowed, torch.backends.cudnn.enabled))

    hook = extractor.network.register_forward_pre_hook(note)
    with torch.autocast("cpu", torch.bfloat16):
        extractor(SMALL[:1])
    hook.remove()
    assert seen == [((False, False), True)]
    assert torch.backends.cudnn.allow_tf32


NEWER = hasattr(torch.backends, "fp32_precision")


ALLOWING = [
    "torch.backends.cuda.matmul.allow_tf32 = True",
    "torch.set_float32_matmul_precision('medium')",
    *["torch.backends.fp32_precision = 'tf32'"] * NEWER,
    *["torch.backends.cudnn.conv.fp32_precision = 'ieee'"] * NEWER,
    *["torch.backends.cuda.matmul.fp32_precision = 'tf32'"] * NEWER,
]


def test_features_are_exact_however_tf32_was_allowed_and_it_stays_so():
    """Each in a process of its own: torch cannot forget which interface was used."""
    script = f"""
import os
import torch
from zoo.precision import exact_float32

def settings():
    backends = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return [backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32]
    operations = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
    operations += [backends.mkldnn.matmul]
    return [operation.fp32_precision for operation in operations]

failed = []
for allow in {ALLOWING}:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            exec(allow)
            before = settings()
            with exact_float32():
                exact = not {{"tf32", "bf16", True}} & set(settings())
            status = int(not exact or settings() != before)
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        failed.append(allow)
assert not failed, failed
"""
    subprocess.run([sys.executable, "-c", script], check=True)


class Harm:
    done = False

    def __reduce__(self):
        return setattr, (Harm, "done", True)


def test_loading_runs_no_code(tmp_path):
    path, buffer = tmp_path / "weights.pth", io.BytesIO()
    torch.save({"fc.weight": Harm()}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="sha256") as caught:
        inception.Inception(weights=str(path))
    sha256 = str(caught.value).rpartition("=")[2].rstrip(".")
    with pytest.raises(pickle.UnpicklingError):
        inception.Inception(weights=str(path), sha256=sha256)
    assert not Harm.done


def test_a_compiled_network_meets_one_shape_only(load, monkeypatch):
    monkeypatch.setattr(inception, "BLOCK", 2)
    with mock.patch.object(torch.nn.Module, "compile") as compile:
        extractor = load(compile=True)
    compile.assert_called_once_with(dynamic=False, options={"freezing": True})
    shapes = []
    extractor.network.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    found = extractor(SMALL)
    assert set(shapes) == {(2, 3, 299, 299)}
    assert difference(found, load()(SMALL)) < FOLDED
    assert extractor.name == load().name
