import io
import os
import pickle
import sys
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from datamodules import lsun
from datamodules.lsun import LSUN, LMDBImages


@pytest.fixture
def root(tmp_path):
    """Image i of kitchen is of gray level 10 i; 9 train, 3 of LSUN's validation set."""
    lmdb = pytest.importorskip("lmdb")
    for part, count in (("train", 9), ("val", 3)):
        folder = tmp_path / f"kitchen_{part}_lmdb"
        with lmdb.open(str(folder)) as database, database.begin(write=True) as transaction:
            for i in range(count):
                encoded = io.BytesIO()
                Image.new("RGB", (48, 32), (10 * i,) * 3).save(encoded, "webp", lossless=True)
                transaction.put(f"{i:040}".encode(), encoded.getvalue())
    return str(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_scenes_are_read_in_every_process(root, workers):
    data = LSUN(root=root, category="kitchen", val_count=0, image_size=16, workers=workers)
    for split, count in (("train", 9), ("test", 3)):
        batches = list(data.loader(split, batch_size=2))
        images = torch.cat([batch["image"] for batch in batches])
        expected = 10 * torch.arange(count, dtype=torch.uint8)
        assert torch.equal(images, expected[:, None, None, None].expand(count, 3, 16, 16))
        assert {label for batch in batches for label in batch["label"].tolist()} == {-1}


class Database:
    """What lmdb.open returns, of a folder with a pickled dict; it notes who opened it in `log`."""

    def __init__(self, folder, **options):
        assert (folder, os.getpid()) not in Database.opened, "lmdb opens a folder once in a process"
        assert not any(of == folder for of, _ in Database.opened), "nor after a fork with it open"
        Database.opened.add((folder, os.getpid()))
        self.folder, self.pid = folder, os.getpid()
        with open(os.path.join(folder, "data.mdb"), "rb") as file:
            self.content = pickle.load(file)
        with open(os.path.join(folder, "log"), "a") as log:
            log.write(f"{os.getpid()}\n")

    def begin(self):
        assert self.pid == os.getpid(), "an open database does not survive a fork"
        return self

    def __enter__(self):
        return SimpleNamespace(
            get=self.content.get,
            cursor=lambda: SimpleNamespace(iternext=lambda values: iter(self.content)),
        )

    def __exit__(self, *error):
        pass

    def close(self):
        Database.opened.remove((self.folder, self.pid))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder of 40 gray images for a module that behaves as lmdb, which may be missing."""
    monkeypatch.setitem(sys.modules, "lmdb", SimpleNamespace(open=Database))
    monkeypatch.setattr(lsun, "OPEN", {})
    Database.opened = set()
    content = {}
    for i in range(40):
        encoded = io.BytesIO()
        Image.new("RGB", (16, 16), (i,) * 3).save(encoded, "png")
        content[f"{i:040}".encode()] = encoded.getvalue()
    (tmp_path / "bridge_train_lmdb").mkdir()
    (tmp_path / "bridge_train_lmdb" / "data.mdb").write_bytes(pickle.dumps(content))
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_each_process_opens_the_database_once(fake, workers):
    data = LSUN(root=str(fake), category="bridge", val_count=0, image_size=16, workers=workers)
    images = [batch["image"] for batch in data.loader("train", batch_size=2)]
    assert torch.cat(images)[:, 0, 0, 0].tolist() == list(range(40))
    opened = (fake / "bridge_train_lmdb" / "log").read_text().split()
    assert len(opened) == len(set(opened)) == 1 + workers


def test_a_pickled_source_shares_the_open_database(fake):
    source = LMDBImages(fake / "bridge_train_lmdb", 16)
    copy = pickle.loads(pickle.dumps(source))
    for images in (source, copy, LMDBImages(fake / "bridge_train_lmdb", 16)):
        assert images[torch.tensor([7])]["image"].unique().tolist() == [7]
    assert len((fake / "bridge_train_lmdb" / "log").read_text().split()) == 1
    lsun.close_databases()
    assert not Database.opened


def test_without_lmdb_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    (tmp_path / "bedroom_train_lmdb").mkdir()
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").touch()
    with pytest.raises(ImportError, match="pip install lmdb"):
        LSUN(root=str(tmp_path)).setup()


def test_a_missing_category_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tower_train_lmdb/data\.mdb") as error:
        LSUN(root=str(tmp_path), category="tower").setup()
    assert str(tmp_path) in str(error.value)
