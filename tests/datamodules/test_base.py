from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from datamodules.image import ImageDataModule
from datamodules.torchvision_data import TorchvisionDataModule
from zoo.config import catalog
from zoo.media.images import to_uint8


class Ramp(ImageDataModule):
    """Image i is a row whose first pixel is i and whose last is 255; label i % 3."""

    image_channels = 1
    classes = 3

    def __init__(
        self,
        batch_size: int = 8,
        image_size: int = 4,
        val_count: int = 10,
        split_seed: int = 0,
        flip: bool = False,
    ):
        super().__init__()
        self.loads = []

    def load(self, split):
        self.loads.append(split)
        images = torch.full((100 if split == "train" else 21, 1, 4, 4), 255, dtype=torch.uint8)
        images[..., 0] = torch.arange(len(images))[:, None, None]
        return images, torch.arange(len(images)) % 3


@pytest.mark.parametrize("name", catalog.names("data"))
def test_names_of_classes_are_those_of_all_labels(name):
    module, _, kind = catalog.describe("data", name).target.rpartition(".")
    data = getattr(import_module(module), kind)
    if isinstance(data.class_names, tuple) and data.class_names:
        assert len(set(data.class_names)) == len(data.class_names) == data.classes


def gathered(loader, key):
    return torch.cat([batch[key] for batch in loader])


def numbers(data, split):
    return gathered(data.loader(split), "image")[:, 0, 0, 0].tolist()


def test_attributes_are_available_before_loading():
    data = Ramp(batch_size=5)
    assert (data.batch_size, data.image_size, data.image_channels, data.classes) == (5, 4, 1, 3)
    assert data.provides == ("image", "label", "index")
    assert data.name == __name__.rpartition(".")[2]
    assert data.loads == []


def test_hyperparameters_rebuild_it():
    data = Ramp(split_seed=3)
    assert dict(Ramp(**data.hparams).hparams) == dict(data.hparams)
    assert data.hparams.split_seed == 3


def test_splits_are_disjoint_and_cut_by_the_split_seed_alone(monkeypatch):
    train, val = numbers(Ramp(), "train"), numbers(Ramp(), "val")
    assert (len(train), len(val)) == (90, 10)
    assert sorted(train + val) == list(range(100))
    monkeypatch.setenv("PL_GLOBAL_SEED", "77")
    torch.manual_seed(77)
    assert numbers(Ramp(), "val") == val
    assert numbers(Ramp(split_seed=1), "val") != val
    assert len(numbers(Ramp(), "test")) == 21


def test_nothing_is_loaded_twice():
    data = Ramp()
    data.setup("fit")
    data.setup("fit")
    data.loader("val")
    data.train_dataloader()
    assert data.loads == ["train"]
    data.setup("test")
    data.setup("test")
    assert data.loads == ["train", "test"]


def test_index_gathers_that_very_image():
    data = Ramp()
    batch = next(iter(data.train_dataloader()))
    in_order = torch.cat([images["image"] for images in data.loader("train", batch_size=7)])
    assert torch.equal(in_order[batch["index"]], batch["image"])
    assert torch.equal(batch["label"], batch["image"][:, 0, 0, 0].long() % 3)
    assert batch["index"].dtype == batch["label"].dtype == torch.int64


def test_loader_is_in_order_unpadded_and_raw():
    data = Ramp()
    ranks = [list(data.loader("test", 4, rank, world_size=2)) for rank in (0, 1)]
    assert gathered(ranks[0], "index").tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19]
    assert gathered(ranks[1], "index").tolist() == [4, 5, 6, 7, 12, 13, 14, 15, 20]
    assert ranks[0][0]["image"].dtype == torch.uint8


def test_the_range_is_exact_and_quantises_back():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    floats = Ramp().on_after_batch_transfer({"image": images}, 0)["image"]
    assert floats.dtype == torch.float32
    assert (floats.min().item(), floats.max().item()) == (-1.0, 1.0)
    assert torch.equal(to_uint8(floats), images)


def test_flips_mirror_the_width_of_the_chosen_images_only():
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    images[..., 0, 1] = 255
    batch = {"image": images, "flip": torch.tensor([True, False])}
    result = Ramp().on_after_batch_transfer(batch, 0)
    assert set(result) == {"image"}
    assert result["image"][:, 0].tolist() == [[[1, -1], [-1, -1]], [[-1, 1], [-1, -1]]]


def test_only_training_batches_are_flipped():
    data = Ramp(flip=True)
    assert next(iter(data.train_dataloader()))["flip"].dtype == torch.bool
    assert "flip" not in next(iter(Ramp().train_dataloader()))
    assert "flip" not in next(iter(data.val_dataloader()))


def test_the_seed_of_the_run_decides_the_order(monkeypatch):
    def order(seed):
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        return gathered(Ramp().train_dataloader(), "index").tolist()

    assert order(1) == order(1) != order(2)


def test_without_a_seed_every_process_has_the_same_order(monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    orders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        orders.append(gathered(Ramp().train_dataloader(), "index").tolist())
    assert orders[0] == orders[1]


def test_processes_share_the_batches():
    def batches(rank, world_size, batch_size):
        data = Ramp(batch_size)
        process = {"global_rank": rank, "world_size": world_size}
        data.trainer = SimpleNamespace(**process, current_epoch=2, lightning_module=None)
        return [set(batch["index"].tolist()) for batch in data.train_dataloader()]

    whole, first, second = batches(0, 1, 8), batches(0, 2, 4), batches(1, 2, 4)
    assert len(whole) == 90 // 8
    assert [a | b for a, b in zip(first, second, strict=True)] == whole


class Recorder(LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.trained, self.validated, self.tested = [], [], []

    def configure_optimizers(self):
        return []

    def training_step(self, batch, batch_idx):
        self.trained.append((batch["index"].tolist(), batch["image"]))

    def validation_step(self, batch, batch_idx):
        self.validated.extend(batch["index"].tolist())

    def test_step(self, batch, batch_idx):
        self.tested.extend(batch["index"].tolist())


def quiet_trainer(**arguments):
    return Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **arguments,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("val_count", [0, 10])
def test_a_trainer_fits_validates_and_tests(val_count):
    model, data = Recorder(), Ramp(val_count=val_count)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    images = torch.cat([images for _, images in model.trained])
    assert len(model.trained) == (100 - val_count) // 8
    assert images.dtype == torch.float32
    assert images.max() == 1.0
    assert model.validated == list(range(val_count))
    assert model.tested == list(range(21))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reload", [0, 1])
def test_each_epoch_has_its_own_order(reload):
    model = Recorder()
    quiet_trainer(max_epochs=2, reload_dataloaders_every_n_epochs=reload).fit(model, Ramp())
    orders = [indices for indices, _ in model.trained]
    assert len(orders) == 22
    assert orders[:11] != orders[11:]
    expected = Ramp().train_dataloader()
    expected.epoch = 1
    assert orders[11:] == [batch["index"].tolist() for batch in expected]


def test_without_validation_images_there_is_no_validation():
    assert Ramp(val_count=0).val_dataloader() == []


def test_images_are_resized_once_to_rounded_uint8():
    data = Ramp(image_size=2)
    image = data.source("test").source.images[20, 0]
    assert image.tolist()[0][1] == 255
    assert 20 < image.tolist()[0][0] < 255
    assert image.shape == (2, 2)
    assert image.dtype == torch.uint8


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="no split 'valid'"):
        Ramp().source("valid")
    with pytest.raises(ValueError, match=r"val_count=100 must be from 0 to 99"):
        Ramp(val_count=100).source("train")
    with pytest.raises(ValueError, match="at most 90"):
        Ramp(batch_size=91).train_dataloader()


class Fetched(TorchvisionDataModule):
    """Remembers which splits it downloaded."""

    def __init__(
        self,
        batch_size: int = 8,
        image_size: int = 4,
        val_count: int = 0,
        split_seed: int = 0,
        download: bool = False,
    ):
        super().__init__()
        self.fetched = []

    def dataset(self, split, download):
        assert download
        self.fetched.append(split)


@pytest.mark.parametrize(("download", "fetched"), [(False, []), (True, ["train", "test"])])
def test_both_splits_are_fetched_where_download_is_set(download, fetched):
    data = Fetched(download=download)
    data.prepare_data()
    assert data.fetched == fetched
