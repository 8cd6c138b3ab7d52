"""Classes and recipes as configs, composed by Hydra."""

import pytest
from hydra import compose, initialize_config_dir

from zoo.config import composition
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError


def composed(*overrides):
    with initialize_config_dir(str(ROOT / "zoo/config"), version_base="1.3"):
        return compose("fit", overrides=list(overrides))


def test_the_config_of_a_class_is_its_signature():
    settings = composition.check(composed("model=wgan", "model.lr=1"))
    assert settings.model.target == "zoo.adversarial.wgan.WGAN"
    assert settings.model.values["lr"] == 1.0
    assert isinstance(settings.model.values["lr"], float)
    assert settings.data.values["batch_size"] == 64
    usual = ["samples", "metrics", "checkpoint", "progress", "summary"]
    assert list(settings.callbacks) == usual


def test_a_recipe_overrides_and_a_command_overrides_the_recipe():
    recipe = composition.check(composed("experiment=wgan_digits"))
    assert recipe.model.values["width"] == 32
    assert "ema" in recipe.callbacks
    mine = composition.check(composed("experiment=wgan_digits", "model.width=16"))
    assert mine.model.values["width"] == 16


def test_a_recipe_may_be_any_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("# @package _global_\n# Mine.\ndefaults:\n  - override /model: wgan\nseed: 7\n")
    settings = composition.check(composed(f"experiment={file}"))
    assert settings.seed == 7


def test_a_recipe_with_a_wrong_name_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("# @package _global_\ndefaults:\n  - override /model: wgan\nmodel:\n  lrr: 1\n")
    with pytest.raises(UserError, match=r"no model\.lrr\. Did you mean lr"):
        composition.check(composed(f"experiment={file}"))


def test_a_callback_is_left_out_by_deleting_or_nulling_it():
    for override in ("~callbacks.metrics", "callbacks.metrics=null"):
        assert "metrics" not in composition.check(composed("model=wgan", override)).callbacks
