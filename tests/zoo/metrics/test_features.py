"""One pass over images: any number of processes, broken off and gone on with, never out of date."""

import pytest
import torch

from datamodules.image import ImageDataModule
from datamodules.loading.sources import InMemoryImages
from tests import kit
from zoo.engine.sampling import draw
from zoo.media.images import to_uint8
from zoo.metrics import features
from zoo.metrics.cache_key import identity
from zoo.metrics.compute import measure
from zoo.metrics.extractors.base import Extractor, load_extractor
from zoo.metrics.feature_metrics import METRICS
from zoo.metrics.features import image_features, reference_images, sample_features


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


class Means(Extractor):
    """The mean of each row; notes the number of images that it is given."""

    name = "means"
    seen = []  # noqa: RUF012 - of the class, for it is no setting of an extractor

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        self.seen.append(len(images))
        return images.float().mean(dim=(1, 3)) * self.factor


def passed(extractor, images):
    """The Features of images, and what the extractor was given of them."""
    Means.seen.clear()
    return image_features(load_extractor(extractor), stored(images)), list(Means.seen)


def new_images(count=250, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def stored(images):
    return InMemoryImages(images, torch.full((len(images),), -1))


def test_the_features_are_those_of_all_images_in_order():
    images, counts = new_images(), []
    found = image_features(load_extractor(Means()), stored(images), advance=counts.append)
    assert torch.equal(found.values, images.float().mean(dim=(1, 3)))
    assert counts == [100, 100, 50]
    assert len(found) == 250


def test_of_samples_measures_what_draw_draws():
    model, extractor = kit.build("wgan"), load_extractor("digits")
    found = sample_features(extractor, model, 150, 3, ImageDataModule)
    with model.evaluating():
        samples = torch.cat(list(draw(model, 150, 3)))
    assert torch.allclose(found.values, extractor(to_uint8(samples)), rtol=0, atol=1e-5)


def test_images_seen_once_are_not_seen_again():
    images = new_images()
    first, seen = passed(Means(), images)
    assert seen == [100, 100, 50]
    again, seen = passed(Means(), images)
    assert seen == []
    assert torch.equal(first.values, again.values)
    assert first.key == again.key


def test_a_changed_pixel_is_seen():
    images = new_images()
    passed(Means(), images)
    images[120, 0, 3, 3] ^= 1
    found, seen = passed(Means(), images)
    assert seen == [100], "its chunk is computed anew, and no other"
    assert torch.equal(found.values, images.float().mean(dim=(1, 3)))


@pytest.mark.parametrize("change", ["weights", "name", "setting", "class"])
def test_another_extractor_computes_anew(change):
    images, extractor = new_images(), Means()
    first, _ = passed(Means(), images)
    if change == "weights":
        extractor.factor.data += 1e-6
    elif change == "name":
        extractor.name = "other"
    elif change == "setting":
        extractor.resize = "torch"
    else:
        extractor = type("Other", (Means,), {})()
    found, seen = passed(extractor, images)
    assert sum(seen) == 250
    assert found.key != first.key


def test_a_pass_that_was_broken_off_continues_where_it_was():
    class Broken(Means):
        breaks = True

        def forward(self, images):
            if len(self.seen) == 2 and self.breaks:
                raise KeyboardInterrupt
            return super().forward(images)

    images = new_images()
    with pytest.raises(KeyboardInterrupt):
        passed(Broken(), images)
    assert Means.seen == [100, 100]
    Broken.breaks = False
    _, seen = passed(Broken(), images)
    assert seen == [50]


def test_cached_samples_are_reused_unless_the_model_changes(monkeypatch):
    samples, draw_chunk = [], features.draw_chunk

    def counted(model, seed, chunk, count, given=None):
        samples.append(chunk)
        return draw_chunk(model, seed, chunk, count, given)

    monkeypatch.setattr(features, "draw_chunk", counted)
    model, extractor = kit.build("wgan"), load_extractor("digits")

    def take(seed=0, count=150):
        samples.clear()
        sample_features(extractor, model, count, seed, ImageDataModule, keep=True)
        return list(samples)

    assert take() == [0, 1]
    assert take() == []
    assert take(count=160) == [1]
    assert take(seed=1) == [0, 1]
    next(model.generator.parameters()).data.add_(1e-6)
    assert take() == [0, 1]


def test_samples_beside_images_of_a_folder_are_found_by_other_processes():
    """A class has no settings, and the place of a property in memory is none either."""
    model = kit.build("wgan")
    assert features.origin(model, ImageDataModule) == identity(model, ImageDataModule)


def test_samples_are_not_kept_during_training(tmp_path):
    sample_features(load_extractor("digits"), kit.build("wgan"), 10, 0, ImageDataModule)
    assert not (tmp_path / "cache").exists()


def gathered(source):
    return source[torch.arange(len(source))]["image"].flatten(1)


def test_of_too_many_images_the_same_ones_are_taken(monkeypatch):
    monkeypatch.setattr(features, "MAX_REFERENCE", 120)
    images = new_images()
    found = gathered(reference_images(stored(images)))
    rows = {tuple(row) for row in images.flatten(1).tolist()}
    assert len(found) == len({tuple(row) for row in found.tolist()} & rows) == 120
    assert torch.equal(found, gathered(reference_images(stored(images))))
    assert len(reference_images(stored(images[:120]))) == 120


def test_the_reference_keeps_its_root_on_disk():
    extractor, images = load_extractor(Means()), new_images()
    first = image_features(extractor, stored(images)).reference_moments
    again = image_features(extractor, stored(images))
    again.moments = None  # they are read, not computed
    assert torch.equal(again.reference_moments.root, first.root)
    assert torch.equal(again.reference_moments.state, first.state)


def test_what_is_not_kept_has_no_key_to_be_taken_for_another_by(tmp_path):
    extractor = load_extractor("digits")
    found = [
        sample_features(extractor, kit.build("wgan"), 150, 0, ImageDataModule) for _ in range(2)
    ]
    assert [one.key for one in found] == [None, None]
    roots = [one.reference_moments.root for one in found]
    assert not torch.equal(*roots)
    assert not (tmp_path / "cache").exists()


def test_features_that_are_not_finite_are_refused():
    extractor = Means()
    extractor.factor.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="the features of means contain NaN"):
        image_features(load_extractor(extractor), stored(new_images()))


def test_every_metric_is_the_same_for_any_number_of_processes(tmp_path, monkeypatch):
    """Shards are ragged; with 150 samples the third process has no chunk of them."""
    torch.manual_seed(0)
    model, images = kit.build("wgan"), new_images(130)

    def evaluate():
        extractor = load_extractor("digits")
        real = image_features(extractor, stored(images))
        fake = sample_features(extractor, model, 150, 0, ImageDataModule)
        return measure(tuple(METRICS), real, fake, extractor)

    found = {}
    for count in (1, 2, 3):
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / f"cache{count}"))
        found[count] = kit.in_processes(count, evaluate, tmp_path)
    assert len(found[1][0]) == 13
    for numbers in (number for count in (1, 2, 3) for number in found[count]):
        assert numbers == found[1][0]


def test_an_image_that_one_process_cannot_read_stops_them_all(tmp_path):
    class Broken(InMemoryImages):
        def __getitem__(self, positions):
            if 110 in positions:
                raise OSError("image 110 is broken")
            return super().__getitem__(positions)

    def evaluate():
        broken = Broken(new_images(), torch.zeros(250))
        return image_features(load_extractor("pixels"), broken)

    errors = kit.in_processes(3, evaluate, tmp_path)
    assert [str(error) for error in errors] == ["image 110 is broken"] * 3
