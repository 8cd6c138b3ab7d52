"""Shapes that move as one, hide each other, and have exact labels."""

import pytest
import torch

from datamodules.moving_shapes import SHAPES, MovingShapes, shape_pixels


def clips(split="test", first=40, **settings):
    source = MovingShapes(**{"count": 50} | settings).source(split)
    return source[torch.arange(first)]


def test_a_batch_is_what_models_of_segmentations_need():
    data = MovingShapes(batch_size=8, image_size=20, frames=5, count=32)
    assert (data.name, data.image_size, data.image_channels) == ("moving_shapes", 20, 3)
    assert data.classes == 1 + len(SHAPES) == 4
    assert data.extractor is None
    raw = next(iter(data.train_dataloader()))
    assert raw["video"].dtype == raw["segmentation"].dtype == torch.uint8
    batch = data.on_after_batch_transfer(raw, 0)
    assert set(batch) == set(data.provides)
    assert batch["video"].shape == (8, 5, 3, 20, 20)
    torch.testing.assert_close(batch["video"], raw["video"] / 127.5 - 1)
    assert batch["segmentation"].shape == (8, 5, 20, 20)
    assert batch["segmentation"].dtype == torch.int64
    assert set(batch["segmentation"].unique().tolist()) == {0, 1, 2, 3}
    assert len(data.source("test")) == 300


def test_a_clip_depends_only_on_its_place_and_the_split_seed():
    whole = clips("train", 50)
    torch.rand(3)
    fewer = clips("train", 20, count=20)
    assert torch.equal(fewer["video"], whole["video"][:20])
    assert torch.equal(fewer["segmentation"], whole["segmentation"][:20])
    assert len(whole["video"].flatten(1).unique(dim=0)) == 50
    assert not torch.equal(clips("train", 50, split_seed=1)["video"], whole["video"])
    assert not torch.equal(clips()["video"], whole["video"][:40])


def test_without_noise_labels_and_colors_move_together():
    """One shape: labeled pixels keep their values, and never labeled ones do not change."""
    batch = clips(objects=1, noise=0.0)
    for video, labels in zip(batch["video"], batch["segmentation"], strict=True):
        assert len(labels.unique()) == 2, "the background and a class"
        inside, corners, patches = labels > 0, [], []
        for frame, covered in zip(video, inside, strict=True):
            rows, columns = covered.nonzero().T
            corners.append(torch.stack([rows.min(), columns.min()]))
            patches.append(frame[:, rows, columns])
            assert torch.equal(patches[0], patches[-1])
        assert len(patches[0].T.unique(dim=0)) == 2, "two colors"
        steps = torch.stack(corners).diff(dim=0).abs()
        assert 1 <= steps.max() <= 2
        still = ~inside.any(dim=0)
        assert torch.equal(video[:, :, still], video[:1, :, still].expand(7, -1, -1))


def test_patterns_are_rows_columns_and_both():
    def pattern(which, side=7):
        covered, first = shape_pixels(which, side)
        figure = torch.full((side, side), -1)
        figure[tuple(covered)] = first
        return figure

    disc, square, triangle = map(pattern, range(3))
    assert torch.equal(square, (torch.arange(7) % 2).expand(7, 7))
    for row, values in enumerate(disc):
        assert set(values.tolist()) <= {-1, row % 2}
    assert (disc >= 0).sum(dim=1).tolist() == [3, 5, 7, 7, 7, 5, 3]
    assert (triangle >= 0).sum(dim=1).tolist() == [1, 3, 3, 5, 5, 7, 7]
    assert triangle[6].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert triangle[3].tolist() == [-1, 0, 1, 0, 1, 0, -1]


def test_later_shapes_hide_earlier_ones():
    """Of three shapes, some are hidden; a clip never has more pixels of them than they have."""
    one, three = (clips(objects=n)["segmentation"] > 0 for n in (1, 3))
    assert (one.flatten(2).sum(dim=2).diff(dim=1) == 0).all()
    areas = three.flatten(2).sum(dim=2)
    assert (areas.diff(dim=1) != 0).any(dim=1).float().mean() > 0.5


def test_each_frame_has_separate_noise():
    quiet, noisy = (clips(noise=level)["video"] / 255 for level in (0.0, 0.1))
    inner = (quiet > 0.35) & (quiet < 0.65)
    added = (noisy - quiet)[inner]
    assert added.std().item() == pytest.approx(0.1, abs=0.005)
    assert added.mean().abs() < 0.005
    assert (noisy[:, 1:] - noisy[:, :-1]).abs().gt(0).float().mean() > 0.9


WRONG = {"speed": 0}, {"image_size": 11}, {"frames": 0}, {"objects": -1}, {"noise": -0.1}
WRONG += ({"count": 0},)


@pytest.mark.parametrize("setting", WRONG)
def test_settings_that_leave_nothing_to_see_are_refused(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=rf"data.{name}={value} must be at least"):
        MovingShapes(**setting)
