import pytest
import torch

from tests import kit
from zoo.autoregressive.pixelcnn_autoencoder import PixelCNNAutoencoder


def small(**given):
    torch.manual_seed(0)
    settings = {"image_size": 8, "num_levels": 4, "width": 16, "layers": 2, "encoder_width": 4}
    return PixelCNNAutoencoder(**settings | given)


def test_the_code_reaches_every_pixel_and_pixels_see_none_after_them():
    model = small(codes=3).double().eval()
    image, code = torch.rand(1, 1, 8, 8).double() * 2 - 1, torch.randn(1, 3).double()
    base = model.elementwise_nll({"image": image, "latent": code})
    for number in range(3):
        other = code.clone()
        other[:, number] += 1
        changed = model.elementwise_nll({"image": image, "latent": other}) != base
        assert changed.float().mean() > 0.9
    other = image.clone()
    other[..., 4, 3] *= -1
    changed = (model.elementwise_nll({"image": other, "latent": code}) != base).flatten()
    assert not changed[: 4 * 8 + 3].any()
    assert changed[4 * 8 + 4 :].any()


def test_both_are_trained_on_the_likelihood_alone():
    model = small()
    model.nll({"image": torch.rand(4, 1, 8, 8) * 2 - 1}).mean().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A shift that batch norm takes back.
    assert [name for name in silent if name != "encoder.5.bias"] == []


def test_samples_are_of_the_codes_of_the_images_given():
    model = small(codes=10).double().eval()
    images = torch.rand(5, 1, 8, 8).double() * 2 - 1
    with torch.no_grad():
        code = model.encoder(images)
    torch.manual_seed(1)
    of_images = model.sample(5, {"image": images})
    torch.manual_seed(1)
    of_codes = model.sample(5, {"latent": code})
    assert torch.equal(of_images, of_codes)
    model.network.steps = lambda *args: model.uncached_steps(model.network, *args)
    torch.manual_seed(1)
    assert torch.equal(model.sample(5, {"latent": code}), of_codes)


def test_a_code_of_the_whole_image_does_not_complete_it():
    model, images = small(), torch.zeros(2, 1, 8, 8)
    given = {"image": images, "mask": torch.ones(2, 1, 8, 8)}
    with pytest.raises(ValueError, match="A mask needs a latent"):
        model.sample(2, given)
    assert model.sample(2, given | {"latent": model.prior(2)}).shape == images.shape


@pytest.mark.parametrize("codes", [10, 100])
def test_the_encoder_outputs_the_configured_number_of_codes(codes):
    model = small(codes=codes, image_size=28, image_channels=3)
    code = model.encoder(torch.rand(6, 3, 28, 28))
    assert code.shape == (6, codes)
    torch.testing.assert_close(code.mean(dim=0), torch.zeros(codes), rtol=0, atol=1e-5)


def test_the_code_of_real_digits_says_which_digit_it_is(tmp_path):
    """Trained on the likelihood alone, for seconds: nearest codes are of the same class."""
    from datamodules.digits import Digits

    data = Digits()
    model = small(num_levels=17, codes=10, width=16, lr=6e-3, encoder_width=16)
    train, test = (s[torch.arange(len(s))] for s in map(data.source, ("train", "test")))

    def accuracy():
        with torch.no_grad():
            codes = [model.eval().encoder(s["image"] / 127.5 - 1) for s in (train, test)]
        nearest = torch.cdist(codes[1], codes[0]).argmin(dim=1)
        return (train["label"][nearest] == test["label"]).double().mean().item()

    assert accuracy() < 0.9
    kit.fit(model.train(), tmp_path, 130, data)
    assert accuracy() > 0.9
