"""Which files of a folder are found, and what its subfolders are taken for."""

import os
from pathlib import Path, PurePath

import pytest

from datamodules.loading.files import class_folder, find_files, find_split_folders, label_classes


def touch(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def found(root: Path, **settings) -> list[str]:
    files = find_files(root, (".png", ".jpg"), "image", **settings)
    return [file.relative_to(root).as_posix() for file in files]


def test_what_systems_leave_behind_is_no_data(tmp_path):
    touch(tmp_path, "a/1.png", "b/2.JPG", "3.jpg", "a.png/4.png")
    touch(tmp_path, ".ipynb_checkpoints/1-checkpoint.png", "a/.ipynb_checkpoints/1-checkpoint.png")
    touch(tmp_path, "a/._1.png", "__MACOSX/a/1.png", "b/@eaDir/2.jpg", ".hidden.png")
    with pytest.warns(UserWarning, match=r"6 file\(s\) are skipped \(6 hidden\), 4 are used"):
        assert found(tmp_path) == ["3.jpg", "a/1.png", "a.png/4.png", "b/2.JPG"]


def test_other_files_are_reported_once(tmp_path):
    touch(tmp_path, "a/1.png", "a/2.heic", "b/3.heic", "notes.txt", "1.txt", "x.xcf", "README")
    touch(tmp_path, "Thumbs.db", "a/.DS_Store", ".git/config")
    counts = r"4 file\(s\) are skipped \(2 .heic, 1 .xcf, 1 without an extension\), 1 are used"
    with pytest.warns(UserWarning, match=counts) as messages:
        assert found(tmp_path, ignored=(".txt",)) == ["a/1.png"]
    assert len(messages) == 1


def test_nothing_is_reported_where_all_are_used(tmp_path, recwarn):
    touch(tmp_path, "a/1.png", "Thumbs.db", ".DS_Store")
    assert found(tmp_path) == ["a/1.png"]
    assert not recwarn.list


def test_without_a_file_the_files_found_are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
        found(tmp_path / "nowhere")
    touch(tmp_path, "1.heic", "2.heic")
    with pytest.raises(FileNotFoundError, match=r"no image \(.png .jpg\) in .*\(2 .heic\)"):
        found(tmp_path)


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    """Inside a folder, a link to a folder above it would never end."""
    touch(tmp_path, "elsewhere/1.png", "root/b/2.png")
    (tmp_path / "root/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/b/up").symlink_to(tmp_path / "root")
    (tmp_path / "elsewhere/self").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "root") == ["a/1.png", "b/2.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path):
    touch(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b").chmod(0)
    with pytest.raises(PermissionError):
        found(tmp_path)


def splits_of(root, *names):
    return find_split_folders([root / name for name in names], root)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train/a/1", "test/a/2"], {"train": "train", "test": "test"}),
        (["Training/1", "VALID/2"], {"Training": "train", "VALID": "val"}),
        (
            ["train/1", "validation/2", "testing/3"],
            {"train": "train", "validation": "val", "testing": "test"},
        ),
        (["train/a/1", "train/b/2"], {"train": "train"}),
        (["cats/1", "dogs/2"], {}),
        (["bus/1", "train/2", "car/3"], {}),
        (["train/1", "2"], {}),
        (["1", "2"], {}),
        (["a/b/train/1"], {}),
    ],
)
def test_splits_are_distinguished_from_classes(names, splits):
    assert splits_of(Path("/data"), *names) == splits


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/1", "test/2", "cats/3"], "/data has test/ beside cats/"),
        (["cats/1", "dogs/2", "val/3"], "/data has val/ beside cats/"),
        (["train/1", "test/2", "3"], "/data has test/ beside files outside folders"),
        (["val/1", "valid/2", "train/3"], "val, valid: two of these are the same split"),
        (["test/1"], "/data has test/, but no train/"),
        (["cats/train/1", "cats/test/2"], "put the splits above the classes"),
    ],
)
def test_what_may_be_either_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        splits_of(Path("/data"), *names)


def test_a_class_is_the_first_folder_below_a_split():
    assert class_folder(PurePath("a/b/1.png"), ()) == "a"
    assert class_folder(PurePath("train/a/b/1.png"), ("train",)) == "a"
    assert class_folder(PurePath("train/1.png"), ("train",)) is None
    assert class_folder(PurePath("1.png"), ("train",)) is None


def test_numbers_in_names_count_as_numbers():
    names = {"10", "2", "1", "page 12", "page 9", "b", "B", "02"}
    ordered = ["1", "02", "2", "10", "B", "b", "page 9", "page 12"]
    assert label_classes(names) == {name: label for label, name in enumerate(ordered)}
    assert label_classes({"n2x10", "n2x9", "n10"}) == {"n2x9": 0, "n2x10": 1, "n10": 2}
