"""Loaders and data modules of the user's own: told at the first batch, or before it."""

import pickle
import re

import pytest
import torch
from pytorch_lightning import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.health import Health
from callbacks.metrics import Metrics
from callbacks.progress import Progress
from callbacks.samples import Samples
from callbacks.summary import Summary
from tests import kit
from zoo.config.errors import UserError
from zoo.engine.batch_checks import check_batch
from zoo.runs.checkpoints import load_model


def images(count=16, size=8, channels=1, low=-1.0):
    generator = torch.Generator().manual_seed(0)
    return low + (1 - low) * torch.rand(count, channels, size, size, generator=generator)


LABELS = torch.arange(16) % 10


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([images(), LABELS], r"dicts of image, label, not on a list: give the loader a collate_fn"),
        (images(), r"not on a Tensor"),
        ({"images": images()}, r"needs the batch key image, label, but a batch holds images"),
        ({"image": images()}, r"needs the batch key label, but a batch holds image"),
        (
            {"image": images(low=0), "label": LABELS},
            r"look like images in \[0, 1\]: 2 \* image - 1",
        ),
        ({"image": 255 * images(low=0), "label": LABELS}, r"in \[-1, 1\], not from .* to 25\d"),
        ({"image": images().mul(255).byte(), "label": LABELS}, r"uint8: image.float\(\) / 127.5"),
        (
            {"image": images(size=10), "label": LABELS},
            r"10, 10\) float32: CGAN was built with image_",
        ),
        ({"image": images(channels=3), "label": LABELS}, r"image_size=8, image_channels=1. Resize"),
        ({"image": images()[:, 0], "label": LABELS}, r"must be \(N, C, H, W\) float"),
        ({"image": [1, 2], "label": LABELS}, r"not a list"),
        ({"image": images(), "label": LABELS.float()}, r"\(N,\) int64, not \(16,\) float32"),
        ({"image": images(), "label": LABELS[:, None]}, r"\(N,\) int64, not \(16, 1\) int64"),
        ({"image": images(), "label": LABELS + 1}, r"of 0 to 9, .* not from 1 to 10"),
        ({"image": images(), "label": LABELS - 2}, r"not from -2 to 7"),
    ],
)
def test_mistakes_raise_an_error_that_names_a_fix(batch, message):
    with pytest.raises(UserError, match=message) as error:
        check_batch(kit.build("cgan"), batch)
    assert "See 'Your own data' in the README" in str(error.value)


@pytest.mark.parametrize(
    "batch",
    [
        {"image": images(), "label": LABELS},
        {"image": images().half(), "label": LABELS - 1, "more": None},
        {"image": images(low=0)[:4], "label": LABELS[:4]},  # four bright images there may be
        {"image": torch.zeros(16, 1, 8, 8), "label": LABELS},
    ],
)
def test_what_fits_passes(batch):
    assert check_batch(kit.build("cgan"), batch)


@pytest.mark.parametrize("name", zoo.models())
def test_the_batches_of_the_zoo_fit_every_model(name):
    model = kit.build(name)
    assert check_batch(model, batch_of(model))


def batch_of(model):
    """What the model is trained on, of 16 samples, as its keys alone."""
    data = kit.Toy(labels=20 if "labeled_image" in model.needs else 0)
    raw = next(iter(data.training_loader(batch_size=16, seed=0)))
    whole = data.on_after_batch_transfer(dict(raw), 0)
    whole |= {"partner": -whole["image"], "other": whole["image"]}  # on demand
    return {key: whole[key] for key in model.needs}


class OwnData(LightningDataModule):
    """One that knows nothing of the zoo but the keys of a batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def train_dataloader(self):
        count = len(next(iter(self.batch.values())))
        samples = [{key: values[n] for key, values in self.batch.items()} for n in range(count)]
        return DataLoader(samples, batch_size=4)


def test_only_the_first_batch_of_a_run_is_checked(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "zoo.base.batch_checks.check_batch", lambda model, batch: seen.append(batch) or True
    )
    model = kit.build("gan")
    for runs in (1, 2):
        kit.fit(model, tmp_path, 3 * runs)
        assert len(seen) == runs


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("name", ["gan", "dcgan", "lsgan", "sngan", "wgan", "wgan_gp"])
def test_a_critic_must_return_one_number_per_image(name, outputs, tmp_path):
    model = kit.build(name)
    player = "critic" if hasattr(model, "critic") else "discriminator"
    setattr(model, player, nn.Sequential(nn.Flatten(), nn.Linear(64, outputs)))
    message = rf"build_{player} must .* \(N,\), but for N=4 it returns \(4, {outputs}\)"
    with pytest.raises(UserError, match=message + r".*nn.Flatten\(0\)"):
        kit.fit(model, tmp_path, 1)


def test_a_conditional_discriminator_must_return_one_number_per_image(tmp_path):
    model = kit.build("cgan")
    model.discriminator.logit = nn.Identity()
    with pytest.raises(UserError, match="build_discriminator must return one number per image"):
        kit.fit(model, tmp_path, 1)


def test_a_loader_of_tuples_is_refused_before_anything_is_learned(tmp_path):
    model = kit.build("gan")
    before = kit.weights(model)
    loader = DataLoader(TensorDataset(images(), LABELS), batch_size=4)
    with pytest.raises(UserError, match="collate_fn"):
        kit.trainer(tmp_path, 3).fit(model, loader)
    kit.assert_same(before, kit.weights(model))


@pytest.mark.parametrize("kind", ["module", "loader"])
@pytest.mark.parametrize("name", zoo.models())
def test_every_model_trains_on_user_data_or_names_what_it_needs(name, kind, tmp_path):
    model = kit.build(name)
    own = OwnData(batch_of(model))
    callbacks = [Checkpoint(), Progress(), Summary(), Health()]
    callbacks += [] if model.conditions else [Samples(count=4)]
    run = kit.trainer(tmp_path, 2, callbacks=callbacks, enable_progress_bar=True)
    given = (
        {"datamodule": own} if kind == "module" else {"train_dataloaders": own.train_dataloader()}
    )
    try:
        run.fit(model, **given)
    except UserError as error:  # of a model that reads its training samples before training
        message = str(error)
    else:
        message = None
    if message:
        assert "reads training samples directly: it needs a datamodules.base.DataModule" in message
        assert run.global_step == 0
        return
    assert run.global_step == 2
    assert (tmp_path / "summary.json").exists()
    load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "callback", "message"),
    [
        ("gan", Metrics(), "leave it out .* ~callbacks.metrics"),
        ("pix2pix", Samples(), "needs source to sample, from a datamodules.base.DataModule"),
    ],
)
def test_callbacks_that_need_more_say_so_before_training(name, callback, message, tmp_path):
    model = kit.build(name)
    run = kit.trainer(tmp_path, 2, callbacks=[callback])
    with pytest.raises((UserError, ValueError)) as error:
        run.fit(model, datamodule=OwnData(batch_of(model)))
    assert re.search(message, str(error.value))
    assert "'Your own data' in the README" in str(error.value)
    assert run.global_step == 0


def test_hooks_of_a_batch_of_one_end_with_the_fit(tmp_path):
    model = kit.build("dcgan")
    before = [len(module._forward_pre_hooks) for module in model.modules()]
    kit.fit(model, tmp_path, 1, kit.Toy(batch_size=1))
    assert [len(module._forward_pre_hooks) for module in model.modules()] == before
    layer = torch.nn.BatchNorm2d(1)
    model.discriminator.append(nn.Sequential(nn.Unflatten(0, (-1, 1, 1, 1)), layer, nn.Flatten(0)))
    with pytest.raises(UserError, match=r"the batch norm discriminator.* gets one value"):
        kit.fit(model, tmp_path, 1, kit.Toy(batch_size=1))
    assert layer._forward_pre_hooks, "the fit failed"
    pickle.loads(pickle.dumps(layer))
    kit.fit(model, tmp_path, 1, kit.Toy(batch_size=2))
    assert not layer._forward_pre_hooks
