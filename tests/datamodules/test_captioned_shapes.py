import itertools
from collections import Counter

import pytest
import torch

from datamodules.captioned_shapes import (
    COLORS,
    HELD_OUT_SETS,
    TEMPLATES,
    VALUES,
    CaptionedShapes,
    pairs_of,
)
from datamodules.shapes import BACKGROUND, SHAPES


@pytest.fixture(scope="module")
def data():
    return CaptionedShapes(count=700, val_count=100)


def test_a_caption_says_what_the_image_has(data):
    for split in ("train", "val", "test"):
        source, known = data.source(split), data.attributes(split)
        batch = source[torch.arange(len(source))]
        captions = data.captions(batch["text"])
        for name, values in VALUES.items():
            for caption, value in zip(captions, known[name].tolist(), strict=True):
                messages = [word for word in values if word in caption.replace(",", "").split()]
                assert messages == [values[value]], caption
        assert torch.equal(batch["label"], data.identity(known))


def test_the_vocabulary_is_that_of_the_templates(data):
    words = ["a", "on", "the", "there", "is", "and", "it", "this", "has", "that"]
    assert data.vocabulary() == {*words, *itertools.chain(*VALUES.values())}


def test_each_image_has_a_caption_of_each_template(data):
    source = data.source("test").source
    assert source.counts.tolist() == [4] * 1980
    captions = [data.captions(source.captions[:, k]) for k in range(4)]
    words = {name: values[data.attributes("test")[name][0]] for name, values in VALUES.items()}
    assert [column[0] for column in captions] == [text.format(**words) for text in TEMPLATES]
    firsts = [captions[0][place].split()[0] for place in range(4)]
    assert firsts == ["a", "on", "this", "the"], "tests are by all templates"


def test_labels_match_the_captions():
    attributes = itertools.product(*(range(len(values)) for values in VALUES.values()))
    columns = dict(zip(VALUES, torch.tensor(list(attributes)).T, strict=True))
    assert CaptionedShapes.identity(columns).tolist() == list(range(72))
    assert CaptionedShapes.classes == 72


def pairs(data, split):
    known = data.attributes(split)
    columns = known["shape"].tolist(), known["color"].tolist()
    return [(SHAPES[s], COLORS[c]) for s, c in zip(*columns, strict=True)]


@pytest.mark.parametrize("held_out", range(HELD_OUT_SETS))
def test_a_third_of_the_pairs_is_held_out_of_training(held_out):
    data = CaptionedShapes(count=700, val_count=100, held_out=held_out)
    assert data.hparams.held_out == held_out
    missing, everything = pairs_of(held_out, seen=False), set(itertools.product(SHAPES, COLORS))
    assert set(pairs(data, "train")) == set(pairs(data, "val")) == everything - set(missing)
    assert len(everything) == 18
    assert Counter(pairs(data, "test")) == dict.fromkeys(everything, 110)
    seen = data.seen(data.attributes("test")).tolist()
    assert seen == [pair not in missing for pair in pairs(data, "test")]
    assert sum(seen) == 1320
    assert Counter(shape for shape, _ in missing) == dict.fromkeys(SHAPES, 2)
    assert Counter(color for _, color in missing) == dict.fromkeys(COLORS, 1)


def test_each_pair_is_held_out_once():
    sets = [pairs_of(held_out, seen=False) for held_out in range(HELD_OUT_SETS)]
    assert sorted(itertools.chain(*sets)) == sorted(itertools.product(SHAPES, COLORS))
    for wrong in (-1, HELD_OUT_SETS):
        with pytest.raises(ValueError, match=f"data.held_out={wrong} must be at"):
            CaptionedShapes(held_out=wrong)


def test_small_is_small(data):
    known, source = data.attributes("test"), data.source("test")
    images = source[torch.arange(1980)]["image"].int()
    colored = (images - BACKGROUND).abs().amax(dim=1)  # how far the strongest channel is
    area = (colored / colored.flatten(1).amax(dim=1)[:, None, None]).sum(dim=(1, 2))
    small = known["size"] == 0
    assert area[small].max() < area[~small].min()
    assert small.double().mean() == pytest.approx(0.5, abs=0.05)


def test_attributes_are_read_off_real_test_images_of_all_pairs(data):
    known, source = data.attributes("test"), data.source("test")
    read = data.read_attributes(source[torch.arange(1980)]["image"])
    seen = data.seen(known)
    for part in (seen, ~seen):
        shares = {n: (read[n] == known[n])[part].double().mean().item() for n in VALUES}
        assert shares["shape"] >= 0.98
        assert shares["color"] == shares["position"] == shares["size"] == 1


def test_images_depend_only_on_the_split_seed(data):
    other = CaptionedShapes(count=700, val_count=100, split_seed=1)
    again = CaptionedShapes(count=700, val_count=100)
    images = [one.source("train")[torch.arange(20)]["image"] for one in (data, again, other)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert not torch.equal(images[0], data.source("test")[torch.arange(20)]["image"])
