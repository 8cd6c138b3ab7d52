"""What a resumed run may not change, and what it may."""

import shutil

import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningDataModule, Trainer

from callbacks.checkpoint import Checkpoint
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from datamodules.image_folder import ImageFolder
from tests import kit
from zoo.runs.resume import check_settings, fingerprint, settings_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """24 images; their run of two batches."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(24):
        Image.new("L", (8, 8), number).save(root / f"{number:02}.png")
    return root


def data_of(root, **given):
    settings = {"batch_size": 4, "image_size": 8, "image_channels": 1, "workers": 0}
    return ImageFolder(**settings | {"root": str(root)} | given)


def go_on(root, folder, data=None, max_steps=3, **settings):
    """A run of two batches, and its continuation with other data or arguments of the Trainer."""
    first = data_of(root)
    kit.fit(kit.build("gan"), folder, 2, first, callbacks=[Checkpoint()])
    checkpoint = folder / "checkpoints/last.ckpt"
    return kit.fit(
        kit.build("gan"),
        folder,
        max_steps,
        data or data_of(root),
        checkpoint=checkpoint,
        **settings,
    )


def test_the_same_data_go_on_from_another_place_with_other_workers(photos, tmp_path):
    moved = shutil.copytree(photos, tmp_path / "moved")
    assert go_on(photos, tmp_path, data_of(moved, workers=1)).global_step == 3


def add(root):
    Image.new("L", (8, 8)).save(root / "new.png")


def remove(root):
    (root / "03.png").unlink()


def change(root):
    Image.effect_noise((8, 8), 50).save(root / "03.png")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (add, r"1 file\(s\) added, 0 removed, 0 changed, 0 moved"),
        (remove, r"0 file\(s\) added, 1 removed, 0 changed, 0 moved"),
        (change, r"0 file\(s\) added, 0 removed, 1 changed, 0 moved"),
    ],
)
def test_other_files_are_refused(act, message, photos, tmp_path):
    root = shutil.copytree(photos, tmp_path / "changed")
    act(root)
    with pytest.raises(ValueError, match=rf"{message}.*start a new run without resume="):
        go_on(photos, tmp_path, data_of(root))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split_seed": 1}, "data.split_seed=0"),
        ({"test_fraction": 0.3}, "data.test_fraction=0.1"),
        ({"flip": True}, "data.flip=False"),
        ({"batch_size": 2}, r"global batch \(data.batch_size x processes\)=4"),
    ],
)
def test_other_settings_of_the_data_are_refused(given, message, photos, tmp_path):
    with pytest.raises(ValueError, match=f"started with {message}: a resumed run keeps"):
        go_on(photos, tmp_path, data_of(photos, **given))


def test_other_data_are_refused(photos, tmp_path):
    with pytest.raises(ValueError, match=r"with .*data=datamodules.image_folder.ImageFolder"):
        go_on(photos, tmp_path, Digits(batch_size=4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "bf16-mixed"}, "trainer.precision=32-true"),
        ({"limit_train_batches": 1}, "trainer.limit_train_batches=1.0"),
        ({"overfit_batches": 1}, "trainer.overfit_batches=0.0"),
    ],
)
def test_arguments_of_the_trainer_that_change_the_run_are_refused(given, message, photos, tmp_path):
    with pytest.raises(ValueError, match=f"started with .*{message}: a resumed run keeps"):
        go_on(photos, tmp_path, **given)


def test_a_resumed_run_may_divide_the_global_batch_differently():
    def batch(batch_size, devices):
        trainer = Trainer(accelerator="cpu", devices=devices, logger=False)
        return settings_of(trainer, Digits(batch_size=batch_size))

    check_settings(batch(8, 1), batch(4, 2))
    with pytest.raises(ValueError, match="global batch"):
        check_settings(batch(8, 1), batch(8, 2))


def test_samples_that_are_fewer_are_refused(tmp_path):
    """Data without files of the user's: here another edition of them."""
    kit.fit(kit.build("gan"), tmp_path, 2, kit.Toy(), callbacks=[Checkpoint()])
    fewer = kit.Toy()
    load = fewer.load
    fewer.load = lambda split: tuple(values[:40] for values in load(split))
    with pytest.raises(ValueError, match="there were 64 train and 0 val samples, there are 40"):
        kit.fit(kit.build("gan"), tmp_path, 3, fewer, checkpoint=tmp_path / "checkpoints/last.ckpt")


def test_a_checkpoint_may_be_measured_on_other_data(photos, tmp_path):
    run = go_on(photos, tmp_path)
    model = kit.build("gan")
    run.save_checkpoint(tmp_path / "last.ckpt")
    measuring = kit.trainer(tmp_path, 3, [Metrics(count=64)], limit_val_batches=1)
    (numbers,) = measuring.validate(
        model, Digits(), ckpt_path=tmp_path / "last.ckpt", verbose=False, weights_only=True
    )
    assert numbers["val/fid_digits_64"] > 0


def test_the_fingerprint_is_of_names_sizes_and_splits(photos):
    one, again = fingerprint(data_of(photos)), fingerprint(data_of(photos, workers=1))
    assert one.shape == (24, 3)
    assert torch.equal(one, again)
    assert set(one[:, 2].tolist()) == {0, 1, 2}
    assert fingerprint(kit.Toy()).shape == (0, 3)
    assert fingerprint(LightningDataModule()).shape == (0, 3)
