"""Maps and their composites: each texture where its color is, no pixel in two splits."""

from functools import partial

import pytest
import torch
from skimage import data as photographs

from datamodules.textures import TEXTURES, Textures, colors, crops, label_maps, photograph
from zoo.metrics.segmenter import segmentation_scores, train_segmenter
from zoo.metrics.translation import segmenter_of


def small(**settings):
    return Textures(**{"count": 60, "val_count": 10} | settings)


def whole(data, split):
    source = data.source(split)
    return source[torch.arange(len(source))]


def test_splits_and_shapes():
    data = small()
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [50, 10, 200]
    batch = whole(data, "train")
    assert set(batch) == {"image", "source", "index"}
    assert batch["image"].shape == (50, 1, 32, 32)
    assert batch["source"].shape == (50, 3, 32, 32)
    assert {values.dtype for name, values in batch.items() if name != "index"} == {torch.uint8}
    scaled = data.on_after_batch_transfer(dict(batch), 0)
    assert scaled["source"].unique().tolist() == [-1, 1]
    assert -1 <= scaled["image"].min() < scaled["image"].max() <= 1


def test_the_parts_of_a_photograph_share_no_pixel():
    for name in TEXTURES:
        pixels = torch.from_numpy(getattr(photographs, name)())
        parts = [photograph(split, name, shrink=1) for split in ("train", "test")]
        assert torch.equal(torch.cat(parts, dim=1), pixels)
        assert parts[0].shape == (512, 307)


def test_shrinking_averages():
    part, half = (photograph("test", "brick", shrink).double() for shrink in (1, 2))
    assert half.shape == (256, 102)
    assert half.mean().item() == pytest.approx(part.mean().item(), abs=0.5)


@pytest.mark.parametrize("split", ["train", "test"])
def test_at_each_color_is_a_piece_of_its_texture(split):
    data = small()
    batch = whole(data, split)
    labels = data.classes_of(batch["source"])
    for label, name in enumerate(TEXTURES):
        pixels = photograph(split, name, data.hparams.shrink)
        places = pixels.unfold(0, 32, 1).unfold(1, 32, 1).flatten(0, 1)
        for image, at in zip(batch["image"][:5, 0], labels[:5] == label, strict=True):
            assert not at.any() or (places[:, at] == image[at]).all(dim=1).any()


def test_colors_determine_the_labels():
    maps = torch.tensor([[[0, 1], [2, 1]]])
    assert colors(maps)[0, :, 0, 0].tolist() == [255, 0, 0]
    assert torch.equal(Textures.classes_of(colors(maps)), maps)
    assert torch.equal(Textures.classes_of(colors(maps) / 127.5 - 1), maps)


def test_each_texture_covers_a_third_of_all_maps():
    maps = label_maps(2000, 32, torch.Generator().manual_seed(0))
    shares = maps.flatten().bincount() / maps.numel()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    kinds = torch.tensor([len(one.unique()) for one in maps])
    assert (kinds > 1).double().mean() > 0.9


def test_crops_are_cut_everywhere():
    pixels = torch.arange(20).view(4, 5)
    cut = crops(pixels, 500, 3, torch.Generator().manual_seed(0))
    assert sorted(cut[:, 0, 0].unique().tolist()) == [0, 1, 2, 5, 6, 7]
    assert torch.equal(cut[0], cut[0, 0, 0] + torch.tensor([[0, 1, 2], [5, 6, 7], [10, 11, 12]]))


def test_images_depend_only_on_the_split_seed():
    torch.manual_seed(7)
    first, again, other = (whole(small(split_seed=seed), "test") for seed in (0, 0, 1))
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])


def test_images_larger_than_the_photographs_are_refused():
    with pytest.raises(ValueError, match=r"larger than the photographs at data\.shrink=4"):
        Textures(image_size=64, shrink=4)


def test_the_segmenter_knows_real_test_images(monkeypatch):
    """Seen training images alone; a third of the pixels is chance."""
    quick = partial(train_segmenter, batches=250)
    monkeypatch.setattr("zoo.metrics.translation.train_segmenter", quick)
    data = Textures(count=600, val_count=0)
    batch = whole(data, "test")
    labels = data.classes_of(batch["source"])
    asked = []
    source = data.source
    data.source = lambda split: asked.append(split) or source(split)
    scores = segmentation_scores(segmenter_of(data)(batch["image"]).argmax(dim=1), labels, 3)
    assert set(asked) == {"train"}
    assert scores["iou"] > 0.6
    assert scores["accuracy_pixel"] > 0.7
