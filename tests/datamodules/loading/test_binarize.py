import pytest
import torch

from datamodules.digits import Digits
from datamodules.loading.binarize import binarize
from zoo.engine.seeds import keyed_generator


def test_a_pixel_is_white_with_the_probability_of_its_gray_level():
    grey = torch.arange(256, dtype=torch.uint8).expand(4000, 1, 1, 256)
    white = binarize(grey, keyed_generator(0)).double().mean(dim=0).flatten() / 255
    levels = torch.arange(256) / 255
    assert (white[0], white[255]) == (0, 1)
    error = (white - levels) / (levels * (1 - levels) / 4000).sqrt().clamp(min=1e-9)
    assert error.abs().max() < 5
    assert error[1:-1].std().item() == pytest.approx(1, abs=0.2), "pixels are independent"


def epoch(data, **state):
    loader = data.train_dataloader()
    loader.load_state_dict({"seed": 0, "epoch": 0, "position": 0} | state)
    batches = list(loader)
    return {
        index: image
        for batch in batches
        for index, image in zip(batch["index"].tolist(), batch["image"], strict=True)
    }


def test_training_draws_anew_in_each_epoch_and_whatever_measures_sees_one_draw():
    data = Digits(binarize=True)
    first, again, second = epoch(data), epoch(data), epoch(data, epoch=1)
    assert all(torch.equal(image, again[index]) for index, image in first.items())
    both = first.keys() & second.keys()
    changed = [(first[index] != second[index]).float().mean() for index in both]
    assert 0.1 < sum(changed) / len(changed) < 0.3
    for split in ("train", "val", "test"):
        fixed = torch.cat([batch["image"] for batch in data.loader(split)])
        other = torch.cat([batch["image"] for batch in Digits(binarize=True).loader(split)])
        assert torch.equal(fixed, other)
        assert set(fixed.unique().tolist()) == {0, 255}
        grey = torch.cat([batch["image"] for batch in Digits().loader(split)])
        assert (fixed.double() - grey).mean().abs() < 3


def test_a_resumed_epoch_is_the_same():
    data = Digits(binarize=True)
    whole, rest = epoch(data), epoch(data, position=10)
    assert len(rest) < len(whole)
    assert all(torch.equal(image, whole[index]) for index, image in rest.items())


def test_processes_share_one_draw():
    data = Digits(binarize=True, batch_size=64)
    whole = epoch(data)
    data.batch_size = 32
    for rank in (0, 1):
        data._rank_and_world_size = lambda rank=rank: {"rank": rank, "world_size": 2}
        share = epoch(data)
        assert share
        assert all(torch.equal(image, whole[index]) for index, image in share.items())


def test_it_goes_with_few_labels():
    data = Digits(binarize=True, labels=20)
    batch = next(iter(data.train_dataloader()))
    assert set(batch["labeled_image"].unique().tolist()) == {0, 255}
    assert data.name == "digits, binarized"
