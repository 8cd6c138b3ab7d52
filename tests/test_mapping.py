"""Only the data know how their samples become what a model takes, and back: nobody bypasses that.

Every model is trained, measured and drawn beside images, and beside the same images stored as
negatives by data that undo it themselves: all that the networks are given, all numbers and all
pictures must be equal.
"""

from contextlib import contextmanager

import pytest
import torch

import zoo
from tests import kit
from zoo import probe
from zoo.engine.seeds import reseed
from zoo.media.images import from_uint8
from zoo.metrics.compute import likelihood_metrics, model_metrics
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import image_features, sample_features
from zoo.metrics.frechet import frechet_distance
from zoo.plots import sample_modes


class Plain(kit.Toy):
    extractor = "pixels"  # distances between pixels are those between their negatives


class Negative(Plain):
    """The same images, stored as negatives."""

    def load(self, split):
        images, labels = super().load(split)
        return 255 - images, labels

    def on_after_batch_transfer(self, batch, dataloader_idx):
        stored = [name for name, values in batch.items() if values.dtype == torch.uint8]
        positive = {name: 255 - batch[name] for name in stored}
        return super().on_after_batch_transfer(batch | positive, dataloader_idx)

    def denormalize(self, samples):
        return 255 - super().denormalize(samples)


def trained(name, data, folder):
    torch.manual_seed(0)
    model = kit.build(name)
    run = kit.fit(model, folder, max_steps=3, data=data)
    return model, run.datamodule


@contextmanager
def watched(model):
    """Gives a list to which the sum of each tensor is added that the model's networks are given."""
    given = []

    def note(module, arguments):
        given.extend(a.double().sum() for a in arguments if isinstance(a, torch.Tensor))

    hooks = [module.register_forward_pre_hook(note) for module in model.children()]
    yield given
    for hook in hooks:
        hook.remove()


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("name", zoo.models())
def test_no_model_bypasses_the_mapping_of_the_data(name, tmp_path):
    found = []
    for data in (Plain(count=24), Negative(count=24)):
        model, data = trained(name, data, tmp_path)
        with watched(model) as given:
            numbers = model_metrics(model, data, "test") | likelihood_metrics(model, data, "test")
            with model.evaluating():
                reseed(model.device, 0)
                samples = model.figures(data)
        extractor = load_extractor("pixels")
        fake = sample_features(extractor, model, 20, 0, data)
        real = image_features(extractor, data.source("test"))
        numbers["fid"] = frechet_distance(real.moments, fake.moments)
        # MS-SSIM compares the images as they are stored, and negatives are alike in another degree.
        numbers = {key: value for key, value in numbers.items() if "ms_ssim" not in key}
        found.append((kit.weights(model), numbers, samples, torch.tensor(given)))
    (weights, numbers, samples, given), (other, other_numbers, other_drawn, other_given) = found
    kit.assert_same(weights, other)
    assert_equal(numbers, other_numbers)
    torch.testing.assert_close(given, other_given)
    kit.assert_same(samples, other_drawn)


def test_no_mode_of_sampling_bypasses_it(tmp_path):
    shown = []
    for data in (Plain(), Negative()):
        model, data = trained("wgan", data, tmp_path)
        with model.evaluating():
            near = sample_modes.neighbors(model, 20, 0, None, data, rows=3, k=2)
        found = sample_modes.recover(model, 4, 0, data, rows=2, iterations=3, restarts=1)
        shown.append((near, found))
    for (figure, *texts), (other, *other_texts) in zip(*shown, strict=True):
        assert torch.equal(figure, other)
        assert texts == other_texts


def test_the_probe_does_not_bypass_it(tmp_path):
    errors = []
    for cls in (Plain, Negative):
        model, data = trained("wgan", cls(val_count=20), tmp_path)
        found = probe.compare(model, "critic", data, labels=20, draws=2, seed=0)
        errors.append(found["test_error"])
    assert errors[0] == errors[1]


def test_a_batch_is_prepared_as_in_training():
    """In the model's dtype, from the first digit on, and without a trainer."""
    model, data = kit.build("wgan").double(), Plain()
    raw = data.source("test")[torch.arange(4)]
    image = data.prepare_batch(raw, model)["image"]
    assert torch.equal(image, from_uint8(raw["image"], torch.float64))
    assert data.dtype == torch.float32
