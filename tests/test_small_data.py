"""Every model with one sample a batch, and with hardly any samples to show and to measure."""

import re

import pytest
from pytorch_lightning import Callback

import zoo
from tests import kit
from zoo.config.errors import UserError
from zoo.metrics.compute import likelihood_metrics, model_metrics

MODELS = zoo.models()


class Start(Callback):
    """Keeps the weights that training begins with."""

    def on_train_start(self, trainer, model):
        self.weights = {name: value.clone() for name, value in model.named_parameters()}


class FewTests(kit.Toy):
    """Toy, with only so many test images."""

    tests = 1

    def load(self, split):
        images, labels = super().load(split)
        count = self.tests if split == "test" else len(images)
        return images[:count], labels[:count]


@pytest.mark.parametrize("name", MODELS)
def test_one_sample_a_batch_trains_or_is_refused_with_the_reason(name, tmp_path):
    model, start = kit.build(name), Start()
    message = None
    try:
        kit.fit(model, tmp_path, 4, kit.Toy(batch_size=1), callbacks=[start])
    except UserError as error:
        message = str(error)
    if message:
        assert re.search(r"norm \S+ of \w+ gets one value per channel.*data.batch_size=2", message)
        kit.assert_same(start.weights, dict(model.named_parameters()))
        kit.fit(kit.build(name), tmp_path, 4, kit.Toy(batch_size=2))


@pytest.mark.parametrize("tests", [0, 1])
@pytest.mark.parametrize("name", MODELS)
def test_few_held_out_images_are_plotted_and_measured(name, tests, tmp_path, monkeypatch):
    monkeypatch.setattr(FewTests, "tests", tests)
    model = kit.build(name)
    # As many validation images as test images.
    data = FewTests(val_count=tests, labels=20 if "labeled_image" in model.needs else 0)
    kit.fit(model, tmp_path, 2, data)
    with model.evaluating():
        model.figures(data)
    for split in ("val", "test"):
        model_metrics(model, data, split)
        likelihood_metrics(model, data, split)
