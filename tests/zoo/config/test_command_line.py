"""What the arguments of zoo.fit imply: resumed settings, recipes, lists of callbacks."""

import json

import pytest

from zoo.config import command_line, composition
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.config.trainer_arguments import DEFAULT_MAX_STEPS


def test_choosing_a_group_again_drops_its_earlier_settings(tmp_path):
    earlier = ["model=wgan", "++model.lr=1", "logger=wandb", "++logger.mode=offline", "seed=1"]
    (tmp_path / "arguments.json").write_text(json.dumps(earlier))
    resumed = command_line.complete([f"resume={tmp_path}", "logger=csv", "seed=2", "model.lr=3"])
    assert resumed == [
        "model=wgan", f"resume={tmp_path}", "logger=csv", "seed=2", "++model.lr=3",
        "experiment=wgan_digits",
    ]  # fmt: skip


def test_callbacks_are_added_to_the_usual_ones():
    (setting,) = command_line.complete(["+callbacks=[mine.Own,ema]"])
    assert setting == "callbacks=[samples,metrics,checkpoint,progress,summary,mine.Own,ema]"


def test_callbacks_are_added_to_those_of_several_recipes(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("defaults:\n  - _self_\n  - /callbacks@callbacks: [ema, r1]\n")
    for experiment in (f"wgan_digits,{mine}", str(mine)):
        *_, setting = command_line.complete(
            ["model=gan", f"experiment={experiment}", "+callbacks=[health]"]
        )
        assert setting.endswith("summary,ema,r1,health]")


def test_callbacks_are_added_to_those_of_the_resumed_run(tmp_path):
    own = ["model=wgan", "callbacks=[samples,ema,r1]", "++callbacks.r1.gamma=1"]
    (tmp_path / "arguments.json").write_text(json.dumps(own))
    settings = command_line.complete([f"resume={tmp_path}", "+callbacks=[health]"])
    assert "callbacks=[samples,ema,r1,health]" in settings
    assert any(setting.endswith("callbacks.r1.gamma=1") for setting in settings)


def test_callbacks_are_added_to_those_of_the_recipe():
    usual = "samples,metrics,checkpoint,progress,summary"
    for arguments in (["model=wgan"], ["experiment=wgan_digits"]):
        settings = command_line.complete([*arguments, "+callbacks=[health]"])
        assert f"callbacks=[{usual},ema,health]" in settings
        assert command_line.complete(settings) == settings


def test_completing_the_arguments_twice_changes_nothing():
    once = command_line.complete(["model=wgan", "model.lr=1", "trainer.max_steps=3", "seed=1"])
    assert once == [
        "model=wgan", "++model.lr=1", "++trainer.max_steps=3", "seed=1", "experiment=wgan_digits",
    ]  # fmt: skip
    assert command_line.complete(once) == once
    assert "experiment=none" in command_line.complete(["model=wgan", "experiment=none"])
    with pytest.raises(UserError, match="no such folder"):
        command_line.complete(["resume=nowhere"])


def test_a_limit_on_the_command_line_replaces_that_of_the_recipe():
    from hydra import compose, initialize_config_dir

    def max_steps(*arguments):
        with initialize_config_dir(str(ROOT / "zoo/config"), version_base="1.3"):
            composed = compose("fit", overrides=command_line.complete(list(arguments)))
        return composition.check(composed).trainer["max_steps"]

    recipe = max_steps("model=wgan")
    assert recipe not in (-1, DEFAULT_MAX_STEPS), "wgan_digits has a limit of its own"
    assert max_steps("model=wgan", "experiment=none") == DEFAULT_MAX_STEPS
    for limit in ("trainer.max_epochs=100000", "trainer.max_time=00:00:00:05"):
        assert max_steps("model=wgan", limit) == -1
        assert max_steps("model=wgan", "experiment=none", limit) == -1
        assert max_steps("model=wgan", limit, "trainer.max_steps=3") == 3
    assert max_steps("model=wgan", "trainer.max_epochs=-1") == recipe
