"""Which captions and which wrong samples a batch holds."""

import pytest
import torch

from datamodules.captions import WRONG, CaptionedImages, CaptionLoader
from datamodules.loading.sources import InMemoryImages
from tests import kit
from zoo.engine.loader import Subset

LABELS = [3, 0, 0, 1, 3, 0, 1, 3] * 8


def loader(labels=LABELS, batch_size=8, wrong=WRONG, **settings):
    """Image i is i in every pixel; its 1 + i % 3 captions are [1 + i, 1], [1 + i, 2], ..."""
    labels = torch.tensor(labels)
    number = torch.arange(len(labels))
    images = number.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    captions = torch.stack(
        [1 + number[:, None].expand(-1, 3), torch.arange(1, 4).expand(len(labels), 3)], 2
    )
    source = CaptionedImages(InMemoryImages(images, labels), captions, 1 + number % 3)
    part = Subset(source, number)
    return CaptionLoader(part, batch_size, seed=1, drop_last=True, wrong=wrong, **settings)


def numbers(images):
    return images[:, 0, 0, 0].long()


def test_a_text_is_one_of_the_captions_of_its_image():
    for wrong in (WRONG, WRONG[:1], WRONG[1:], ()):
        for batch in loader(wrong=wrong):
            index = numbers(batch["image"])
            assert torch.equal(index, batch["index"])
            assert torch.equal(batch["text"][:, 0], 1 + index)
            assert (batch["text"][:, 1] <= 1 + index % 3).all()
            assert batch["text"].dtype == torch.int64
            assert set(batch) == {"image", "text", "label", "index", *wrong}


def test_elsewhere_it_is_the_first():
    source = loader().source
    assert source[torch.arange(9)]["text"][:, 1].tolist() == [1] * 9


def test_captions_and_wrong_samples_are_uniform():
    samples, count = loader([0, 1, 0, 0, 2, 0, 0, 1]), 4000
    places, wrongs = torch.zeros(8, 3), torch.zeros(8, 8)
    for samples.epoch in range(count):
        places[torch.arange(8), samples.caption_numbers()] += 1 / count
        wrongs[torch.arange(8), samples.mismatched_positions()] += 1 / count
    expected = torch.zeros(8, 3)
    for sample in range(8):
        expected[sample, : 1 + sample % 3] = 1 / (1 + sample % 3)
    assert (places - expected).abs().max() < 0.03
    other = (samples.labels[:, None] != samples.labels).float()
    assert (wrongs - other / other.sum(dim=1, keepdim=True)).abs().max() < 0.03


def test_a_wrong_sample_is_one_of_another_class_image_and_text():
    labels = torch.tensor(LABELS)
    for batch, *parts in zip(loader(), *(loader(wrong=[name]) for name in WRONG), strict=True):
        wrong = numbers(batch["wrong_image"])
        assert (labels[wrong] != batch["label"]).all()
        assert torch.equal(batch["wrong_text"][:, 0], 1 + wrong)
        for part in parts:
            kit.assert_same(part, {name: batch[name] for name in part})


def test_an_unlabeled_sample_is_a_class_of_its_own():
    samples = loader([-1] * 8)
    for samples.epoch in range(50):
        assert (samples.mismatched_positions() != torch.arange(8)).all()
    mixed = loader([-1, 0, 0, -1, 1, 0, 0, 0])
    assert mixed.labels.tolist() == [2, 0, 0, 5, 1, 0, 0, 0]


def test_one_class_has_nothing_that_is_wrong():
    with pytest.raises(ValueError, match="All captions are of one class"):
        loader([4] * 8)
    assert len(loader([4] * 8, wrong=())) == 1


def test_processes_share_the_draws_of_one():
    def by_index(*loaders):
        batches = [batch for one in loaders for batch in one]
        keys = ("index", "text", "wrong_image", "wrong_text")
        columns = {key: torch.cat([batch[key] for batch in batches]) for key in keys}
        return {key: values[columns["index"].argsort()] for key, values in columns.items()}

    one = by_index(loader())
    two = by_index(*(loader(batch_size=4, rank=rank, world_size=2) for rank in (0, 1)))
    kit.assert_same(one, two)


def test_each_epoch_draws_anew_and_workers_and_resuming_change_nothing():
    def epochs(**settings):
        loaded = loader(**settings)
        return [list(loaded) for _ in range(2)]

    first, second = epochs()
    for key in ("text", "wrong_image"):
        by_index = [
            torch.cat([b[key] for b in one])[torch.cat([b["index"] for b in one]).argsort()]
            for one in (first, second)
        ]
        assert not torch.equal(*by_index), key
    for one, other in zip(epochs(workers=2), (first, second), strict=True):
        for batch, same in zip(one, other, strict=True):
            kit.assert_same(batch, same)
    resumed = loader()
    resumed.load_state_dict({"seed": 1, "epoch": 1, "position": 5})
    for one, other in zip(second[5:], resumed, strict=True):
        kit.assert_same(one, other)
