import pytest
import torch

from datamodules.captioned_shapes import CaptionedShapes
from tests import kit
from zoo.engine.loader import Subset
from zoo.media.text_images import FONT, wrap_text
from zoo.plots.captions import MAX_WIDTH, caption_figures, caption_width, with_captions


def test_a_row_is_beside_its_caption():
    images = torch.zeros(2, 3, 3, 8, 8, dtype=torch.uint8)
    images[1] = 200
    figure = with_captions(["one", ""], images)
    left = caption_width(["one", ""])
    assert left < 50, "no wider than its text"
    height, width = figure.shape[1] // 2, (figure.shape[2] - left) // 3
    assert figure.shape[0] == 3
    cells = figure[:, :, left:].unfold(1, height, height).unfold(2, width, width)
    middles = cells[0, :, :, height // 2, width // 2]
    assert middles.tolist() == [[0, 0, 0], [200, 200, 200]]
    captions = figure[:, :, :left].unfold(1, height, height)
    assert (captions[:, 0] < 128).any()
    assert (captions[:, 1] == 255).all()


def test_a_long_caption_is_not_cropped():
    figure = with_captions(["word " * 60], torch.zeros(1, 1, 3, 8, 8, dtype=torch.uint8))
    assert (figure[:, -14:, : caption_width(["word " * 60])] < 128).any()


def test_lines_are_as_long_as_they_fit():
    for character in "iW":
        text = " ".join([3 * character] * 40)
        lines = wrap_text(text, MAX_WIDTH)
        assert " ".join(lines) == text
        assert all(FONT.getlength(line) <= MAX_WIDTH for line in lines)
        assert all(FONT.getlength(f"{line} {3 * character}") > MAX_WIDTH for line in lines[:-1])
    assert "".join(wrap_text("m" * 99, MAX_WIDTH)) == "m" * 99
    assert wrap_text("", MAX_WIDTH) == []
    assert wrap_text("a word", MAX_WIDTH) == ["a word"]


@pytest.mark.parametrize(("count", "rows"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_few_test_images(count, rows, monkeypatch):
    data, model = CaptionedShapes(count=50, val_count=0), kit.build("text_to_image", 16, 3)
    few = Subset(data.source("test").source, torch.arange(count))
    monkeypatch.setattr(data, "source", lambda split: few)
    with model.evaluating():
        figures = caption_figures(model, data, columns=4)
    assert set(figures) == ({"captions", "interpolations", "styles"} if rows else set())


CELL = 48 + 2 * 2  # a 16x16 image, three times as large, and its gutters


class Echo(torch.nn.Module):
    """Images of one color: the first of the latent in red, of the embedding in green."""

    def forward(self, latent, embedding):
        values = torch.stack([latent[:, 0], embedding.sum(dim=1), 0 * latent[:, 0]], dim=1)
        return (1e3 * values).sin()[:, :, None, None].expand(-1, -1, 16, 16)


def test_what_varies_in_each_figure():
    data, model = CaptionedShapes(count=50, val_count=0), kit.build("text_to_image", 16, 3)
    model.generator = Echo()
    with model.evaluating():
        figures = caption_figures(model, data, rows=3, columns=4)
    found = {}
    for name, figure in figures.items():
        rows = 4 if name == "styles" else 3
        height = figure.shape[1] // rows
        width = CELL
        left = figure.shape[2] - 4 * CELL
        cells = figure[:, :, left:].unfold(1, height, height).unfold(2, width, width)
        middle = cells[:, rows - 3 :, :, height // 2, width // 2].int()  # (3, 3, 4)
        found[name] = [
            [(middle[channel].diff(dim=dim) != 0).any().item() for dim in (0, 1)]
            for channel in (0, 1)
        ]
    # [z varies over rows, over columns], [the embedding over rows, over columns]
    assert found["captions"] == [[True, True], [True, False]]
    assert found["interpolations"] == [[True, False], [True, True]]
    assert found["styles"] == [[False, True], [True, False]]
