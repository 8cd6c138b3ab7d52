"""Every recipe composes, says what a reader needs, restates no default and runs."""

import json
import sys
from functools import partial

import pytest
from omegaconf import OmegaConf

from callbacks.metrics import Metrics
from datamodules.loading.emoji_font import open_font
from zoo import fit
from zoo.config import catalog
from zoo.config.errors import UserError
from zoo.metrics import translation
from zoo.metrics.extractors.efficientnet_lite0 import PACKAGE
from zoo.metrics.segmenter import train_segmenter

RECIPES = catalog.recipes()
# How many samples are measured, which the tests of the metrics decide.
FEWER = ("disentanglement.MAX_IMAGES", "clips.MAX_CLIPS")
FEWER += ("translation.MAX_IMAGES", "inpainting.MAX_IMAGES", "psnr.GLO_IMAGES")


def deviations(file):
    """{group: {parameter: value}} of a recipe, and {group: name} of what it chooses.

    Or of what the recipe chooses that it is a version of.
    """
    content, chosen = OmegaConf.to_container(OmegaConf.load(file)), {}
    for entry in content.pop("defaults", []):
        if isinstance(entry, str):
            chosen |= deviations(RECIPES[entry])[1]
        else:
            chosen |= {key.removeprefix("override /"): value for key, value in entry.items()}
    return content, chosen


def comments(file):
    """The comment lines of a recipe: its settings say `flip` by themselves."""
    return "\n".join(line for line in file.read_text().splitlines() if line.startswith("#"))


def require_font():
    """Skip the test if the font of emoji is not installed."""
    try:
        open_font(catalog.describe("data", "emoji").defaults["font"])
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", RECIPES)
def test_no_default_is_restated(name):
    content, chosen = deviations(RECIPES[name])
    for group in ("model", "data"):
        defaults = catalog.describe(group, chosen[group]).defaults
        for parameter, value in content.get(group, {}).items():
            assert value != defaults[parameter], f"{group}.{parameter}"
    for callback, values in content.get("callbacks", {}).items():
        defaults = catalog.describe("callbacks", callback).defaults
        for parameter, value in values.items():
            assert value != defaults[parameter], f"callbacks.{callback}.{parameter}"


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_says_what_to_expect(name):
    assert RECIPES[name].read_text().startswith("# @package _global_\n# ")
    text = comments(RECIPES[name])
    for word in ("Budget:", "Expected:"):
        assert word in text


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_that_flips_or_holds_out_images_says_so(name):
    """Two things that papers' numbers depend on."""
    content, chosen = deviations(RECIPES[name])
    settings = catalog.describe("data", chosen["data"]).defaults | content.get("data", {})
    text = comments(RECIPES[name])
    assert "flip" in text or not settings.get("flip")
    assert "held out" in text or "hold" in text or not content.get("data", {}).get("val_count")


@pytest.mark.parametrize("name", RECIPES)
def test_it_runs_a_batch(name, tmp_path, monkeypatch):
    _, chosen = deviations(RECIPES[name])
    if "root" in catalog.describe("data", chosen["data"]).parameters:
        pytest.skip(f"{chosen['data']} is not shipped with a library")
    if chosen["data"] == "emoji":
        require_font()
    if chosen.get("extractor") == "efficientnet_lite0":
        pytest.importorskip(PACKAGE)
    arguments = [f"experiment={name}", "trainer.max_steps=1", f"folder={tmp_path / 'run'}"]
    arguments += ["callbacks.metrics.count=40", "callbacks.samples.count=4"]
    if "count" in catalog.describe("data", chosen["data"]).parameters:
        arguments += ["data.count=300", "data.val_count=40"]
        monkeypatch.setattr(f"datamodules.{chosen['data']}.TEST_COUNT", 40)
    if "iterations" in catalog.describe("model", chosen["model"]).parameters:
        arguments += ["model.iterations=5"]  # of GLO's search for latents
    monkeypatch.setattr(sys, "argv", ["zoo/fit.py", *arguments])
    # Once is enough: at the end the same is measured as before training.
    monkeypatch.setattr(Metrics, "on_train_start", lambda *args: None)
    monkeypatch.setattr("zoo.engine.weight_averages.BATCHES", 1)
    for what in FEWER:
        monkeypatch.setattr(f"zoo.metrics.{what}", 40)
    monkeypatch.setattr(translation, "train_segmenter", partial(train_segmenter, batches=1))
    fit.main()
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["status"], summary["batches"]) == ("finished", 1)
