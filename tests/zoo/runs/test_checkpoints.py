"""Loading what was trained, from any place, and nothing else."""

import json
import math
import pickle
import textwrap

import pytest
import torch

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.ema import EMA
from tests import kit
from zoo.config.errors import UserError
from zoo.runs.checkpoints import load_data
from zoo.runs.exports import export_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read


@pytest.fixture
def run(tmp_path):
    """The folder of a short run with averaged weights."""
    model = kit.build("wgan")
    callbacks = [EMA(decay=0.5), Checkpoint()]
    kit.fit(model, tmp_path / "run", 10, callbacks=callbacks)
    return tmp_path / "run", model


def sampled(model):
    torch.manual_seed(0)
    with torch.no_grad():
        return model.sample(4)


def test_a_run_or_a_file_gives_the_averaged_model_in_eval_mode(run):
    folder, trained = run
    for place in (folder, folder / "checkpoints/last.ckpt", str(folder)):
        model = zoo.load(place)
        assert not model.training
        average = trained.averages["generator"].state_dict()
        kit.assert_same(kit.weights(model.generator), average)
        assert not torch.equal(model.generator[1].weight, trained.generator[1].weight)
        kit.assert_same(kit.weights(model.critic), kit.weights(trained.critic))


def test_an_export_is_the_same_model(run, tmp_path):
    folder, _ = run
    export_model(folder, tmp_path / "shared/wgan_v1.0")
    exported = zoo.load(tmp_path / "shared/wgan_v1.0.json")
    assert torch.equal(sampled(exported), sampled(zoo.load(folder)))
    description = json.loads((tmp_path / "shared/wgan_v1.0.json").read_text())
    assert description["class"] == "zoo.adversarial.wgan.WGAN"
    assert description["data"]["_target_"] == "tests.kit.Toy"
    one, other = load_data(folder), load_data(tmp_path / "shared/wgan_v1.0.json")
    assert type(one) is type(other) is kit.Toy
    assert dict(one.hparams) == dict(other.hparams)


def test_an_export_holds_numbers_that_are_not_finite_as_standard_json(run, tmp_path):
    loaded = read(run[0])
    results = {"val/fid_toy": {2: math.nan}}
    changes = {"results": results, "hyperparameters": {"lr": math.inf}}
    export_model(LoadedCheckpoint(loaded.path, loaded.content | changes), tmp_path / "toy")
    json.loads((tmp_path / "toy.json").read_text(), parse_constant=pytest.fail)
    content = read(tmp_path / "toy.json").content
    assert content["hyperparameters"] == {"lr": math.inf}
    assert math.isnan(content["results"]["val/fid_toy"]["2"])


def test_a_damaged_export_is_refused(run, tmp_path):
    export_model(run[0], tmp_path / "wgan_toy")
    file = tmp_path / "wgan_toy.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="sha256"):
        zoo.load(tmp_path / "wgan_toy.json")


def test_a_missing_checkpoint_names_the_nearest_and_where_the_others_are():
    with pytest.raises(UserError, match=r"wgan_digit\. Did you mean wgan_digits or .*\? It must"):
        zoo.load("wgan_digit")
    for name in ("qqqqq", "outputs/wgan_digits"):
        with pytest.raises(UserError) as error:
            zoo.load(name)
        expected = f"There is no checkpoint {name}. It must be a run's folder, a checkpoint file, "
        assert str(error.value).startswith(expected)
        assert str(error.value).endswith("zoo.pretrained() lists them.")


def test_a_pickled_attack_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for save in (torch.save, lambda thing, file: file.write_bytes(pickle.dumps(thing))):
        save({"zoo": Attack()}, tmp_path / "evil.ckpt")
        with pytest.raises(UserError, match=r"evil.ckpt is not a checkpoint"):
            zoo.load(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()


def test_a_class_that_is_no_model_is_not_even_imported(run, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')\nclass Model: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    file = run[0] / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    content["zoo"]["class"] = "evil.Model"
    torch.save(content, file)
    with pytest.raises(UserError, match=r"evil.Model is not a GenerativeModule"):
        zoo.load(file)
    assert not (tmp_path / "owned").exists()


def test_data_that_are_no_datamodule_are_not_built(run, tmp_path):
    file = run[0] / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    content["zoo"]["data"] = {"_target_": "subprocess.Popen", "args": f"touch {tmp_path}/owned"}
    torch.save(content, file)
    with pytest.raises(UserError, match=r"subprocess.Popen is not a DataModule"):
        load_data(file)
    assert not (tmp_path / "owned").exists()


def test_an_export_without_its_weights_is_refused(run, tmp_path):
    export_model(run[0], tmp_path / "alone")
    (tmp_path / "alone.safetensors").unlink()
    with pytest.raises(UserError, match="not an exported model"):
        zoo.load(tmp_path / "alone.json")


def test_a_class_that_decides_a_parameter_of_its_base_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "deciding.py").write_text(
        textwrap.dedent("""
        from zoo.adversarial.wgan import WGAN

        class Deciding(WGAN):
            def __init__(self, **wgan):
                super().__init__(critic_norm=False, **wgan)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = kit.class_of("deciding.Deciding")(image_size=8, image_channels=1)
    kit.fit(model, tmp_path, 1, callbacks=[Checkpoint()])
    kit.assert_same(kit.weights(zoo.load(tmp_path)), kit.weights(model))


def test_a_users_class_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        from zoo.adversarial.wgan import WGAN

        class Mine(WGAN):
            def __init__(self, weight: float = 2.0, **wgan):
                super().__init__(**wgan)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    cls = kit.class_of("mine.Mine")
    kit.fit(cls(3.0, image_size=8, image_channels=1), tmp_path, 1, callbacks=[Checkpoint()])
    model = zoo.load(tmp_path)
    assert type(model) is cls
    assert model.hparams.weight == 3.0
    assert model.hparams.image_size == 8


def test_the_pretrained_models_load_and_draw():
    model = zoo.load("wgan_digits")
    assert sampled(model).shape == (4, 1, 8, 8)
