"""One pass over images: any number of processes, broken off and gone on with, never out of date."""

import pytest
import torch

from datamodules.sources import Stored
from tests import kit
from zoo.images import to_uint8
from zoo.metrics import features
from zoo.metrics.extractors.base import Extractor, load_extractor
from zoo.metrics.features import of_images, of_samples
from zoo.metrics.measure import METRICS, measure
from zoo.sample import draw


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


class Means(Extractor):
    """The mean of each row; counts the images it was given."""

    name = "means"

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def forward(self, images):
        self.seen.append(len(images))
        return images.float().mean(dim=(1, 3)) * self.factor


def new_images(count=250, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def stored(images):
    return Stored(images, torch.full((len(images),), -1))


def test_the_features_are_those_of_all_images_in_order():
    images, told = new_images(), []
    extractor = load_extractor(Means())
    found = of_images(extractor, stored(images), advance=told.append)
    assert torch.equal(found.values, images.float().mean(dim=(1, 3)))
    assert len(found) == sum(told) == 250
    assert extractor.seen == [100, 100, 50]


def test_of_samples_measures_what_draw_draws():
    model, extractor = kit.build("wgan"), load_extractor("digits")
    found = of_samples(extractor, model, 150, 3, to_uint8)
    with model.evaluating():
        drawn = torch.cat(list(draw(model, 150, 3)))
    assert torch.allclose(found.values, extractor(to_uint8(drawn)), rtol=0, atol=1e-5)


def test_images_seen_once_are_not_seen_again():
    images = new_images()
    first = of_images(load_extractor(Means()), stored(images))
    extractor = load_extractor(Means())
    again = of_images(extractor, stored(images))
    assert extractor.seen == []
    assert torch.equal(first.values, again.values)
    assert first.key == again.key


def test_a_changed_pixel_is_seen():
    images = new_images()
    of_images(load_extractor(Means()), stored(images))
    images[120, 0, 3, 3] ^= 1
    extractor = load_extractor(Means())
    found = of_images(extractor, stored(images))
    assert extractor.seen == [100], "its chunk is computed anew, and no other"
    assert torch.equal(found.values, images.float().mean(dim=(1, 3)))


@pytest.mark.parametrize("change", ["weights", "name", "setting", "class"])
def test_another_extractor_computes_anew(change):
    images, extractor = new_images(), Means()
    first = of_images(load_extractor(Means()), stored(images))
    if change == "weights":
        extractor.factor.data += 1e-6
    elif change == "name":
        extractor.name = "other"
    elif change == "setting":
        extractor.resize = "torch"
    else:
        extractor = type("Other", (Means,), {})()
    found = of_images(load_extractor(extractor), stored(images))
    assert sum(extractor.seen) == 250
    assert found.key != first.key


def test_a_pass_that_was_broken_off_goes_on_where_it_was():
    class Broken(Means):
        def forward(self, images):
            if len(self.seen) == 2 and self.breaks:
                raise KeyboardInterrupt
            return super().forward(images)

    images, extractor = new_images(), Broken()
    Broken.breaks = True
    with pytest.raises(KeyboardInterrupt):
        of_images(load_extractor(extractor), stored(images))
    assert extractor.seen == [100, 100]
    Broken.breaks = False
    again = Broken()
    of_images(load_extractor(again), stored(images))
    assert again.seen == [50]


def test_kept_samples_are_not_drawn_again_unless_the_model_changes(monkeypatch):
    drawn, draw_chunk = [], features.draw_chunk

    def counted(model, seed, chunk, count, given=None):
        drawn.append(chunk)
        return draw_chunk(model, seed, chunk, count, given)

    monkeypatch.setattr(features, "draw_chunk", counted)
    model, extractor = kit.build("wgan"), load_extractor("digits")

    def take(seed=0, count=150):
        drawn.clear()
        of_samples(extractor, model, count, seed, to_uint8, keep=True)
        return list(drawn)

    assert take() == [0, 1]
    assert take() == []
    assert take(count=160) == [1]
    assert take(seed=1) == [0, 1]
    next(model.generator.parameters()).data.add_(1e-6)
    assert take() == [0, 1]


def test_samples_are_not_kept_during_training(tmp_path):
    of_samples(load_extractor("digits"), kit.build("wgan"), 10, 0, to_uint8)
    assert not (tmp_path / "cache").exists()


def test_of_too_many_images_the_same_ones_are_taken(monkeypatch):
    monkeypatch.setattr(features, "MOST_REAL", 120)
    images = new_images()
    found = of_images(load_extractor(Means()), stored(images)).values
    again = of_images(load_extractor(Means()), stored(images)).values
    rows = {tuple(row) for row in images.float().mean(dim=(1, 3)).tolist()}
    assert len(found) == len({tuple(row) for row in found.tolist()} & rows) == 120
    assert torch.equal(found, again)


def test_the_reference_keeps_its_root_on_disk():
    extractor, images = load_extractor(Means()), new_images()
    first = of_images(extractor, stored(images)).reference_moments
    again = of_images(extractor, stored(images))
    again.values = None  # the moments are read, not computed
    with pytest.raises(AttributeError):
        again.moments  # noqa: B018
    again.values = torch.zeros(0, 8)
    assert torch.equal(again.reference_moments.root, first.root)
    assert torch.equal(again.reference_moments.state, first.state)


def test_features_that_are_not_finite_are_refused():
    extractor = Means()
    extractor.factor.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="the features of means hold NaN"):
        of_images(load_extractor(extractor), stored(new_images()))


def test_every_metric_is_the_same_for_any_number_of_processes(tmp_path, monkeypatch):
    """Shards are ragged; with 150 samples the third process has no chunk of them."""
    torch.manual_seed(0)
    model, images = kit.build("wgan"), new_images(130)

    def evaluate():
        extractor = load_extractor("digits")
        real = of_images(extractor, stored(images))
        fake = of_samples(extractor, model, 150, 0, to_uint8)
        return measure(tuple(METRICS), real, fake, extractor)

    found = {}
    for count in (1, 2, 3):
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / f"cache{count}"))
        found[count] = kit.in_processes(count, evaluate, tmp_path)
    assert len(found[1][0]) == 9
    for numbers in (number for count in (1, 2, 3) for number in found[count]):
        assert numbers == found[1][0]


def test_an_image_that_one_process_cannot_read_stops_them_all(tmp_path):
    class Broken(Stored):
        def __getitem__(self, positions):
            if 110 in positions:
                raise OSError("image 110 is broken")
            return super().__getitem__(positions)

    def evaluate():
        broken = Broken(new_images(), torch.zeros(250))
        return of_images(load_extractor("pixels"), broken)

    errors = kit.in_processes(3, evaluate, tmp_path)
    assert [str(error) for error in errors] == ["image 110 is broken"] * 3
