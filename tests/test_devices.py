"""What no device may change: seen on the CPU, and on a GPU (marked `gpu`) where there is one."""

import pytest
import torch

from tests import kit
from zoo.engine.loader import KeyedLoader
from zoo.losses import gradient_penalty

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    ],
)


@pytest.fixture(params=["cpu", GPU])
def device(request):
    return request.param


def trained(name, folder, device, batches, **settings):
    torch.manual_seed(0)
    model = kit.build(name)
    accelerator = "gpu" if device == "cuda" else "cpu"
    run = kit.fit(model, folder, batches, accelerator=accelerator, log_every_n_steps=1, **settings)
    return model, run


@pytest.mark.parametrize("name", ["dcgan", "sngan", "vae", "wgan_gp"])
def test_losses_in_bf16_are_near_those_in_float32(name, tmp_path, device):
    exact, _ = trained(name, tmp_path, device, 1)
    half, _ = trained(name, tmp_path, device, 1, precision="bf16-mixed")
    assert exact.losses.keys() == half.losses.keys()
    assert half.losses == pytest.approx(exact.losses, rel=0.05, abs=0.02)
    assert half.losses != exact.losses


def test_the_gradient_penalty_is_float32_under_autocast(device):
    """Of a critic w x it is (|w| - 1)^2, to more digits than bfloat16 has."""
    weight = torch.tensor([1.001, 1.003, 1.007], device=device)
    images = torch.zeros(2, 1, 1, 3, device=device)

    def critic(images):
        return images.flatten(1) @ weight

    with torch.autocast(device, dtype=torch.bfloat16):
        penalty = gradient_penalty(critic, images, images)
    assert penalty.item() == pytest.approx((weight.norm().item() - 1) ** 2, rel=1e-6)


def test_a_resumed_run_is_exact(tmp_path, device):
    whole, _ = trained("sngan", tmp_path, device, 4)
    _, half = trained("sngan", tmp_path, device, 2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = trained("sngan", tmp_path, device, 4, checkpoint=tmp_path / "half.ckpt")
    kit.assert_same(kit.weights(whole), kit.weights(resumed))


def test_samples_of_the_same_latents_are_the_same(device):
    model = kit.build("dcgan").eval()
    latent = model.prior(4)
    with torch.no_grad():
        here = model.sample(4, {"latent": latent})
        there = model.to(device).sample(4, {"latent": latent.to(device)})
    assert torch.allclose(here, there.cpu(), atol=1e-3)


def test_workers_pin_what_goes_to_a_gpu():
    source = kit.Toy().source("train")
    batch = next(iter(KeyedLoader(source, 4, workers=1)))
    assert batch["image"].is_pinned() == torch.cuda.is_available()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_batch_norm_over_one_process_is_plain_batch_norm(tmp_path):
    plain, _ = trained("dcgan", tmp_path, "cuda", 2)
    synchronized, _ = trained("dcgan", tmp_path, "cuda", 2, sync_batchnorm=True, strategy="turns")
    for name, value in kit.weights(plain).items():
        assert torch.allclose(value, kit.weights(synchronized)[name], atol=1e-4), name
