"""Codes of a VQ-VAE as data: the same images and splits, decoded samples, the prior's metrics."""

import pytest
import torch

import zoo
from callbacks.metrics import Metrics
from datamodules.codes import Codes
from datamodules.digits import Digits
from tests import kit
from zoo.autoregressive.made import MADE
from zoo.config import catalog
from zoo.config.compatibility import check_levels, data_shape
from zoo.config.errors import UserError
from zoo.config.settings import Choice
from zoo.engine.seeds import reseed
from zoo.media.images import to_uint8
from zoo.metrics.features import origin
from zoo.runs.checkpoints import load_data


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A VQ-VAE of 6 codes after a few batches of digits."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vqvae")
    model = kit.build("vqvae", num_codes=6, halvings=1)
    data = Digits(val_count=200, split_seed=3)
    run = kit.fit(model, folder, 20, data)
    run.save_checkpoint(folder / "vqvae.ckpt")
    return folder / "vqvae.ckpt"


def batch_of(data, count=50):
    return data.prepare_batch(data.source("train")[torch.arange(count)], kit.build("made"))


def test_a_batch_has_the_sorted_codes_of_the_images(checkpoint):
    data, model = Codes(str(checkpoint)), zoo.load(checkpoint)
    assert (data.image_size, data.image_channels, data.num_levels, data.classes) == (4, 1, 6, 10)
    batch, real = batch_of(data), batch_of(Digits(val_count=200, split_seed=3))
    assert torch.equal(batch["label"], real["label"])
    codes = model.encode(real["image"])
    assert len(codes.unique()) > 3
    levels = ((batch["image"][:, 0] + 1) / 2 * 5).round().long()
    assert torch.equal(model.codebook.order()[levels], codes)


def test_samples_are_decoded(checkpoint):
    data, model = Codes(str(checkpoint)), zoo.load(checkpoint)
    batch, real = batch_of(data), batch_of(Digits(val_count=200, split_seed=3))
    decoded = to_uint8(model.reconstruct(real).detach())
    assert torch.equal(data.denormalize(batch["image"]), decoded)
    assert torch.equal(data.denormalize(batch["image"].double()), decoded)
    assert data.figure(batch["image"][:4]).shape == data.origin.figure(real["image"][:4]).shape


def test_images_and_splits_are_those_of_the_vqvae(checkpoint):
    data, digits = Codes(str(checkpoint)), Digits(val_count=200, split_seed=3)
    for split in ("train", "val", "test"):
        mine, theirs = data.source(split), digits.source(split)
        places = torch.arange(len(theirs))
        assert torch.equal(mine[places]["image"], theirs[places]["image"])


def test_a_prior_takes_its_shape_from_the_codes_and_is_measured_on_images(checkpoint, tmp_path):
    data, made = Codes(str(checkpoint), batch_size=20), catalog.describe("model", "made")
    shape = data_shape(Choice(made.target, made.defaults), data)
    assert shape["num_levels"] == 6
    model = MADE(**shape, width=16)
    kit.fit(model, tmp_path, 3, data, callbacks=[Metrics(every=3, count=20)])
    assert {"val/fid_digits_20", "val/nats_exact_levels6_val"} <= model.results.keys()
    reseed(model.device, 0)
    images = data.denormalize(model.sample(5))
    assert images.shape == (5, 1, 8, 8)


def test_training_passes_over_all_images(checkpoint, tmp_path):
    data, seen = Codes(str(checkpoint), batch_size=100), []

    class Noting(MADE):
        def training_step(self, batch, batch_idx):
            seen.append(batch["index"])
            super().training_step(batch, batch_idx)

    kit.fit(Noting(image_size=4, num_levels=6, width=16), tmp_path, 12, data)
    assert len(torch.cat(seen).unique()) == 1200


def test_a_run_of_the_prior_finds_its_data_again(checkpoint, tmp_path):
    model = MADE(image_size=4, num_levels=6, width=16)
    run = kit.fit(model, tmp_path, 1, Codes(str(checkpoint)))
    run.save_checkpoint(tmp_path / "prior.ckpt")
    again = load_data(tmp_path / "prior.ckpt")
    samples = zoo.generate(tmp_path / "prior.ckpt", 4)
    assert again.denormalize(samples).shape == (4, 1, 8, 8)


def test_cached_features_depend_on_the_network(checkpoint):
    model, data = kit.build("made", 4), Codes(str(checkpoint))
    before = origin(model, data)
    assert origin(model, data) == before
    next(data.network.decoder.parameters()).add_(1)
    assert origin(model, data) != before


def test_other_checkpoints_are_refused():
    with pytest.raises(UserError, match=r"set data\.checkpoint=vqvae_digits"):
        Codes()
    with pytest.raises(
        UserError, match=r"data\.checkpoint=wgan_digits is a WGAN, which has no codes"
    ):
        Codes("wgan_digits")


@pytest.mark.parametrize("name", ["rbm", "gsn"])
def test_models_of_binary_images_are_refused(checkpoint, name):
    """They would read 6 codes as black and white, and their likelihoods would look far better."""
    model = kit.build(name, size=4)
    with pytest.raises(UserError, match="needs images of 2 levels, but Codes has 6"):
        check_levels(model, Codes(str(checkpoint)))
    check_levels(model, Digits())


def test_a_relative_path_is_stored_as_an_absolute_one(checkpoint, monkeypatch):
    """A prior finds its VQ-VAE again from another folder."""
    monkeypatch.chdir(checkpoint.parent)
    assert Codes("vqvae.ckpt").hparams.checkpoint == str(checkpoint)


def test_more_codes_than_levels_are_refused(tmp_path):
    model = kit.build("vqvae", num_codes=257, halvings=1)
    kit.fit(model, tmp_path, 1, Digits()).save_checkpoint(tmp_path / "vqvae.ckpt")
    with pytest.raises(UserError, match=r"has 257 codes.* up to 256 levels.*num_codes=256"):
        Codes(str(tmp_path / "vqvae.ckpt"))


def test_overfit_batches_have_the_batch_size_of_the_codes(checkpoint, tmp_path):
    data = Codes(str(checkpoint), batch_size=20)
    kit.fit(kit.build("made", 4, num_levels=6), tmp_path, 1, data, overfit_batches=3)
    assert len(data.source("train")) == 60
