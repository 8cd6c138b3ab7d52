"""What an export holds: weights in half precision, golden samples, and where it comes from."""

import json
import subprocess

import pytest
import torch

import zoo
from callbacks.checkpoint import Checkpoint
from tests import kit
from zoo.config.errors import UserError
from zoo.runs import exports, golden_samples
from zoo.runs.exports import export_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short run of a conditional model, started with data.root."""
    folder = tmp_path_factory.mktemp("run")
    kit.fit(kit.build("cgan"), folder, 4, callbacks=[Checkpoint()])
    settings = ["model=cgan", "++data.root=/home/me/data", "data.font='me/a b.ttf'", "seed=3"]
    settings += [
        "extractor.weights=me/clip.pt",
        "callbacks.mine.file='/home/me/x'",
        "init=/home/me/runs/first",
    ]
    (folder / "arguments.json").write_text(json.dumps(settings))
    return folder


def test_half_precision_halves_the_file_and_rounds_the_weights(run, tmp_path):
    export_model(run, tmp_path / "full")
    export_model(run, tmp_path / "half", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert 0.5 < sizes[1] / sizes[0] < 0.7, "names of tensors take space, too"
    full, half = (zoo.load(tmp_path / f"{name}.json").state_dict() for name in ("full", "half"))
    for name, tensor in full.items():
        assert half[name].dtype == tensor.dtype
        rounded = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(half[name], rounded)


def test_a_weight_that_is_too_large_for_half_precision_is_refused(run, tmp_path):
    loaded = read(run)
    state = dict(loaded.content["state"])
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name] = torch.full_like(state[name], 1e5)
    broken = LoadedCheckpoint(loaded.path, loaded.content | {"state": state})
    with pytest.raises(UserError, match=f"{name} is too large for float16"):
        export_model(broken, tmp_path / "half", half=True)
    assert not list(tmp_path.iterdir())


def test_the_description_names_its_source_without_folders_of_the_machine(run, tmp_path):
    loaded = read(run)
    data = {"font": "/home/me/a.ttf", "of": "emoji", "places": ["/home/me/a", "b"]}
    content = loaded.content | {"data": loaded.content["data"] | data}
    export_model(LoadedCheckpoint(loaded.path, content), tmp_path / "cgan")
    text = (tmp_path / "cgan.json").read_text()
    card = json.loads(text)
    assert card["data"].pop("of") == "emoji"
    assert card["data"] == {k: v for k, v in loaded.content["data"].items() if k != "download"}
    assert card["arguments"] == ["model=cgan", "seed=3"]
    assert card["zoo_version"].count(".") == 2
    assert card["commit"] is None or len(card["commit"]) == 40
    assert "/home/me" not in text
    assert not {"state", "averages", "run"} & card.keys()


def test_golden_samples_are_the_first_samples_of_seed_0(run, tmp_path):
    export_model(run, tmp_path / "cgan", golden=True)
    loaded = read(tmp_path / "cgan.json")
    assert torch.equal(loaded.content["golden"]["samples"], zoo.generate(zoo.load(run), 4))
    for checkpoint in (loaded, tmp_path / "cgan.json", str(tmp_path / "cgan")):
        assert golden_samples.check(checkpoint) == 0


def test_a_changed_model_is_noticed(run, tmp_path):
    export_model(run, tmp_path / "cgan", golden=True)
    loaded = read(tmp_path / "cgan.json")
    state = {
        k: v * 1.05 if v.is_floating_point() else v for k, v in loaded.content["state"].items()
    }
    with pytest.raises(UserError, match="its golden samples differ by"):
        golden_samples.check(LoadedCheckpoint(loaded.path, loaded.content | {"state": state}))


def test_an_export_without_golden_samples_says_so(run, tmp_path):
    export_model(run, tmp_path / "cgan")
    with pytest.raises(UserError, match=r"no golden samples: export it with golden=true"):
        golden_samples.check(read(tmp_path / "cgan.json"))


def test_buffers_whose_size_depends_on_the_data_are_float32_again():
    model = zoo.load("glo_digits")
    assert {tensor.dtype for tensor in model.state_dict().values()} <= {
        torch.float32,
        torch.int64,
        torch.bool,
    }
    with torch.no_grad():
        model.generator(model.latents[:3])


def test_an_installed_package_does_not_name_the_commit_of_a_repository_around_it(
    tmp_path, monkeypatch
):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    author = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    commit = ["git", "-C", tmp_path, *author, "commit", "-q", "--allow-empty", "-m", "mine"]
    subprocess.run(commit, check=True)
    monkeypatch.setattr(exports, "ROOT", tmp_path)
    assert len(exports.commit()) == 40
    monkeypatch.setattr(exports, "ROOT", tmp_path / "site-packages")
    (tmp_path / "site-packages").mkdir()
    assert exports.commit() is None


def test_an_export_that_is_exported_again_loses_folders_of_the_machine(run, tmp_path):
    export_model(run, tmp_path / "old")
    card = json.loads((tmp_path / "old.json").read_text())
    card["arguments"] += ["data.font=/home/me/emoji.ttf"]  # as older versions wrote it
    (tmp_path / "old.json").write_text(json.dumps(card))
    export_model(tmp_path / "old.json", tmp_path / "new")
    assert json.loads((tmp_path / "new.json").read_text())["arguments"] == ["model=cgan", "seed=3"]
