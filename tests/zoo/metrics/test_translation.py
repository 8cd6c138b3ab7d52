"""What the numbers of a perfect, a blurred and a wrong translation are."""

import pytest
import torch

from datamodules.textures import Textures
from tests import kit
from zoo.metrics.segmenter import train_segmenter
from zoo.metrics.translation import SEGMENTERS, differences, translation_scores
from zoo.plots.translations import translations


@pytest.fixture(scope="module")
def data():
    data = Textures(count=200, val_count=0)
    batch = data.source("train")[torch.arange(200)]
    SEGMENTERS[data] = train_segmenter(
        batch["image"], data.classes_of(batch["source"]), 3, batches=100
    )
    return data


def model_of(translate):
    model = kit.build("pix2pix", 32, 1, source_channels=3)
    model.sample = lambda count, given: translate(given)
    return model


def test_a_perfect_translation_is_scored_as_the_real_images(data):
    numbers = translation_scores(model_of(lambda batch: batch["image"]), data, "test")
    assert next(iter(numbers)) == "iou_textures_200_test", "by which the best checkpoint is kept"
    for what in ("iou", "accuracy_pixel", "accuracy_class"):
        assert (
            numbers[f"{what}_textures_200_test"] == numbers[f"real_{what}_textures_200_test"] > 0.4
        )
    assert numbers["l1_error_textures_200_test"] == 0
    assert numbers["std_ratio_textures_200_test"] == 1


def test_images_of_other_sources_are_wrong_however_real(data):
    numbers = translation_scores(model_of(lambda batch: batch["image"].roll(1, 0)), data, "test")
    assert (
        numbers["accuracy_pixel_textures_200_test"]
        < numbers["real_accuracy_pixel_textures_200_test"] - 0.1
    )
    assert numbers["std_ratio_textures_200_test"] == pytest.approx(1)
    assert numbers["l1_error_textures_200_test"] > 0.1


def test_differences_by_hand():
    """Levels of 0 and 255 are -1 and 1; half the contrast is half the deviation."""
    real = torch.tensor([0, 255, 0, 255], dtype=torch.uint8).view(1, 1, 2, 2)
    fake = torch.tensor([64, 191, 64, 191], dtype=torch.uint8).view(1, 1, 2, 2)
    numbers = differences(fake, real)
    assert numbers["l1_error"] == pytest.approx(64 / 127.5)
    assert numbers["std_ratio"] == pytest.approx(127 / 255)


def test_data_without_regions_have_the_pixels_numbers_alone():
    model = kit.build("pix2pix")
    with model.evaluating():
        numbers = translation_scores(model, kit.Toy(), "test")
    assert set(numbers) == {"l1_error_kit_64_test", "std_ratio_kit_64_test"}


def test_a_figure_has_sources_real_images_and_translations(data):
    """Twelve triples in four rows; the translation is beside the image, here the same."""
    figure = translations(model_of(lambda batch: batch["image"]), data)["translations"]
    assert figure.dtype == torch.uint8
    side = figure.shape[2] // 9
    cells = figure[:, -4 * side :].unfold(1, side, side).unfold(2, side, side)  # (3, 4, 9, h, w)
    assert torch.equal(cells[:, :, 1::3], cells[:, :, 2::3])
    assert not torch.equal(cells[:, :, 0::3], cells[:, :, 1::3])
    assert translations(kit.build("pix2pix"), None) == {}
