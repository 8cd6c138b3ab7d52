import pytest
import torch

from callbacks.ema import EMA
from tests import kit
from zoo.flow.glow import Glow
from zoo.media.images import from_levels
from zoo.networks.glow import ActNorm
from zoo.runs.checkpoints import load_model


def small(**settings):
    defaults = {"image_size": 8, "image_channels": 1, "scales": 2, "width": 8, "couplings": 2}
    return Glow(**defaults | settings)


def test_an_image_is_restored_from_its_latents():
    torch.manual_seed(0)
    model = small(num_levels=17).double().eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    images = from_levels(torch.randint(17, (4, 1, 8, 8)), 17).double()
    latent, _ = model.encode(images)
    torch.testing.assert_close(model.sample(4, {"latent": latent}), images)


def test_the_temperature_scales_the_latents():
    normal, cold = small(), small(temperature=0.5)
    torch.manual_seed(0)
    latents = normal.prior(500)
    torch.manual_seed(0)
    torch.testing.assert_close(cold.prior(500), latents / 2)
    assert latents.std().item() == pytest.approx(1, abs=0.02)
    frozen = small(temperature=0.0).sample(3)
    torch.testing.assert_close(frozen, frozen[:1].expand(3, -1, -1, -1))


def test_the_first_batch_sets_the_actnorms_once(tmp_path):
    """A learning rate of 0 keeps what the first batch has set, which the checkpoint holds."""
    model = small(lr=0.0, weight_decay=0.0)
    run = kit.fit(model, tmp_path, 1, callbacks=[EMA(decay=0.9, players=["flow"])])
    norms = [module for module in model.modules() if isinstance(module, ActNorm)]
    assert len(norms) == 4
    assert all((norm.log_scale != 0).all() for norm in norms)
    kit.assert_same(kit.weights(model.averages["flow"]), kit.weights(model.flow))
    run.save_checkpoint(tmp_path / "model.ckpt")
    restored = load_model(tmp_path / "model.ckpt")
    assert restored.initialized == 1
    again = small(lr=0.0, weight_decay=0.0)
    again.load_state_dict(model.state_dict())
    before = kit.weights(again)
    kit.fit(again, tmp_path, 1, seed=5)
    kit.assert_same(kit.weights(again), before)


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(
        ValueError, match=r"scales=3 needs images .* multiple of 8, not 12: use fewer"
    ):
        small(image_size=12, scales=3)


def test_it_learns_real_digits(tmp_path):
    """Its bound is below 2.41 bits, which the level frequencies of each pixel have."""
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    torch.manual_seed(0)
    model = small(num_levels=17, width=16, alpha=0.02, lr=4e-3)
    kit.fit(model, tmp_path, 150, Digits(), callbacks=[Metrics(0, count=100)])
    assert model.results["test/bits_per_dim_bound_levels17_test"][150] < 2.36
