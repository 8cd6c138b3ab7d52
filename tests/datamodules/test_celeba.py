import pytest
import torch
from PIL import Image

from datamodules.celeba import CelebA


@pytest.fixture
def root(tmp_path, monkeypatch):
    """12 train, 3 valid and 4 test faces, gray level 10 i; red above and below the center."""
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5=None: True)
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(19)]
    for i, name in enumerate(names):
        face = Image.new("RGB", (178, 218), "red")
        face.paste((10 * i,) * 3, (0, 20, 178, 198))
        face.save(folder / "img_align_celeba" / name, quality=100, subsampling=0)
    splits = [0] * 12 + [1] * 3 + [2] * 4
    lines = [f"{name} {split}\n" for name, split in zip(names, splits, strict=True)]
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    (folder / "identity_CelebA.txt").write_text("".join(lines))
    for kind in ("bbox", "landmarks_align", "attr"):
        (folder / f"list_{kind}_celeba.txt").write_text("19\nvalue\n" + "".join(lines))
    return str(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_faces_are_cropped_resized_and_unlabeled(root, workers):
    data = CelebA(root=root, image_size=16, workers=workers)
    train, val, test = (next(iter(data.loader(s))) for s in ("train", "val", "test"))
    assert [len(batch["image"]) for batch in (train, val, test)] == [12, 3, 4]
    expected = torch.tensor([150, 160, 170, 180])[:, None, None, None]
    assert (test["image"][:, :, 2:-2] - expected).abs().max() <= 2
    assert test["image"].shape == (4, 3, 16, 16)
    assert set(train["label"].tolist()) == {-1}


def test_a_missing_set_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"img_align_celeba.*download=true"):
        CelebA(root=str(tmp_path)).setup()
