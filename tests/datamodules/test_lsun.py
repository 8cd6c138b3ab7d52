import io
import sys

import pytest
import torch
from PIL import Image

from datamodules.lsun import LSUN


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
