"""Models on the Hugging Face Hub, against a local server that speaks its endpoints."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

import zoo
from tests import kit
from tests.hub_server import TOKEN, serving
from zoo.config.errors import UserError
from zoo.export import export
from zoo.runs import hub, publishing
from zoo.runs.initial_weights import load_initial_weights_
from zoo.runs.loaded_checkpoint import read
from zoo.runs.pretrained import FOLDER

PACKAGE = "huggingface_hub"
pytest.importorskip(PACKAGE)
SETTINGS = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH")


@pytest.fixture
def library(monkeypatch):
    """library(NAME="value", ...) imports huggingface_hub anew: it reads its settings then."""

    def imported():
        return {name: sys.modules[name] for name in sys.modules if name.split(".")[0] == PACKAGE}

    def renew(**settings):
        for name in SETTINGS:
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        for name in imported():
            del sys.modules[name]

    before = imported()
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # a protocol of its own: LFS does the same
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    yield renew
    renew()
    sys.modules.update(before)


@pytest.fixture
def server(library, tmp_path):
    """A Hub, which huggingface_hub uses without a token."""
    with serving() as server:
        server.settings = {"HF_ENDPOINT": server.url, "HF_HOME": tmp_path / "cache"}
        library(**server.settings)
        yield server


def files_of(name="wgan_digits", **changes):
    """The two files of a pretrained model, with changes to its description."""
    card = json.loads((FOLDER / f"{name}.json").read_text())
    weights = (FOLDER / f"{name}.safetensors").read_bytes()
    return {hub.DESCRIPTION: json.dumps(card | changes).encode(), hub.WEIGHTS: weights}


def test_a_published_model_is_the_same_model(server, library, capsys):
    library(**server.settings, HF_TOKEN=TOKEN)
    export("wgan_digits", hub="me/digits")
    (files,) = server.repositories["me/digits"].commits.values()
    assert sorted(files) == ["README.md", "model.json", "model.safetensors", "samples.png"]
    assert capsys.readouterr().out.startswith(f"{server.url}/me/digits/commit/")
    kit.assert_same(zoo.load("hf://me/digits").state_dict(), zoo.load("wgan_digits").state_dict())
    _, header, card = files["README.md"].decode().split("---\n", 2)
    metadata = yaml.safe_load(header)
    assert metadata["library_name"] == "lightning-zoo"
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert {"wgan", "digits"} < set(metadata["tags"])
    assert "license" not in metadata
    result = read("wgan_digits").content["results"]["test/fid_digits_2k"]["14000"]
    assert f"| test/fid_digits_2k | {result:.6g} |" in card
    assert "![Samples](samples.png)" in card
    assert "python -m zoo.fit experiment=wgan_digits seed=0" in card
    code = card.partition("```python\n")[2].partition("```")[0]
    namespace = {}
    exec(code, namespace)
    assert torch.equal(namespace["samples"], zoo.generate("wgan_digits", 16))


def test_out_keeps_the_files_that_are_uploaded(server, library, tmp_path):
    library(**server.settings, HF_TOKEN=TOKEN)
    export("wgan_digits", out=str(tmp_path / "mine"), hub="hf://me/digits", half=True)
    (files,) = server.repositories["me/digits"].commits.values()
    assert (tmp_path / "mine.json").read_bytes() == files["model.json"]
    assert (tmp_path / "mine.safetensors").read_bytes() == files["model.safetensors"]


def test_without_conditions_there_is_no_figure(server, library, monkeypatch, capsys):
    def fail(*_):
        raise UserError("no data")

    library(**server.settings, HF_TOKEN=TOKEN)
    monkeypatch.setattr(publishing, "save_samples", fail)
    export("pix2pix_textures", hub="me/textures")
    (files,) = server.repositories["me/textures"].commits.values()
    assert "samples.png" not in files
    card = files["README.md"].decode()
    assert "samples.png" not in card
    assert 'condition={"source": ...}' in card
    assert "pipeline_tag: image-to-image" in card
    assert "no samples.png, because the samples need conditions: no data" in capsys.readouterr().out


def test_a_revision_is_a_branch_a_tag_or_a_commit(server):
    repository = server.create("me/digits")
    first = repository.commit(files_of(seed=1))
    repository.refs["v1"] = first
    repository.commit(files_of(seed=2))
    seeds = {"": 2, "@main": 2, "@v1": 1, f"@{first}": 1}
    for revision, seed in seeds.items():
        assert read(f"hf://me/digits{revision}").content["seed"] == seed
    with pytest.raises(UserError, match=r"me/digits has no revision v2\. It must be a branch"):
        read("hf://me/digits@v2")


def test_both_files_are_of_one_commit(server):
    """The weights are asked for by commit, because a branch may move between the downloads."""
    repository = server.create("me/digits")
    first = repository.commit(files_of())
    read("hf://me/digits")
    names = [path for method, path in server.requests if method == "GET" and "resolve" in path]
    assert f"/me/digits/resolve/{first}/model.safetensors" in names


def test_a_private_repository_needs_a_token(server, library):
    server.create("me/secret", private=True).commit(files_of())
    with pytest.raises(UserError, match=r"no repository me/secret, or it is private.*HF_TOKEN"):
        read("hf://me/secret")
    with pytest.raises(UserError, match="no repository me/nothing"):
        read("hf://me/nothing")
    library(**server.settings, HF_TOKEN=TOKEN)
    assert read("hf://me/secret").content["class"] == "zoo.adversarial.wgan.WGAN"


def test_a_gated_repository_names_the_way_in(server):
    server.create("me/gated", gated=True).commit(files_of())
    with pytest.raises(UserError, match=r"restricts access\. Ask for it on the page of me/gated"):
        read("hf://me/gated")


def test_damage_is_noticed_and_names_what_to_remove(server, tmp_path):
    files = files_of()
    server.create("me/digits").commit(files | {hub.WEIGHTS: files[hub.WEIGHTS][:-1] + b"x"})
    with pytest.raises(
        UserError, match=r"^hf://me/digits: .*sha256.*To download it again, remove"
    ) as error:
        zoo.load("hf://me/digits")
    folder = Path(str(error.value).rpartition("remove ")[2].removesuffix("."))
    assert folder.is_relative_to(tmp_path / "cache")
    assert folder.name == "models--me--digits"


def test_a_loaded_model_is_there_offline(server, library):
    server.create("me/digits").commit(files_of())
    read("hf://me/digits")
    library(**server.settings, HF_HUB_OFFLINE=1)
    server.requests.clear()
    assert zoo.load("hf://me/digits").hparams.width == 32
    with pytest.raises(UserError, match=r"hf://me/other is not in the cache .*HF_HUB_OFFLINE"):
        read("hf://me/other")
    assert not server.requests


def test_a_repository_of_something_else_is_refused(server):
    server.create("me/other").commit({"config.json": b"{}"})
    with pytest.raises(UserError, match=r"hf://me/other is not a model of this zoo: it needs"):
        read("hf://me/other")


def test_nothing_in_the_working_directory_is_imported(server, tmp_path, monkeypatch):
    code = "from zoo.adversarial.wgan import WGAN\nprint('imported')\nclass Mine(WGAN): pass\n"
    (tmp_path / "hub_planted.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    server.create("me/planted").commit(files_of(**{"class": "hub_planted.Mine"}))
    with pytest.raises(UserError, match="add trust=hub_planted"):
        zoo.load("hf://me/planted")
    assert "hub_planted" not in sys.modules


def test_a_new_run_starts_from_a_model_on_the_hub(server):
    server.create("me/digits").commit(files_of())
    trained = zoo.load("wgan_digits")
    model = type(trained)(**trained.hparams)
    load_initial_weights_(model, "hf://me/digits")
    kit.assert_same(kit.weights(model.critic), kit.weights(trained.critic))


def test_the_model_card_says_where_training_started():
    content = {"arguments": ["model=wgan"], "init": {"class": "a.B", "checkpoint": "hf://me/it"}}
    text = "\n".join(publishing.training(content))
    assert "from the weights of `hf://me/it` (`a.B`)" in text
    assert "python -m zoo.fit model=wgan init=hf://me/it\n" in text
    text = "\n".join(publishing.training(content | {"init": {"class": "a.B"}}))
    assert "from the weights of a checkpoint that is not published (`a.B`)" in text
    assert "python -m zoo.fit model=wgan init=CHECKPOINT\n" in text
    assert publishing.training({"init": None}) == []


def test_a_private_upload_never_goes_to_a_public_repository(server, library):
    library(**server.settings, HF_TOKEN=TOKEN)
    server.create("me/public")
    file = {"model.json": FOLDER / "wgan_digits.json"}
    with pytest.raises(UserError, match=r"me/public exists and is public: nothing was uploaded"):
        hub.upload("hf://me/public", file, private=True)
    assert not server.repositories["me/public"].commits
    hub.upload("hf://me/mine", file, private=True)
    assert server.repositories["me/mine"].private
    hub.upload("hf://me/open", file)
    assert not server.repositories["me/open"].private


def test_an_upload_without_a_token_says_how_to_log_in(server):
    with pytest.raises(UserError, match=r"hf://me/digits: .*HF_TOKEN"):
        hub.upload("hf://me/digits", {"model.json": FOLDER / "wgan_digits.json"})


def test_a_server_that_cannot_be_reached_is_named(library, tmp_path, monkeypatch):
    library(HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9 cannot be reached \(.*network"):
        read("hf://me/digits")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r'pip install "lightning-zoo\[hub\]"'):
        read("hf://me/digits")


@pytest.mark.parametrize("address", ["hf://digits", "hf://me/digits/model.json", "hf://me/digits@"])
def test_a_malformed_address_is_refused(address):
    with pytest.raises(UserError, match=f"{address} is not of the form hf://user/repo"):
        read(address)


def test_an_export_needs_a_place():
    with pytest.raises(UserError, match=r"Set out=PATH, hub=user/repo, or both"):
        export("wgan_digits")
    with pytest.raises(UserError, match="private=true needs hub"):
        export("wgan_digits", out="mine", private=True)
    with pytest.raises(UserError, match=r"format=onnx does not accept hub\.$"):
        export("wgan_digits", hub="me/digits", format="onnx")
