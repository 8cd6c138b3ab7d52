import pytest
import torch

from datamodules.captioned_shapes import CaptionedShapes
from tests import kit
from zoo.engine.loader import Subset
from zoo.plots.captions import FONT, MARGIN, WIDTH, captioned, with_legends, wrapped

LEFT = WIDTH + 2 * MARGIN  # the width of a legend


def test_a_row_stands_beside_what_it_is_of():
    images = torch.zeros(2, 3, 3, 8, 8, dtype=torch.uint8)
    images[1] = 200
    figure = with_legends(["one", ""], images)
    height, width = figure.shape[1] // 2, (figure.shape[2] - LEFT) // 3
    assert figure.shape[0] == 3
    cells = figure[:, :, LEFT:].unfold(1, height, height).unfold(2, width, width)
    middles = cells[0, :, :, height // 2, width // 2]
    assert middles.tolist() == [[0, 0, 0], [200, 200, 200]]
    legends = figure[:, :, :LEFT].unfold(1, height, height)
    assert (legends[:, 0] < 128).any()
    assert (legends[:, 1] == 255).all()


def test_a_long_legend_is_not_cut_off():
    figure = with_legends(["word " * 60], torch.zeros(1, 1, 3, 8, 8, dtype=torch.uint8))
    assert (figure[:, -14:, :LEFT] < 128).any()


def test_lines_are_as_wide_as_what_they_say():
    for character in "iW":
        text = " ".join([3 * character] * 40)
        lines = wrapped(text)
        assert " ".join(lines) == text
        assert all(FONT.getlength(line) <= WIDTH for line in lines)
        assert all(FONT.getlength(f"{line} {3 * character}") > WIDTH for line in lines[:-1])
    assert "".join(wrapped("m" * 99)) == "m" * 99
    assert wrapped("") == []
    assert wrapped("a word") == ["a word"]


@pytest.mark.parametrize(("count", "rows"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_few_test_images(count, rows, monkeypatch):
    data, model = CaptionedShapes(count=50, val_count=0), kit.build("text_to_image", 16, 3)
    few = Subset(data.source("test").source, torch.arange(count))
    monkeypatch.setattr(data, "source", lambda split: few)
    with model.evaluating():
        figures = captioned(model, data, columns=4)
    assert set(figures) == ({"captions", "interpolations", "styles"} if rows else set())


class Echo(torch.nn.Module):
    """Images of one colour: the first of the latent in red, of the embedding in green."""

    def forward(self, latent, embedding):
        values = torch.stack([latent[:, 0], embedding.sum(dim=1), 0 * latent[:, 0]], dim=1)
        return (1e3 * values).sin()[:, :, None, None].expand(-1, -1, 16, 16)


def test_what_varies_in_each_picture():
    data, model = CaptionedShapes(count=50, val_count=0), kit.build("text_to_image", 16, 3)
    model.generator = Echo()
    with model.evaluating():
        figures = captioned(model, data, rows=3, columns=4)
    found = {}
    for name, figure in figures.items():
        rows = 4 if name == "styles" else 3
        height, width = figure.shape[1] // rows, (figure.shape[2] - LEFT) // 4
        cells = figure[:, :, LEFT:].unfold(1, height, height).unfold(2, width, width)
        middle = cells[:, rows - 3 :, :, height // 2, width // 2].int()  # (3, 3, 4)
        found[name] = [
            [(middle[channel].diff(dim=dim) != 0).any().item() for dim in (0, 1)]
            for channel in (0, 1)
        ]
    # [z varies over rows, over columns], [the embedding over rows, over columns]
    assert found["captions"] == [[True, True], [True, False]]
    assert found["interpolations"] == [[True, False], [True, True]]
    assert found["styles"] == [[False, True], [True, False]]
