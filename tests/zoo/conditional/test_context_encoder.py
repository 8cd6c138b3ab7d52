"""The losses of Pathak et al. 2016, what is hidden from whom, and where masks come from."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from datamodules.digits import Digits
from tests import kit
from zoo.conditional.context_encoder import MASKS, ContextEncoder, reconstruction_loss
from zoo.engine.seeds import reseed
from zoo.media import masks
from zoo.probe import features_of, find_player
from zoo.runs.requested_conditions import read_conditions

SHAPE = {"image_size": 16, "image_channels": 1, "overlap": 1, "bottleneck": 8}


def small(**parameters):
    torch.manual_seed(0)
    return ContextEncoder(**SHAPE | {"width": 4} | parameters)


def images(count=4, size=16):
    return 2 * torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) - 1


@pytest.mark.parametrize("bottleneck", [0, 8])
@pytest.mark.parametrize("kind", MASKS)
def test_visible_pixels_change_the_prediction_and_hidden_ones_do_not(kind, bottleneck):
    model, image = small(masks=kind, bottleneck=bottleneck).eval(), images()
    mask = model.mask({"image": image})
    predicted = model.predict(image, mask)
    assert torch.equal(model.predict(torch.where(mask, 0.7, image), mask), predicted)
    around = masks.band(mask, 1)
    assert not torch.equal(model.predict(torch.where(around, 0.7, image), mask), predicted)


@pytest.mark.parametrize("kind", MASKS)
def test_the_context_is_kept_bit_for_bit(kind):
    model, image = small(masks=kind).eval(), images()
    reseed(model.device, 0)
    mask = model.mask({"image": image})
    reseed(model.device, 0)
    filled = model.sample(4, {"image": image})
    assert torch.equal(filled[~mask], image[~mask])
    assert (filled[mask] != image[mask]).all()
    whole = torch.zeros_like(image)
    model.patch(whole).copy_(model.predict(image, mask))
    assert torch.equal(filled[mask], whole[mask])


def test_weights_of_a_patch_are_ten_around_and_one_inside():
    model = small()
    weights = model.error_weights(model.mask({"image": images()}))
    patch = model.patch(weights)
    assert patch.shape == (4, 1, 8, 8)
    assert patch.unique().tolist() == [1, 10]
    assert (patch[0, 0, 1:-1, 1:-1] == 1).all()
    assert patch.sum() == weights.sum() == 4 * (36 + 10 * 28)


def test_weights_of_a_random_mask_are_zero_elsewhere():
    model = small(masks="region", overlap_weight=3.0)
    mask = model.mask({"image": images()})
    weights = model.error_weights(mask)
    assert torch.equal(weights == 1, mask)
    assert torch.equal(weights == 3, masks.band(mask, 1))
    assert set(weights.unique().tolist()) == {0, 1, 3}


def test_the_reconstruction_is_of_weighted_pixels_alone():
    """(1 · 0.2² + 10 · 0.1²) / 2 of two pixels, in each of two channels; the third is ignored."""
    real = torch.zeros(1, 2, 1, 3)
    fake = torch.tensor([0.2, 0.1, 99.0]).expand(1, 2, 1, 3)
    weights = torch.tensor([1.0, 10.0, 0.0]).view(1, 1, 1, 3)
    assert reconstruction_loss(real, fake, weights).item() == pytest.approx(0.07)


class Judge(nn.Module):
    def forward(self, images):
        return torch.full((len(images),), 1.5)


def test_the_generators_loss_is_split_999_to_1():
    model, real = small(), torch.zeros(4, 1, 8, 8)
    model.discriminator = Judge()
    loss, terms = model.generator_loss(real, real + 0.5, torch.ones(4, 1, 8, 8))
    adversarial = math.log(1 + math.exp(-1.5))
    assert terms["reconstruction_loss"].item() == pytest.approx(0.25)
    assert terms["adversarial_loss"].item() == pytest.approx(adversarial)
    assert loss.item() == pytest.approx(0.999 * 0.25 + 0.001 * adversarial)


def test_without_an_adversary_the_loss_is_the_reconstruction():
    model, real = small(adversarial_weight=0.0), torch.zeros(4, 1, 8, 8)
    assert not hasattr(model, "discriminator")
    loss, terms = model.generator_loss(real, real + 0.5, torch.ones(4, 1, 8, 8))
    assert loss.item() == terms["reconstruction_loss"].item() == 0.25


@pytest.mark.parametrize("kind", MASKS)
def test_the_discriminator_sees_patches_and_no_context(kind, tmp_path):
    model, seen = small(masks=kind), []
    model.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given))
    kit.fit(model, tmp_path, 1, kit.Toy(image_size=16))
    side = 8 if kind == "center" else 16
    assert [[image.shape for image in given] for given in seen] == 3 * [[(4, 1, side, side)]]
    assert torch.equal(seen[1][0], seen[2][0])
    assert not torch.equal(seen[0][0], seen[1][0])


def test_the_generator_uses_the_updated_discriminator(tmp_path):
    model, logits = small(discriminator_lr=0.1), []
    model.discriminator.register_forward_hook(lambda _, __, logit: logits.append(logit))
    kit.fit(model, tmp_path, 1, kit.Toy(image_size=16))
    assert not torch.equal(logits[1], logits[2])


def test_the_adversary_reaches_encoder_and_decoder():
    model, image = small(), images()
    fake = model.predict(image, model.mask({"image": image}))
    _, terms = model.generator_loss(model.patch(image), fake, torch.ones(4, 1, 8, 8))
    terms["adversarial_loss"].backward()
    for player in (model.encoder, model.decoder):
        assert all(p.grad.abs().sum() > 0 for p in player.parameters() if p.dim() == 4)


def test_the_generators_rate_is_ten_times_the_discriminators():
    discriminator, generator = small().configure_optimizers()
    rates = [optimizer.param_groups[0] for optimizer in (discriminator, generator)]
    assert [rate["lr"] for rate in rates] == [2e-4, 2e-3]
    assert {rate["betas"] for rate in rates} == {(0.5, 0.999)}


def test_a_mask_in_the_condition_is_used():
    model, image = small(masks="block").eval(), images()
    given = torch.zeros(4, 1, 16, 16)
    given[:, :, :3] = 1
    assert torch.equal(model.mask({"image": image, "mask": given}), given > 0)
    filled = model.sample(4, {"image": image, "mask": given})
    assert torch.equal(filled[:, :, 3:], image[:, :, 3:])
    assert (filled[:, :, :3] != image[:, :, :3]).all()


def test_a_mask_can_be_read_from_a_file(tmp_path):
    model, image = small(masks="region"), images()
    save_file({"image": image, "mask": torch.ones(4, 1, 16, 16)}, tmp_path / "given")
    given = read_conditions(model, 4, None, None, tmp_path / "given")
    assert torch.equal(model.eval().sample(4, given), model.predict(image, given["mask"] > 0))


@pytest.mark.parametrize("bottleneck", [0, 8])
def test_its_encoder_can_be_probed(bottleneck):
    """4x4 of 16 channels, 4x4 of 32 and, of the channel-wise one, again, or the code of 8."""
    model = small(bottleneck=bottleneck, adversarial_weight=0.0)
    assert find_player(model, None) == "encoder"
    features = features_of(model, "encoder")(images(3))
    assert features.shape == (3, 16 * (16 + 32) + (bottleneck or 16 * 32))


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="masks=middle: choose one of center, block, region"):
        small(masks="middle")
    with pytest.raises(ValueError, match="overlap=4 leaves nothing of images of size 16 hidden"):
        small(overlap=4)
    with pytest.raises(ValueError, match=r"adversarial_weight=1\.0 must be less than 1"):
        small(adversarial_weight=1.0)
    batch = {"image": images(), "mask": torch.zeros(4, 1, 16, 16)}
    with pytest.raises(ValueError, match="masks=center always hides the center"):
        small().sample(4, batch)
    with pytest.raises(ValueError, match="mask has shape"):
        small(masks="region").sample(4, batch | {"mask": torch.zeros(4, 16, 16)})


def test_the_papers_settings():
    hp = ContextEncoder(width=1, bottleneck=1).hparams
    assert (hp.image_size, hp.masks, hp.overlap, hp.overlap_weight) == (128, "center", 4, 10)
    assert (hp.adversarial_weight, hp.lr, hp.discriminator_lr, hp.beta1) == (0.001, 2e-3, 2e-4, 0.5)


def test_it_learns_to_fill_digits(tmp_path):
    """Within seconds it is 2 dB nearer than the mean of the training images."""
    data = Digits()
    train, test = (data.source(split) for split in ("train", "test"))
    mean = train[torch.arange(len(train))]["image"].double().mean(dim=0)
    real = test[torch.arange(len(test))]["image"].double()
    middle = slice(3, 5)
    error = ((real - mean) / 255)[:, :, middle, middle].square().mean()
    model = small(image_size=8, width=8, bottleneck=64, adversarial_weight=0.0)
    kit.fit(model, tmp_path, 200, data)
    with model.evaluating():
        psnr = model.measure(data, "test")["psnr_hole_digits_360_test"]
    assert psnr > -10 * error.log10().item() + 2
