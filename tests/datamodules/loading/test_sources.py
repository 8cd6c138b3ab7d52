import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.loading.sources import (
    ImageFiles,
    InMemoryImages,
    load_stored_images,
    resize_images,
)
from zoo.engine.loader import Subset


def test_a_file_is_cropped_to_its_center_square_and_resized(tmp_path):
    wide = Image.new("RGB", (40, 20), "red")
    wide.paste("blue", (10, 0, 30, 20))
    wide.save(tmp_path / "wide.png")
    wide.rotate(90, expand=True).save(tmp_path / "tall.png")
    names = [str(tmp_path / "wide.png"), str(tmp_path / "tall.png")]
    files = ImageFiles(names, torch.tensor([3, 4]), size=8, channels=3)
    batch = files[torch.tensor([1, 0, 1])]
    assert batch["label"].tolist() == [4, 3, 4]
    blue = torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]
    assert torch.equal(batch["image"], blue.expand(3, 3, 8, 8))


def test_a_color_file_can_be_read_as_gray(tmp_path):
    Image.new("RGB", (8, 8), "white").save(tmp_path / "a.png")
    files = ImageFiles([str(tmp_path / "a.png")], torch.tensor([-1]), size=8, channels=1)
    image = files[torch.tensor([0])]["image"]
    assert torch.equal(image, torch.full((1, 1, 8, 8), 255, dtype=torch.uint8))


@pytest.mark.parametrize("ending", ["bmp", "gif", "webp", "png"])
def test_other_files_are_read_in_color(ending, tmp_path):
    file = tmp_path / f"a.{ending}"
    Image.new("RGB", (8, 8), "white").save(file)
    image = everything(ImageFiles([str(file)], torch.tensor([-1]), None, channels=3))
    assert torch.equal(image, torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))


def test_resizing_averages_and_rounds():
    image = torch.tensor([[0, 0, 255, 255]] * 4, dtype=torch.uint8)[None, None]
    rounded = resize_images(image, 2)
    assert rounded.dtype == torch.uint8
    exact = torch.nn.functional.interpolate(
        image.double(), size=(2, 2), mode="bilinear", antialias=True
    )
    assert (rounded - exact).abs().max() <= 0.5 + 1e-9
    assert resize_images(image, 4) is image


def test_a_part_maps_its_positions_and_names_them():
    stored = InMemoryImages(
        torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1), torch.arange(5) * 10
    )
    part = Subset(stored, torch.tensor([4, 2]))
    batch = part[torch.tensor([1, 0, 1])]
    assert len(part) == 2
    assert batch["index"].tolist() == [1, 0, 1]
    assert batch["image"].flatten().tolist() == [2, 4, 2]
    assert batch["label"].tolist() == [20, 40, 20]


def everything(source):
    return source[torch.arange(len(source))]["image"]


def test_stored_images_are_as_they_are(tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (3, 3, 5, 7), generator=generator, dtype=torch.uint8)
    for number, image in enumerate(images):
        folder = tmp_path / "color" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    (tmp_path / "grey").mkdir()
    Image.fromarray(images[0, 0].numpy()).save(tmp_path / "grey/0.png")
    assert torch.equal(everything(load_stored_images(tmp_path / "color")), images[[0, 2, 1]])
    assert torch.equal(everything(load_stored_images(tmp_path / "grey")), images[:1, :1])
    Image.fromarray(images[1].permute(1, 2, 0).numpy()).save(tmp_path / "grey/1.png")
    assert everything(load_stored_images(tmp_path / "grey")).shape == (2, 3, 5, 7), "one in color"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "NHW"])
def test_arrays_are_read_in_any_layout(layout, tmp_path):
    images = torch.arange(2 * 3 * 5 * 7, dtype=torch.uint8).view(2, 3, 5, 7)
    if layout == "NHW":
        images = images[:, :1]
    array = {"NHWC": images.permute(0, 2, 3, 1), "NCHW": images, "NHW": images[:, 0]}[layout]
    np.savez(tmp_path / "some.npz", array.numpy())
    assert torch.equal(everything(load_stored_images(tmp_path / "some.npz")), images)


def test_empty_sources_are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_stored_images(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no image \(.*\.png"):
        load_stored_images(tmp_path)


def test_sizes_of_stored_images_are_those_of_upright_ones(tmp_path):
    """One that EXIF turns by a quarter is as large as one that lies as it is stored."""
    Image.new("RGB", (30, 20)).save(tmp_path / "wide.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (20, 30)).save(tmp_path / "turned.jpg", exif=turned)
    Image.new("RGB", (20, 30)).save(tmp_path / "turned.tif", tiffinfo={0x0112: 8})
    assert everything(load_stored_images(tmp_path)).shape == (3, 3, 20, 30)
    Image.new("RGB", (20, 30)).save(tmp_path / "tall.jpg")
    with pytest.raises(ValueError, match="images of several sizes"):
        load_stored_images(tmp_path)


def test_training_images_are_not_measured_with_test_images(tmp_path):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match="contains the splits test, train: name the folder of one"):
        load_stored_images(tmp_path)
    assert len(load_stored_images(tmp_path / "test")) == 1
