from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from datamodules.image_folder import ImageFolder
from datamodules.loading.splits import hash_fraction


def write_images(folder, count, first=0):
    """Images of gray level 10 i."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        Image.new("RGB", (20, 30), (10 * i,) * 3).save(folder / f"{i:02}.png")


def numbers_and_labels(data, split):
    batches = list(data.loader(split, batch_size=3))
    images = torch.cat([batch["image"] for batch in batches])
    labels = torch.cat([batch["label"] for batch in batches])
    return (images[:, 0, 0, 0] // 10).tolist(), labels.tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_flat_folder_is_split_once_and_unlabeled(tmp_path, workers):
    write_images(tmp_path, 20)
    data = ImageFolder(root=str(tmp_path), val_fraction=0.2, test_fraction=0.25, workers=workers)
    splits = {split: numbers_and_labels(data, split) for split in ("train", "val", "test")}
    assert all(numbers for numbers, _ in splits.values())
    assert sorted(n for numbers, _ in splits.values() for n in numbers) == list(range(20))
    assert {label for _, labels in splits.values() for label in labels} == {-1}
    assert data.classes == 0


def test_the_split_depends_only_on_the_split_seed(tmp_path):
    write_images(tmp_path, 20)

    def test_numbers(seed, split_seed):
        torch.manual_seed(seed)
        data = ImageFolder(root=str(tmp_path), split_seed=split_seed, workers=0, test_fraction=0.3)
        return numbers_and_labels(data, "test")[0]

    assert test_numbers(1, 0) == test_numbers(2, 0) != test_numbers(1, 1)


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path):
    write_images(tmp_path / "zebra" / "nested", 3)
    write_images(tmp_path / "ant", 3, first=3)
    write_images(tmp_path, 2, first=6)
    data = ImageFolder(root=str(tmp_path), val_fraction=0.0, test_fraction=0.0, workers=0)
    with pytest.warns(
        UserWarning, match=r"2 of 8 files .*no class folder, such as 06.png"
    ) as messages:
        numbers, labels = numbers_and_labels(data, "train")
    assert len(messages) == 1
    expected = {0: 1, 1: 1, 2: 1, 3: 0, 4: 0, 5: 0, 6: -1, 7: -1}
    assert dict(zip(numbers, labels, strict=True)) == expected
    assert data.classes == 2
    assert data.class_names == ("ant", "zebra")


def test_numbered_classes_keep_their_order(tmp_path):
    for count, name in enumerate(["1", "2", "10"], start=1):
        write_images(tmp_path / name, count)
    data = ImageFolder(root=str(tmp_path), val_fraction=0.0, test_fraction=0.0, workers=0)
    assert data.class_names == ("1", "2", "10")
    assert sorted(numbers_and_labels(data, "train")[1]) == [0, 1, 1, 2, 2, 2]


def model_of(*needs):
    return SimpleNamespace(lightning_module=SimpleNamespace(needs=needs))


def test_a_model_that_needs_labels_is_refused_images_without(tmp_path):
    """Before training, not when the first of them is drawn; other models may have them."""
    write_images(tmp_path / "ant", 3)
    write_images(tmp_path, 1, first=6)
    data = ImageFolder(root=str(tmp_path), val_fraction=0.0, test_fraction=0.0, workers=0)
    data.trainer = model_of("image")
    with pytest.warns(UserWarning, match="have no label"):
        assert len(data.training_loader(batch_size=4)) == 1
    data.trainer = model_of("image", "label")
    with pytest.raises(ValueError, match=r"SimpleNamespace needs labels, and 1 of 4 .*06.png"):
        data.training_loader(batch_size=4)
    data._splits = {file: "test" if file.name == "06.png" else "train" for file in data._files}
    with pytest.raises(ValueError, match=r"1 of 4 files"):  # tested with labels, too
        data.training_loader(batch_size=3)
    (tmp_path / "06.png").unlink()
    data = ImageFolder(root=str(tmp_path), val_fraction=0.0, test_fraction=0.0, workers=0)
    data.trainer = model_of("image", "label")
    assert len(data.training_loader(batch_size=3)) == 1


@pytest.mark.parametrize("val", [True, False])
@pytest.mark.parametrize("test", [True, False])
def test_folders_of_splits_are_splits(val, test, tmp_path):
    """Their subfolders are the classes; without a test folder, val is for testing."""
    write_images(tmp_path / "train" / "ant", 9)
    write_images(tmp_path / "train" / "zebra", 9, first=9)
    if val:
        write_images(tmp_path / "Validation" / "zebra", 2, first=18)
    if test:
        write_images(tmp_path / "test" / "ant", 3, first=20)
    data = ImageFolder(root=str(tmp_path), workers=0)
    assert data.class_names == ("ant", "zebra")
    splits = {split: numbers_and_labels(data, split) for split in ("train", "val", "test")}
    numbers = {split: sorted(found) for split, (found, _) in splits.items()}
    assert all(numbers.values())
    trained = range(18)
    if test:
        assert numbers["test"] == [20, 21, 22]
        assert set(splits["test"][1]) == {0}
    if val:
        assert numbers["val" if test else "test"] == [18, 19]
        assert set(splits["val" if test else "test"][1]) == {1}
    assert set(numbers["train"]) <= set(trained)
    rest = [n for split in numbers.values() for n in split if n in trained]
    assert sorted(rest) == list(trained)
    for number, label in zip(*splits["train"], strict=True):
        assert label == int(number > 8)


def test_a_class_that_is_never_trained_on_is_refused(tmp_path):
    write_images(tmp_path / "train" / "ant", 3)
    write_images(tmp_path / "test" / "bee", 3)
    with pytest.raises(
        ValueError, match=r"test/bee/00\.png is in the class bee, which has no files in"
    ):
        ImageFolder(root=str(tmp_path), workers=0).source("train")


def test_a_class_without_training_images_warns_once(tmp_path, recwarn):
    write_images(tmp_path / "ant", 20)
    write_images(tmp_path / "fox", 1)

    def warnings_with(test_fraction):
        recwarn.clear()
        data = ImageFolder(
            root=str(tmp_path), split_seed=seed, test_fraction=test_fraction, workers=0
        )
        for split in ("train", "val", "test"):
            data.source(split)
        return [str(w.message) for w in recwarn if "no training image files" in str(w.message)]

    seed = next(seed for seed in range(100) if hash_fraction("fox/00.png", seed) < 0.1)
    (message,) = warnings_with(0.1)
    assert "1 of 2 classes" in message
    assert "such as fox," in message
    assert not warnings_with(0.0)


def test_a_folder_of_checkpoints_is_no_class(tmp_path):
    write_images(tmp_path / "ant", 3)
    write_images(tmp_path / ".ipynb_checkpoints", 3)
    data = ImageFolder(root=str(tmp_path), workers=0)
    with pytest.warns(UserWarning, match="3 hidden"):
        assert data.class_names == ("ant",)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_the_asked_shape(tmp_path, channels):
    write_images(tmp_path, 4)
    data = ImageFolder(root=str(tmp_path), image_channels=channels, image_size=16, workers=0)
    assert next(iter(data.loader("train")))["image"].shape[1:] == (channels, 16, 16)
    assert data.image_channels == channels


@pytest.fixture
def damaged(tmp_path):
    """Five sound images, a truncated JPEG and a text that is called an image."""
    write_images(tmp_path, 5)
    photograph = tmp_path / "truncated.jpg"
    Image.effect_noise((64, 64), 50).save(photograph)
    photograph.write_bytes(photograph.read_bytes()[:-400])
    (tmp_path / "text.png").write_text("not an image")
    return tmp_path


def test_corrupt_files_are_refused_by_name(damaged):
    with pytest.raises(ValueError, match=r"2 of 7 .*corrupt=skip") as error:
        ImageFolder(root=str(damaged)).setup()
    assert "truncated.jpg" in str(error.value)
    assert "text.png" in str(error.value)


def test_corrupt_files_are_skipped_with_one_warning(damaged):
    data = ImageFolder(root=str(damaged), corrupt="skip", workers=0, test_fraction=0.2)
    with pytest.warns(UserWarning, match="2 images are left out") as warnings:
        splits = [numbers_and_labels(data, split)[0] for split in ("train", "val", "test")]
    assert sorted(number for numbers in splits for number in numbers) == list(range(5))
    assert len(warnings) == 1
    assert "truncated.jpg" in str(warnings[0].message)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*data\.root"):
        ImageFolder(root=str(tmp_path / "nowhere")).setup()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="no image"):
        ImageFolder(root=str(tmp_path)).setup()
    with pytest.raises(ValueError, match="refuse or skip"):
        ImageFolder(corrupt="ignore")
    with pytest.raises(ValueError, match="1 or 3"):
        ImageFolder(image_channels=4)
