import math

import pytest
import torch

from datamodules.shapes import BACKGROUND, COLORS, POSITIONS, RGB, SHAPES, Shapes, draw
from tests import kit
from tests.zoo.adversarial.test_wgan import small


def one(shape, x=0.5, y=0.5, radius=0.2, color="red", size=16):
    attributes = {"x": x, "y": y, "radius": radius}
    attributes = {name: torch.tensor([value]) for name, value in attributes.items()}
    attributes["shape"] = torch.tensor([SHAPES.index(shape)])
    attributes["color"] = torch.tensor([COLORS.index(color)])
    return draw(attributes, size)[0]


def coverage(image, color="red"):
    """How much of each pixel is inside, (H, W) in [0, 1]."""
    full = torch.tensor(RGB[COLORS.index(color)]) - BACKGROUND
    return (image[0].double() - BACKGROUND) / full[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0.15, 0.21])
def test_shapes_of_one_radius_have_the_area_of_its_circle(shape, radius):
    area = coverage(one(shape, radius=radius, size=256)).mean().item()
    assert area == pytest.approx(math.pi * radius**2, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_center_is_the_center_of_mass(shape):
    """And x is the column, y the row."""
    inside = coverage(one(shape, x=0.4, y=0.6, size=128))
    axis = (torch.arange(128) + 0.5) / 128
    total = inside.sum()
    x, y = (inside.sum(dim=0) * axis).sum() / total, (inside.sum(dim=1) * axis).sum() / total
    assert (x.item(), y.item()) == pytest.approx((0.4, 0.6), abs=0.004)


def test_a_square_fills_its_corners_and_a_triangle_points_up():
    side = 0.2 * math.sqrt(math.pi) / 2
    square, circle = (coverage(one(shape, size=256)) for shape in ("square", "circle"))
    corner = int((0.5 + 0.95 * side) * 256)
    assert (square[corner, corner], circle[corner, corner]) == (1, 0)
    widths = coverage(one("triangle", size=256)).sum(dim=1)
    rows = widths.nonzero().flatten()
    assert widths[rows[-5]] > 5 * widths[rows[5]]


def test_an_edge_through_the_middle_of_a_pixel_mixes_the_colors():
    half = 0.2 * math.sqrt(math.pi) / 2
    image = one("square", x=4.5 / 16 + half, y=0.5, color="blue")  # the left edge at 4.5 pixels
    full, grey = torch.tensor(RGB[COLORS.index("blue")]), torch.full((3,), BACKGROUND)
    assert image[:, 8, 5].tolist() == full.tolist()
    assert image[:, 8, 3].tolist() == grey.tolist()
    assert (image[:, 8, 4] - (full + grey) / 2).abs().max() <= 0.5


def test_splits_and_labels():
    data = Shapes(count=300, val_count=40)
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [260, 40, 2000]
    assert (data.name, data.image_size, data.image_channels, data.classes) == ("shapes", 16, 3, 12)
    for split in ("train", "val", "test"):
        known, source = data.attributes(split), data.source(split)
        batch = source[torch.arange(len(source))]
        assert torch.equal(batch["label"], 4 * known["shape"] + known["color"])
        assert torch.equal(batch["image"], draw(known, 16)), "attributes are in the images' order"
        assert set(batch) == {"image", "label", "index"}


def test_attributes_are_balanced_and_independent():
    known = Shapes(val_count=0).attributes("train")
    cells = known["shape"] * 8 + known["color"] * 2 + known["position"]
    counts = cells.bincount(minlength=24).double()
    assert counts.min() > 250 - 5 * 250**0.5
    numbers = torch.stack([values.double() for values in known.values()])
    correlation = torch.corrcoef(numbers) - torch.eye(len(numbers))
    names = list(known)
    position, x = names.index("position"), names.index("x")
    assert correlation[position, x] > 0.9
    correlation[position, x] = correlation[x, position] = 0
    assert correlation.abs().max() < 0.06


def test_left_is_left_and_every_shape_is_inside():
    data = Shapes(val_count=0)
    source, known = data.source("train"), data.attributes("train")
    images = source[torch.arange(len(source))]["image"].int()
    inside = (images - BACKGROUND).abs().sum(dim=(1, 2)).double()  # (N, W)
    columns = (torch.arange(16) + 0.5) / 16
    center = (inside * columns).sum(dim=1) / inside.sum(dim=1)
    assert torch.equal(center > 0.5, known["position"] == POSITIONS.index("right"))
    border = torch.cat([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], 2)
    assert ((border - BACKGROUND).abs() > 0).double().mean() < 0.005


def test_images_depend_only_on_the_split_seed(monkeypatch):
    def images(split, split_seed=0):
        source = Shapes(count=200, val_count=20, split_seed=split_seed).source(split)
        return source[torch.arange(20)]["image"]

    first = images("train")
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    torch.manual_seed(7)
    assert torch.equal(images("train"), first)
    assert not torch.equal(images("train", 1), first)
    assert not torch.equal(images("test"), first)


def test_attributes_are_read_off_real_test_images():
    data = Shapes()
    known, source = data.attributes("test"), data.source("test")
    read = data.read_attributes(source[torch.arange(1000)]["image"])
    shares = {name: (seen == known[name][:1000]).double().mean() for name, seen in read.items()}
    assert set(shares) == {"shape", "color", "position"}
    assert shares["shape"] >= 0.99
    assert shares["color"] == shares["position"] == 1


def test_the_readers_see_training_images_alone(monkeypatch):
    data = Shapes(count=300, val_count=100)
    asked = []
    source = data.source
    monkeypatch.setattr(data, "source", lambda split: asked.append(split) or source(split))
    data.read_attributes(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    assert set(asked) == {"train"}


def test_a_model_of_other_data_trains_on_them(tmp_path):
    model = small(image_size=16, image_channels=3)
    kit.fit(model, tmp_path, 2, Shapes(count=200, val_count=0))
