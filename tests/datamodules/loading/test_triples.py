import pytest
import torch

from datamodules.loading.sources import InMemoryImages
from datamodules.loading.triples import TripleLoader
from tests import kit
from zoo.config.compatibility import check_batch_keys
from zoo.config.errors import UserError
from zoo.engine.loader import Subset


def loader(labels, batch_size=8, **settings):
    """Image i is i in every pixel."""
    labels = torch.tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    source = Subset(InMemoryImages(images, labels), torch.arange(len(labels)))
    return TripleLoader(source, batch_size, seed=1, drop_last=True, labels=labels, **settings)


LABELS = [3, 0, 0, 1, 3, 0, 1, 3] * 8


def numbers(images):
    return images[:, 0, 0, 0].long()


def test_a_partner_is_another_image_of_the_label():
    labels = torch.tensor(LABELS)
    batches = list(loader(LABELS))
    assert len(batches) == 8
    for batch in batches:
        assert set(batch) == {"image", "label", "index", "partner", "other"}
        assert all(len(values) == 8 for values in batch.values())
        assert torch.equal(numbers(batch["image"]), batch["index"])
        partner = numbers(batch["partner"])
        assert torch.equal(labels[partner], batch["label"])
        assert (partner != batch["index"]).all()


def test_a_label_of_one_image_is_its_own_partner():
    partners = loader([0, 1, 0, 2, 0, 0, 0, 0]).partners()
    assert (partners[1], partners[3]) == (1, 3)


def test_partners_and_others_are_uniform():
    triples, count = loader([0, 1, 0, 0, 1, 0, 0, 1]), 3000
    seen = torch.zeros(8, 8)
    others = torch.zeros(8, 8)
    for triples.epoch in range(count):
        seen[torch.arange(8), triples.partners()] += 1 / count
        others[torch.arange(8), triples.others()] += 1 / count
    zeros, ones = [0, 2, 3, 5, 6], [1, 4, 7]
    expected = torch.zeros(8, 8)
    for group in (zeros, ones):
        for one in group:
            for other in group:
                expected[one, other] = (one != other) / (len(group) - 1)
    assert (seen - expected).abs().max() < 0.05
    assert (others - 1 / 8).abs().max() < 0.03


def test_processes_share_the_triples_of_one():
    def by_index(*loaders):
        batches = [batch for one in loaders for batch in one]
        keys = ("index", "partner", "other")
        columns = [torch.cat([batch[key] for batch in batches]) for key in keys]
        index, *rest = columns[0], *map(numbers, columns[1:])
        return torch.stack([index, *rest])[:, index.argsort()]

    one = by_index(loader(LABELS))
    two = by_index(*(loader(LABELS, 4, rank=rank, world_size=2) for rank in (0, 1)))
    assert torch.equal(one, two)


def test_each_epoch_has_its_own_triples_and_workers_and_resuming_change_nothing():
    def epochs(**settings):
        loaded = loader(LABELS, **settings)
        return [numbers(torch.cat([batch["partner"] for batch in loaded])) for _ in range(2)]

    first, second = epochs()
    assert not torch.equal(first, second)
    for one, other in zip(epochs(workers=2), (first, second), strict=True):
        assert torch.equal(one, other)
    whole, resumed = loader(LABELS), loader(LABELS)
    resumed.load_state_dict({"seed": 1, "epoch": 1, "position": 5})
    list(whole)
    for one, other in zip(list(whole)[5:], resumed, strict=True):
        kit.assert_same(one, other)


def test_unknown_labels_are_refused():
    with pytest.raises(ValueError, match="need all labels"):
        loader([0, -1, 0, 0, 1, 1, 1, 0])
    with pytest.raises(ValueError, match="need all labels"):
        loader(LABELS, labeled=torch.arange(8))


def test_data_give_triples_where_the_model_needs_them(tmp_path):
    model = kit.build("disentangled")
    seen = []
    step = type(model).training_step

    class Watched(type(model)):
        def training_step(self, batch, batch_idx):
            seen.append(batch)
            return step(self, batch, batch_idx)

    kit.fit(Watched(**model.hparams), tmp_path, 1)
    assert set(seen[0]) == {"image", "label", "index", "partner", "other"}
    for name in ("image", "partner", "other"):
        assert seen[0][name].dtype == torch.float32
        assert seen[0][name].min() < 0 < seen[0][name].max() <= 1
    assert set(next(iter(kit.Toy().train_dataloader()))) == {"image", "label", "index"}


def test_data_without_labels_are_refused():
    model, data = kit.build("disentangled"), kit.Toy()
    check_batch_keys(model, data)
    data.classes = 0
    with pytest.raises(UserError, match="needs the batch key partner, other"):
        check_batch_keys(model, data)
