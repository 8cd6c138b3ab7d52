from itertools import pairwise

import pytest
import torch

from datamodules.digits import Digits
from datamodules.moving_digits import DARKEST, MovingDigitClips, MovingDigits, bouncing_path
from datamodules.moving_mnist import MovingMNIST
from zoo.engine.seeds import keyed_generator


def clips(data, split="test", count=40):
    return data.source(split)[torch.arange(count)]["video"]


def shown(video):
    """Levels in [0, 1] of uint8 clips."""
    return (video.float() - 13) / 229


def test_a_batch_is_what_models_of_videos_need():
    data = MovingDigits(batch_size=8, image_size=20, frames=5, count=64)
    assert (data.name, data.image_size, data.image_channels) == ("moving_digits", 20, 1)
    assert data.extractor is None
    raw = next(iter(data.train_dataloader()))
    assert raw["video"].dtype == torch.uint8
    batch = data.on_after_batch_transfer(raw, 0)
    assert set(batch) == set(data.provides)
    assert batch["video"].shape == (8, 5, 1, 20, 20)
    torch.testing.assert_close(batch["video"], raw["video"] / 127.5 - 1)
    assert -0.9 < batch["video"].min() < batch["video"].max() < 0.9
    assert len(data.source("test")) == 300


def test_a_clip_depends_only_on_its_place_and_the_split_seed():
    data = MovingDigits(count=50)
    whole = clips(data, "train", 50)
    some = torch.tensor([41, 3, 17])
    torch.rand(3)
    assert torch.equal(data.source("train")[some]["video"], whole[some])
    gathered = [batch["video"] for batch in MovingDigits(count=50, workers=2).loader("train", 16)]
    assert torch.equal(torch.cat(gathered), whole)
    assert len(whole.flatten(1).unique(dim=0)) == 50
    assert not torch.equal(clips(MovingDigits(count=50, split_seed=1), "train", 50), whole)
    assert not torch.equal(clips(data), whole[:40])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_digit_of_its_own_split_moves_over_black(split):
    video = shown(clips(MovingDigits(objects=1, textured=False), split))
    windows = torch.nn.functional.unfold(video[:, 0], 8).transpose(1, 2)  # (40, places, 64)
    brightest = video.amax(dim=(1, 2, 3, 4))
    assert DARKEST * 0.7 < brightest.min() < brightest.max() <= 1.01
    ink = windows / brightest[:, None, None]

    def nearest(split):
        digits = Digits().load(split)[0].flatten(1).float()
        return torch.cdist(ink, digits / digits.amax(dim=1, keepdim=True)).amin(dim=(1, 2))

    other = "test" if split == "train" else "train"
    assert nearest(split).max() < 0.1
    assert nearest(other).min() > 0.1


def test_later_digits_hide_earlier_ones():
    """A digit all of ink over another: where both are, the shade is the later one's."""

    class Settings:
        image_size, frames, objects, speed, textured = 11, 4, 2, 1, False

    clip = shown(MovingDigitClips(torch.ones(1, 8, 8), 1, Settings, ("test",)).clip(0))
    levels = clip.unique()
    assert len(levels) == 3
    areas = [[(frame == level).sum().item() for frame in clip] for level in levels[1:]]
    areas.remove([64] * 4)  # the later one is never hidden
    assert 0 < min(areas[0]) < 64


def test_ways_bounce_off_the_edges():
    seen = set()
    for number in range(200):
        places = bouncing_path(5, 3, 12, keyed_generator(number))
        steps = [b - a for a, b in pairwise(places)]
        assert min(places) >= 0
        assert max(places) <= 5
        fastest = max(map(abs, steps))
        seen.add(fastest)
        for place, step, following in zip(places[1:], steps, steps[1:], strict=False):
            free = 0 <= place + step <= 5 and abs(step) == fastest
            assert abs(following) <= fastest
            assert following == step or not free
    assert seen == {1, 2, 3}
    assert {bouncing_path(5, 1, 1, keyed_generator(number))[0] for number in range(100)} == set(
        range(6)
    )


def test_textures_stay_where_they_are():
    video = shown(clips(MovingDigits(objects=0)))
    assert torch.equal(video[:, :1].expand_as(video), video)
    assert video.min() >= 0
    assert video.max() <= 0.501
    assert video[:, 0].flatten(1).std(dim=1).min() > 0.03


def test_settings_that_leave_nothing_to_see_are_refused():
    with pytest.raises(ValueError, match=r"data.image_size=8 must be larger than the digits"):
        MovingDigits(image_size=8).source("train")
    with pytest.raises(ValueError, match=r"data.speed=0 must be at least 1"):
        MovingDigits(speed=0)
    with pytest.raises(ValueError, match=r"data.frames=0 must be at least 1"):
        MovingDigits(frames=0)


def test_mnists_digits_move_too(monkeypatch):
    def fake(self, split):
        level = 255 if split == "train" else 128
        return torch.full((3, 1, 28, 28), level, dtype=torch.uint8), torch.zeros(3)

    monkeypatch.setattr("datamodules.mnist.MNIST.load", fake)
    data = MovingMNIST(textured=False, objects=1)
    video = shown(clips(data, count=4))
    assert video.shape == (4, 6, 1, 64, 64)
    assert (video > 0).flatten(2).sum(dim=2).eq(28 * 28).all()
    assert video.max() < 0.51
    assert shown(clips(data, "train", 4)).max() > 0.7
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match=r"data.download=true"):
        MovingMNIST(root="nowhere").source("train")


def test_validation_clips_are_others_than_those_to_train_on():
    """They are of the training digits, and training is the same however many there are."""
    data, without = MovingDigits(count=50), MovingDigits(count=50, val_count=0)
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [50, 300, 300]
    assert len(without.source("val")) == 0
    assert torch.equal(clips(data, "train"), clips(without, "train"))
    together = torch.cat([clips(data, split) for split in ("train", "val", "test")])
    assert len(together.flatten(1).unique(dim=0)) == 120
    assert "test" not in data.source("val").source.stream
    assert torch.equal(data.source("val").source.digits, data.source("train").source.digits)
