import pytest
import torch

from callbacks.metrics import Metrics
from datamodules.digits import Digits
from datamodules.gaussians import Gaussians
from tests import kit
from zoo.engine.seeds import reseed
from zoo.latent.autoencoder import Autoencoder
from zoo.metrics.psnr import decibels, psnr
from zoo.runs.checkpoints import load_model


def small(**settings):
    torch.manual_seed(0)
    return Autoencoder(**{"image_size": 8, "latent_dim": 4, "width": 8, "components": 3} | settings)


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32)])
def test_a_code_has_latent_dim_numbers(network, channels, size):
    model = small(network=network, image_size=size, image_channels=channels)
    images = torch.rand(2, channels, size, size)
    assert model.encoder(images).shape == (2, 4)
    assert model.reconstruct({"image": images}).shape == images.shape


def test_samples_are_of_the_mixture():
    model = small()
    model.mixture_weights.copy_(torch.tensor([0.5, 0.5, 0]))
    model.means.copy_(torch.tensor([[5.0, 0, 0, 0], [-5, 0, 0, 0], [0, 99, 0, 0]]))
    factor = torch.tensor([[1.0, 0, 0, 0], [2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0.1]])
    model.factors.copy_(factor.expand(3, 4, 4))
    reseed(model.device, 0)
    codes = model.prior(20_000)
    near = codes[codes[:, 0] > 0] - torch.tensor([5.0, 0, 0, 0])
    assert len(near) / 20_000 == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(near.T.cov(), factor @ factor.T, rtol=0, atol=0.15)
    assert codes[:, 1].max() < 20, "a component of weight 0 is never drawn"


def test_the_mixture_is_that_of_the_codes_and_is_in_the_checkpoint(tmp_path):
    model, data = small(), Digits()
    run = kit.fit(model, tmp_path, 30, data)
    with torch.no_grad():
        codes = torch.cat([model.encoder(b["image"] / 127.5 - 1) for b in data.loader("train")])
    assert model.mixture_weights.sum().item() == pytest.approx(1)
    torch.testing.assert_close(
        model.mixture_weights @ model.means, codes.mean(dim=0), rtol=0, atol=0.02
    )
    within = torch.einsum("k,kij,klj->il", model.mixture_weights, model.factors, model.factors)
    spread = model.means - codes.mean(dim=0)
    between = torch.einsum("k,ki,kl->il", model.mixture_weights, spread, spread)
    covariance = codes.T.cov(correction=0)
    torch.testing.assert_close(within + between, covariance, rtol=0, atol=0.02 * covariance.max())
    run.save_checkpoint(tmp_path / "model.ckpt")
    rebuilt = load_model(tmp_path / "model.ckpt")
    assert torch.equal(rebuilt.means, model.means)


def test_points_are_reconstructed_and_measured_in_their_own_units(tmp_path):
    """Scaled like pixels, the points would be indistinguishable: 15 dB."""
    model = Autoencoder(1, 2, latent_dim=2, network="mlp", width=32, lr=3e-3)
    data = Gaussians(count=5000, val_count=0)
    kit.fit(model, tmp_path, 200, data)
    with model.evaluating():
        assert psnr(model, data, "test")["psnr_test"] > 30


def test_a_second_fit_of_as_many_batches_fits_the_mixture_again(tmp_path):
    model = kit.build("autoencoder", components=2)
    mixtures = []
    for seed in (0, 1):
        kit.fit(model, tmp_path, 3, seed=seed)
        mixtures.append(model.means.clone())
    assert not torch.equal(*mixtures)


def test_testing_a_finished_model_leaves_its_mixture(tmp_path):
    model, data = small(), kit.Toy(count=40)
    kit.fit(model, tmp_path, 2).save_checkpoint(tmp_path / "model.ckpt")
    for finished in (model, load_model(tmp_path / "model.ckpt")):
        before = kit.weights(finished)
        kit.trainer(tmp_path, 2, [Metrics(count=20)]).test(finished, data)
        kit.assert_same(kit.weights(finished), before)
    new = small()
    kit.trainer(tmp_path, 2, [Metrics(count=20)]).test(new, data)
    assert new.means.any(), "a mixture that was never fitted is fitted"


def test_fewer_images_than_components_leave_weight_0_to_the_rest(tmp_path):
    model = small(components=8)
    kit.fit(model, tmp_path, 1, kit.Toy(count=5))
    assert model.mixture_weights.tolist()[5:] == [0, 0, 0]
    assert model.mixture_weights.sum().item() == pytest.approx(1)
    assert model.sample(50).isfinite().all()


def test_the_mixture_is_fitted_to_images_of_all_classes(tmp_path, monkeypatch):
    """Files are ordered by class: the first ones would be of one class."""
    monkeypatch.setattr("zoo.latent.autoencoder.MAX_CODES", 300)
    seen = []
    model, data = small(), Digits()
    kit.fit(model, tmp_path, 1, data)
    model.encoder.register_forward_pre_hook(lambda encoder, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model._fitted_mixture()
    images = ((torch.cat(seen) + 1) * 127.5).round().to(torch.uint8)
    assert len(images) == 300
    train = data.source("train")[torch.arange(1300)]["image"]
    places = [(train == image).flatten(1).all(dim=1).nonzero()[0].item() for image in images]
    assert max(places) > 1200
    assert min(places) < 100


def test_two_processes_have_one_mixture(tmp_path):
    means = torch.zeros(2, 3, 4).share_memory_()

    class Recording(Autoencoder):
        def on_train_end(self):
            super().on_train_end()
            means[self.trainer.global_rank] = self.means

    torch.manual_seed(0)
    model = Recording(image_size=8, latent_dim=4, width=8, components=3)
    kit.fit(model, tmp_path, 3, **kit.forked(2))
    assert means.any()
    assert torch.equal(means[0], means[1])


def test_noise_is_on_what_is_seen_not_on_what_is_wanted(tmp_path):
    seen, decoded = [], []
    model = small(noise=0.5)
    model.encoder.register_forward_pre_hook(lambda encoder, inputs: seen.append(inputs[0]))
    reconstruct = model.reconstruct
    model.reconstruct = lambda batch: decoded.append(reconstruct(batch)) or decoded[-1]
    wanted = []
    step = model.training_step

    def watched(batch, batch_idx):
        wanted.append(batch["image"].clone())
        step(batch, batch_idx)

    model.training_step = watched
    kit.fit(model, tmp_path, 1, kit.Toy(batch_size=64), log_every_n_steps=1)
    noise = seen[0] - wanted[0]
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    error = (decoded[0].detach() - wanted[0]).square().mean().item()
    assert model.losses["squared_error"] == pytest.approx(error, rel=1e-5), "of the clean images"
    model.eval()
    seen.clear()
    model.reconstruct({"image": wanted[0]})
    assert torch.equal(seen[0], wanted[0])


def test_decibels_by_hand():
    """An error of a tenth of the range is 20 dB, of a hundredth 40."""
    assert decibels(0.0) == float("inf")
    assert decibels(0.2**2) == pytest.approx(20)
    assert decibels(0.02**2) == pytest.approx(40)
    assert decibels(0.1**2, peak=1.0) == pytest.approx(20)
    model = small()
    model.reconstruct = lambda batch: batch["image"] + 0.2
    assert psnr(model, Digits(), "test")["psnr_test"] == pytest.approx(20, abs=1e-4)


def test_it_learns_real_digits(tmp_path):
    """Beyond the first principal components of as many numbers."""
    from sklearn.decomposition import PCA

    data = Digits()
    images = [
        (data.source(s)[torch.arange(len(data.source(s)))]["image"] / 127.5 - 1).flatten(1).numpy()
        for s in ("train", "test")
    ]
    pca = PCA(4).fit(images[0])
    linear = pca.inverse_transform(pca.transform(images[1]))
    of_pca = decibels(((linear - images[1]) ** 2).mean())
    model = small(width=32, lr=6e-3)
    kit.fit(model, tmp_path, 350, data)
    with model.evaluating():
        assert psnr(model, data, "test")["psnr_test"] > of_pca + 0.5
