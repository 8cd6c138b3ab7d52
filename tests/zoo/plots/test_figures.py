import pytest
import torch

from datamodules.digits import Digits
from tests import kit
from tests.zoo.metrics.test_quadrant_nll import Rows
from zoo.latent.vae import VAE
from zoo.plots import completions, manifold, reconstructions

CELL = 48 + 2 * 2  # an 8x8 image, six times as large, and its gutters


def cells(figure, columns):
    """uint8 (rows, columns, 8, 8) of a figure of gray 8x8 images, without heads and captions."""
    rows = figure.shape[1] // CELL
    figure = figure[:, -rows * CELL :, -columns * CELL :]
    split = figure[0].unflatten(0, (rows, CELL)).unflatten(2, (columns, CELL)).transpose(1, 2)
    return split[:, :, 2:-2:6, 2:-2:6]


def with_tests(count):
    data = Digits()
    images = torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8)
    data._sources = {"test": Rows(images)}
    return data


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(24, 8, 3), (20, 8, 2), (5, 5, 1), (1, 1, 1)]
)
def test_reconstructions_are_below_their_images(count, columns, rows):
    model = kit.build("autoencoder")
    model.reconstruct = lambda batch: -batch["image"]
    figure = reconstructions.reconstructions(model, with_tests(count))["reconstructions"]
    found = cells(figure, columns)
    assert found.shape == (2 * rows, columns, 8, 8)
    assert torch.equal(found[1::2], 255 - found[::2])


@pytest.mark.parametrize("name", ["pixelcnn", "pixelcnn_autoencoder", "vae", "quadrant_vae"])
def test_without_test_images_there_is_no_figure(name):
    model = kit.build(name).eval()
    assert model.figures(with_tests(0)) == model.figures(None) == {}


def test_two_channels_cannot_be_plotted():
    assert kit.build("pixelcnn", channels=2).figures(with_tests(3)) == {}


def test_the_manifold_goes_from_left_to_right_and_upwards():
    """By the quantiles of the prior: the middle of the figure is near 0."""
    model = VAE(image_size=8, latent_dim=2, width=4)
    points = []
    model.sample = lambda count, given: (
        points.append(given["latent"]) or torch.zeros(count, 1, 8, 8)
    )
    manifold.manifold(model, side=4)
    grid = points[0].view(4, 4, 2)
    edge = 1.1503  # of 7/8 of a normal distribution
    torch.testing.assert_close(grid[0, 0], torch.tensor([-edge, edge]), rtol=0, atol=1e-3)
    torch.testing.assert_close(grid[3, 3], torch.tensor([edge, -edge]), rtol=0, atol=1e-3)
    assert (grid[1, :, 0].diff() > 0).all()
    assert (grid[:, 1, 1].diff() < 0).all()


def test_occluded_is_gray_where_it_is_hidden():
    images = torch.full((2, 1, 3, 4, 4), 200, dtype=torch.uint8)
    hidden = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    hidden[1, :, 2:] = True
    shown = completions.occluded(images, hidden)
    assert (shown[0] == 200).all()
    assert (shown[1, :, :, 2:] == 127).all()
    assert (shown[1, :, :, :2] == 200).all()
