"""Conditions from files are checked before anything is computed with them."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from tests import kit
from zoo.config.errors import UserError
from zoo.runs.requested_conditions import read_conditions, warn_of_unknown_words

IMAGES = torch.rand(2, 1, 8, 8) * 2 - 1


@pytest.mark.parametrize(
    ("name", "condition", "message"),
    [
        ("wgan", {"latent": torch.randn(4, 7)}, r"must be \(N, 8\) float, not \(4, 7\) float32"),
        ("wgan", {"latent": torch.randn(4, 8, 1)}, r"\(N, 8\) float, not \(4, 8, 1\) float32"),
        ("wgan", {"latent": torch.ones(4, 8).long()}, r"\(N, 8\) float, not \(4, 8\) int64"),
        ("wgan", {"latent": torch.tensor(3.0)}, r"latent holds no batch: its shape is \(\)"),
        ("cgan", {"label": torch.zeros(0).long()}, r"label holds no batch: its shape is \(0,\)"),
        ("cgan", {"label": torch.tensor([1, 2]).float()}, r"\(N,\) int64, not \(2,\) float32"),
        ("cgan", {"label": torch.tensor([1, 10])}, "label=10: the model has the classes 0 to 9"),
        ("pix2pix", {"source": IMAGES[:, :, :4]}, "Pix2Pix was built with image_size=8"),
        ("pix2pix", {"source": IMAGES.byte()}, "source must be .* float in .* not .* uint8"),
        ("pix2pix", {"source": 100 * IMAGES}, r"source must be .* in \[-1, 1\], not from"),
        ("video_prediction", {"video": IMAGES}, r"video must be \(N, T, C, H, W\) float"),
        ("text_to_image", {"text": torch.ones(2).long()}, r"text must be \(N, T\) int64, not"),
    ],
)
def test_a_wrong_shape_type_or_range_is_one_line(name, condition, message, tmp_path):
    save_file({key: values.contiguous() for key, values in condition.items()}, tmp_path / "file")
    with pytest.raises(UserError, match=message) as error:
        read_conditions(kit.build(name), 4, None, None, str(tmp_path / "file"))
    assert "\n" not in str(error.value)


def test_reading_converts_to_the_model_and_draws_no_random_numbers(tmp_path):
    latents = torch.randn(4, 8, dtype=torch.float64)
    save_file({"latent": latents}, tmp_path / "file")
    model = kit.build("wgan")
    state = torch.get_rng_state()
    conditions = read_conditions(model, 1, None, None, str(tmp_path / "file"))
    kit.assert_same(conditions, {"latent": latents.float()})
    assert torch.equal(torch.get_rng_state(), state)


def test_words_and_letters_that_a_caption_model_does_not_know_are_named(capsys):
    data = SimpleNamespace(name="toys", vocabulary=lambda: {"a", "red", "circle"})
    warn_of_unknown_words("A r\u00e9d, Circle!", data)
    assert capsys.readouterr().err == ""
    warn_of_unknown_words("a mauve circle \u65e5 a square, mauve", data)
    letters, words = capsys.readouterr().err.splitlines()
    assert letters.startswith("caption: the model reads \u65e5 as a space")
    assert words.startswith("caption: the training captions of toys do not contain mauve, square:")


def test_without_the_training_captions_no_word_is_named(capsys):
    def missing():
        raise FileNotFoundError("captions")

    for data in (None, SimpleNamespace(), SimpleNamespace(name="toys", vocabulary=missing)):
        warn_of_unknown_words("a mauve circle", data)
    assert capsys.readouterr().err == ""
