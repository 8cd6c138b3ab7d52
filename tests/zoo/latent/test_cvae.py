import pytest
import torch

from datamodules.digits import Digits
from tests import kit
from zoo.engine.sampling import latents_of_samples
from zoo.engine.seeds import reseed
from zoo.latent.cvae import CVAE


def small(**settings):
    torch.manual_seed(0)
    return CVAE(**{"image_size": 8, "classes": 10, "latent_dim": 4, "width": 16} | settings)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_both_networks_are_conditioned_on_the_label(network):
    model = small(network=network)
    images = torch.rand(1, 1, 8, 8).expand(10, -1, -1, -1)
    label = torch.arange(10)
    posterior = model.posterior({"image": images, "label": label})
    assert len(posterior.mean.unique(dim=0)) == 10
    latent = model.prior(1).expand(10, -1)
    samples = model.sample(10, {"latent": latent, "label": label})
    assert len(samples.flatten(1).unique(dim=0)) == 10
    again = model.sample(10, {"latent": latent, "label": label.flip(0)})
    torch.testing.assert_close(again, samples.flip(0))


def test_importance_weights_use_the_label_of_their_image():
    model = small().double()
    batch = {"image": torch.rand(3, 1, 8, 8).double() * 2 - 1, "label": torch.tensor([1, 7, 7])}
    torch.manual_seed(1)
    weights = model.log_weights(batch, 5)
    other = batch | {"label": torch.tensor([1, 7, 2])}
    torch.manual_seed(1)
    changed = (model.log_weights(other, 5) != weights).all(dim=0)
    assert changed.tolist() == [False, False, True]


def test_samples_labels_reproduce_the_samples():
    model = small()
    latent, conditions = latents_of_samples(model, 6, 3, None)
    with torch.no_grad():
        again = model.sample(6, conditions)
        reseed(model.device, 3, 0)
        samples = model.sample(6)
    assert torch.equal(conditions["latent"], latent)
    torch.testing.assert_close(again, samples)


def test_data_without_labels_are_refused():
    with pytest.raises(ValueError, match="needs data with labels"):
        CVAE()


def test_it_learns_the_classes_of_real_digits(tmp_path):
    from callbacks.metrics import Metrics

    model = small(likelihood="logistic", num_levels=17, latent_dim=8, width=64, lr=6e-3)
    kit.fit(model, tmp_path, 250, Digits(), callbacks=[Metrics(0, 100)])
    untrained, trained = model.results["val/accuracy_of_samples_digits_1k"].values()
    assert untrained < 0.3
    assert trained > 0.9
