import pytest
import torch

from datamodules.digits import Digits
from experiments.plot_reconstructions import figure
from tests import kit
from zoo.autoregressive.pixelcnn_autoencoder import PixelCNNAutoencoder
from zoo.config.errors import UserError
from zoo.latent.autoencoder import Autoencoder


def test_a_row_is_an_image_its_mean_and_draws_of_each_model():
    shape = {"image_size": 8, "width": 4}
    mean = Autoencoder(**shape)
    drawing = [PixelCNNAutoencoder(**shape, layers=2, codes=codes) for codes in (2, 3)]
    shown = figure(mean, drawing, Digits(), rows=3)
    cell = shown.shape[2] // (2 + 2 * 4)
    shown = shown[:, -3 * cell :]
    cells = shown.unflatten(1, (3, cell)).unflatten(3, (10, cell))[0].transpose(1, 2)
    first, mean_shown, *draws = cells[0]
    source = Digits().source("test")
    assert any(
        torch.equal(first[2:-2:6, 2:-2:6], image[0]) for image in source[torch.arange(360)]["image"]
    )
    assert not torch.equal(mean_shown, first)
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 8


def test_a_small_test_set_has_fewer_rows():
    shape = {"image_size": 8, "width": 4}
    models = Autoencoder(**shape), [PixelCNNAutoencoder(**shape, layers=2)]
    assert torch.equal(figure(*models, kit.Toy(count=2)), figure(*models, kit.Toy(count=2), rows=2))
    with pytest.raises(UserError, match="no gray or color test images"):
        figure(*models, kit.Toy(count=0))
