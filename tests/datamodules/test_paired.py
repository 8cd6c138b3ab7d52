"""Pairs share their flips; edges and colors are made of any images."""

import pytest
import torch

from datamodules.colorize import Colorize
from datamodules.digits import Digits
from datamodules.edges import Edges, edges_of
from datamodules.shapes import Shapes
from zoo.config.errors import UserError


def whole(data, split):
    source = data.source(split)
    return source[torch.arange(len(source))]


def test_a_source_is_flipped_with_its_image():
    data = Edges(of="digits")
    batch = {name: values[:2] for name, values in whole(data, "train").items()}
    plain = data.on_after_batch_transfer(dict(batch), 0)
    flipped = data.on_after_batch_transfer(batch | {"flip": torch.tensor([True, False])}, 0)
    for name in ("image", "source"):
        assert torch.equal(flipped[name][0], plain[name][0].flip(-1))
        assert torch.equal(flipped[name][1], plain[name][1])
        assert plain[name].abs().max() <= 1


def test_edges_are_of_the_data_that_are_named():
    digits, data = Digits(val_count=0), Edges(of="digits", val_count=0)
    assert (data.image_size, data.image_channels, data.source_channels) == (8, 1, 1)
    for split in ("train", "test"):
        batch = whole(data, split)
        assert torch.equal(batch["image"], whole(digits, split)["image"])
        assert torch.equal(batch["source"], edges_of(batch["image"], 1.0))
    for given, train in (({"val_count": 37}, 1400), ({}, len(Digits().source("train")))):
        made = Edges(of="digits", **given)
        assert [len(made.source(split)) for split in ("train", "val")] == [train, 1437 - train]


def test_edges_are_black_lines_where_the_gray_level_changes():
    image = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    image[..., 16:] = 200
    edges = edges_of(image, 1.0)[0, 0]
    assert set(edges.unique().tolist()) == {0, 255}
    columns = (edges == 0).nonzero()[:, 1].unique().tolist()
    assert set(columns) <= {15, 16}
    assert (edges[2:-2] == 0).any(dim=1).all(), "but near the ends, which Canny leaves out"
    assert edges_of(torch.full_like(image, 90), 1.0).min() == 255


def test_fewer_edges_are_found_in_what_is_more_blurred():
    images = torch.randint(256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    counts = [(edges_of(images.to(torch.uint8), sigma) == 0).sum() for sigma in (0.5, 2.0)]
    assert counts[0] > 2 * counts[1] > 0


def test_colors_have_their_luminance_as_the_source():
    data = Colorize(image_size=8)
    assert (data.image_size, data.image_channels, data.source_channels) == (8, 3, 1)
    batch = whole(data, "test")
    assert torch.equal(batch["image"], whole(Shapes(image_size=8), "test")["image"])
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    luminance = (batch["image"] * weights).sum(dim=1, keepdim=True)
    assert (batch["source"] - luminance).abs().max() < 1.1


def test_training_mirrors_pairs_where_it_is_asked_to():
    for flip in (True, False):
        data = Edges(of="digits", flip=flip)
        batch = next(iter(data.training_loader(batch_size=16, seed=0)))
        assert ("flip" in batch) == flip


def test_photographs_have_edges():
    data = Edges(val_count=10)
    batch = data.source("test")[torch.arange(50)]
    assert batch["source"].shape == batch["image"].shape == (50, 1, 32, 32)
    assert 0.02 < (batch["source"] == 0).double().mean() < 0.4


def test_mistakes_are_reported():
    with pytest.raises(ValueError, match=r"data\.of=digits has 1 channel"):
        Colorize(of="digits")
    with pytest.raises(UserError, match=r"data\.of=digits does not accept root"):
        Edges(of="digits", root="photos")
    with pytest.raises(UserError, match=r"data=.*digit"):
        Edges(of="digit")
