"""A budget of labels: how many are seen, of which classes, and that nothing else changes."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from datamodules.digits import Digits
from datamodules.mnist import MNIST
from tests import kit
from zoo.config import catalog
from zoo.engine.loader import KeyedLoader


def seen(data, epochs=3):
    """{place of a labeled image: its label} over some epochs of training."""
    loader = data.train_dataloader()
    batches = [batch for _ in range(epochs) for batch in loader]
    indices = torch.cat([batch["labeled_index"] for batch in batches]).tolist()
    labels = torch.cat([batch["labeled_label"] for batch in batches]).tolist()
    assert len(indices) == sum(len(batch["image"]) for batch in batches)
    return dict(zip(indices, labels, strict=True))


@pytest.mark.parametrize("budget", [10, 20, 50])
def test_the_distinct_labels_seen_are_the_budget_and_balanced(budget):
    data = Digits(labels=budget)
    labels = seen(data)
    assert len(labels) == budget
    assert set(Counter(labels.values()).values()) == {budget // 10}
    assert sorted(labels) == data.labeled_positions().tolist()
    truth = data.source("train")[torch.tensor(list(labels))]["label"]
    assert truth.tolist() == list(labels.values())


def test_label_seed_alone_decides_which(monkeypatch):
    first = Digits(labels=20).labeled_positions().tolist()
    monkeypatch.setenv("PL_GLOBAL_SEED", "9")
    torch.manual_seed(9)
    assert Digits(labels=20).labeled_positions().tolist() == first
    others = [
        Digits(labels=20, label_seed=seed).labeled_positions().tolist() for seed in range(1, 6)
    ]
    assert len({tuple(other) for other in [first, *others]}) == 6
    assert set(first) < set(Digits(labels=50).labeled_positions().tolist()), (
        "a larger budget holds it"
    )


def test_all_other_labels_are_hidden_from_training_and_from_nothing_else():
    data, every = Digits(labels=20), Digits()
    shown = 0
    for batch in data.train_dataloader():
        kept = torch.isin(batch["index"], data.labeled_positions())
        assert (batch["label"][~kept] == -1).all()
        assert (batch["label"][kept] == every.source("train")[batch["index"][kept]]["label"]).all()
        shown += kept.sum()
    assert 15 <= shown <= 20
    for split in ("train", "val", "test"):  # what the probe and the metrics look at
        for one, other in zip(data.loader(split), every.loader(split), strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one)


def test_labeled_images_are_those_of_their_places_and_are_brought_to_the_range():
    data = Digits(labels=20)
    batch = next(iter(data.train_dataloader()))
    raw = data.source("train")[batch["labeled_index"]]["image"]
    assert torch.equal(batch["labeled_image"], raw)
    images = data.on_after_batch_transfer(batch, 0)["labeled_image"]
    assert torch.equal(images, raw / 127.5 - 1)


def test_the_order_of_the_images_is_as_with_all_labels():
    few, every = Digits(labels=20), Digits()
    for one, other in zip(few.train_dataloader(), every.train_dataloader(), strict=True):
        assert torch.equal(one["index"], other["index"])
        assert torch.equal(one["image"], other["image"])
        assert set(other) == {"image", "label", "index"}
    assert every.provides == ("image", "label", "index")
    assert {"labeled_image", "labeled_label"} < set(few.provides)


def test_a_budget_that_is_no_multiple_is_refused():
    with pytest.raises(ValueError, match=r"data.labels=15 must be a multiple.*10"):
        Digits(labels=15)


def test_a_budget_beyond_the_rarest_class_is_refused():
    with pytest.raises(ValueError, match=r"data.labels=2000.*can be at most 1\d\d0"):
        Digits(labels=2000).train_dataloader()


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist", "cifar10", "svhn"])
def test_these_have_it_and_it_is_off(name):
    parameters = catalog.describe("data", name).defaults
    assert (parameters["labels"], parameters["label_seed"]) == (0, 0)
    assert MNIST(labels=100).hparams.labels == 100


def batches(rank=0, world_size=1, batch_size=8, **settings):
    data = kit.Toy(batch_size, labels=20, flip=True, **settings)
    place = {"global_rank": rank, "world_size": world_size, "current_epoch": 1}
    data.trainer = SimpleNamespace(lightning_module=None, **place)
    return list(data.train_dataloader())


KEYS = ("labeled_index", "labeled_flip", "labeled_image", "index", "flip")


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_see_together_what_one_would(world_size):
    whole = batches()
    ranks = [batches(rank, world_size, 8 // world_size) for rank in range(world_size)]
    for batch, *shares in zip(whole, *ranks, strict=True):
        for key in KEYS:
            for rank, share in enumerate(shares):
                assert torch.equal(batch[key][rank::world_size], share[key])


def test_workers_change_nothing():
    for one, other in zip(batches(), batches(workers=2), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def labeled(loader):
    return [batch["labeled_index"].tolist() for batch in loader]


def test_it_continues_where_the_state_was_taken():
    def loader(seed):
        source, kept = kit.Toy(count=50).source("train"), torch.tensor([3, 8, 21])
        return KeyedLoader(source, 8, seed=seed, drop_last=True, labeled=kept)

    straight = loader(5)
    epochs = [labeled(straight), labeled(straight)]
    assert epochs[0] != epochs[1]
    assert labeled(loader(6)) != epochs[0]
    broken, begun = loader(5), []
    for batch in broken:
        begun.append(batch["labeled_index"].tolist())
        if len(begun) == 2:
            break
    resumed = loader(1234)
    resumed.load_state_dict(broken.state_dict())
    assert labeled(resumed) == epochs[0][2:]
    assert labeled(resumed) == epochs[1]
    assert begun == epochs[0][:2]


def test_every_label_comes_about_equally_often():
    """One permutation after another: the counts differ by one at most, however they fall."""
    loader = KeyedLoader(kit.Toy(count=50).source("train"), 8, seed=5, labeled=torch.arange(7))
    counts = Counter(index for batch in labeled(loader) for index in batch)
    assert set(counts.values()) == {7, 8}


def test_labeled_images_are_flipped_as_labels_are():
    flips = torch.tensor([True, False])
    image = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    image[..., 0, 1] = 255
    batch = {"image": image, "labeled_image": image, "labeled_flip": flips}
    result = kit.Toy().on_after_batch_transfer(batch, 0)
    assert not {"flip", "labeled_flip"} & set(result)
    assert result["labeled_image"][:, 0, 0].tolist() == [[1, -1], [-1, 1]]
    assert result["image"][:, 0, 0].tolist() == [[-1, 1], [-1, 1]]
