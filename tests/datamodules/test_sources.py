import torch
from PIL import Image

from datamodules.sources import Files, Part, Stored, resized


def test_a_file_is_cropped_to_its_centre_square_and_resized(tmp_path):
    wide = Image.new("RGB", (40, 20), "red")
    wide.paste("blue", (10, 0, 30, 20))
    wide.save(tmp_path / "wide.png")
    wide.rotate(90, expand=True).save(tmp_path / "tall.png")
    names = [str(tmp_path / "wide.png"), str(tmp_path / "tall.png")]
    files = Files(names, torch.tensor([3, 4]), size=8, channels=3)
    batch = files[torch.tensor([1, 0, 1])]
    assert batch["label"].tolist() == [4, 3, 4]
    blue = torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]
    assert torch.equal(batch["image"], blue.expand(3, 3, 8, 8))


def test_a_colour_file_can_be_read_as_grey(tmp_path):
    Image.new("RGB", (8, 8), "white").save(tmp_path / "a.png")
    files = Files([str(tmp_path / "a.png")], torch.tensor([-1]), size=8, channels=1)
    image = files[torch.tensor([0])]["image"]
    assert torch.equal(image, torch.full((1, 1, 8, 8), 255, dtype=torch.uint8))


def test_resizing_averages_and_rounds():
    image = torch.tensor([[0, 0, 255, 255]] * 4, dtype=torch.uint8)[None, None]
    rounded = resized(image, 2)
    assert rounded.dtype == torch.uint8
    exact = torch.nn.functional.interpolate(
        image.double(), size=(2, 2), mode="bilinear", antialias=True
    )
    assert (rounded - exact).abs().max() <= 0.5 + 1e-9
    assert resized(image, 4) is image


def test_a_part_maps_its_positions_and_names_them():
    stored = Stored(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1), torch.arange(5) * 10)
    part = Part(stored, torch.tensor([4, 2]))
    batch = part[torch.tensor([1, 0, 1])]
    assert len(part) == 2
    assert batch["index"].tolist() == [1, 0, 1]
    assert batch["image"].flatten().tolist() == [2, 4, 2]
    assert batch["label"].tolist() == [20, 40, 20]
