"""Latents of images are found again, within the bounds of the prior."""

import pytest
import torch
from torch import nn

import zoo
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.wgan import WGAN
from zoo.config import catalog
from zoo.engine.inversion import descend, nearest_starts, project, recover


class Linear(WGAN):
    """A generator that can be inverted, and that adds a condition."""

    def build_generator(self):
        weight = torch.linspace(0.5, 1.5, 64).diag() + 0.1 * torch.eye(64).roll(1, 0)
        generator = nn.Sequential(nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))
        generator[0].weight.data, generator[0].bias.data = weight, torch.zeros(64)
        return generator

    def sample(self, count, given=None):
        offset = given["offset"].view(-1, 1, 1, 1) if given and "offset" in given else 0
        return super().sample(count, given) + offset


def test_recovery_inverts_a_linear_generator():
    model = Linear(image_size=8, image_channels=1, width=4, latent_dim=64)
    given = {"offset": torch.linspace(-1, 1, 5)}
    torch.manual_seed(0)
    wanted = torch.randn(5, 64)
    images = model.sample(5, given | {"latent": wanted}).detach()
    found, errors = recover(model, images, iterations=400, lr=0.1, restarts=2, condition=given)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-2)
    assert errors.shape == (5,)
    assert errors.max() < 1e-4


@pytest.fixture(scope="module")
def digits():
    source = Digits().source("test")
    return source[torch.arange(8)]["image"].float() / 127.5 - 1


def test_recovery_comes_far_nearer_than_the_best_of_the_prior(digits):
    model = zoo.load("wgan_digits")
    latents, errors = recover(model, digits, iterations=100, restarts=2)
    _, before = recover(model, digits, iterations=0, restarts=2)
    assert (errors < before / 4).all()
    assert errors.median() < before.median() / 15
    with torch.no_grad():
        again = (model.sample(8, {"latent": latents}) - digits).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(again, errors)


def test_recovery_keeps_the_best_start_of_each_image(digits):
    model = zoo.load("wgan_digits")
    one, again, more, other = (
        recover(model, digits, iterations=5, restarts=restarts, seed=seed)
        for restarts, seed in ((1, 0), (1, 0), (6, 0), (1, 1))
    )
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], other[0])
    assert (more[1] <= one[1]).all()
    kept = (more[0] == one[0]).all(dim=1)  # those of the first start
    assert torch.equal(kept, more[1] == one[1])
    assert not kept.all()


def test_recovery_does_not_change_the_model(digits):
    model = kit.build("wgan").train()
    before, state = kit.weights(model), torch.get_rng_state()
    recover(model, digits, iterations=3, restarts=1)
    kit.assert_same(kit.weights(model), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_recovery_refuses_images_of_another_shape(digits):
    with pytest.raises(
        ValueError, match=r"samples of shape \(1, 8, 8\), but images of \(3, 8, 8\)"
    ):
        recover(kit.build("wgan"), digits.expand(-1, 3, -1, -1), iterations=1)


def models_with_a_prior():
    names = [name for name in catalog.names("model") if hasattr(model_class(name), "prior")]
    return [name for name in names if "image" not in model_class(name).conditions]


def model_class(name):
    return kit.class_of(catalog.describe("model", name).target)


@pytest.mark.parametrize("name", models_with_a_prior())
def test_a_bounded_prior_has_a_projection_onto_what_it_can_draw(name):
    model = kit.build(name)
    with torch.no_grad():
        draws = model.prior(500)
    if draws.abs().max() <= 1:  # hundreds of normal numbers would go beyond
        torch.testing.assert_close(project(model, draws), draws)
        far = project(model, 10 * torch.randn_like(draws))
        assert draws.min().floor() <= far.min()
        assert far.max() <= draws.max().ceil()
        torch.testing.assert_close(project(model, far), far)


@pytest.mark.parametrize("name", ["improved_gan", "infogan", "lapgan"])
def test_a_search_stays_within_the_prior(name):
    model = kit.build(name)
    real = torch.ones(4, 1, 8, 8)
    given = kit.conditions(model, 4) or {"label": torch.arange(4)}
    found, _ = recover(model, real, iterations=20, lr=0.5, restarts=2, condition=given)
    torch.testing.assert_close(project(model, found), found)


def test_the_nearest_candidates_come_first():
    candidates = torch.tensor([[0.0], [1.0], [5.0], [-3.0]])

    def distance(fake, real):
        return (fake - real).abs().flatten(1).sum(dim=1)

    images = torch.tensor([[4.0], [-1.4]])
    starts = nearest_starts(distance, images, candidates, candidates, restarts=3)
    assert starts[..., 0].T.tolist() == [[5, 1, 0], [0, -3, 1]]


def test_a_descent_keeps_the_best_end_of_each_latent_and_the_bounds():
    """Two valleys, at -1 (of depth 1) and at 2; a wall at 1.5 and 0 steps leave things as told."""

    def errors(latents):
        z = latents[:, 0]
        return torch.minimum((z + 1).square() + 1, (z - 2).square())

    starts = [torch.tensor([[-2.0], [3.0]]), torch.tensor([[1.2], [-0.9]])]
    found, least = descend(errors, starts, iterations=300, lr=0.1)
    torch.testing.assert_close(found, torch.tensor([[2.0], [2.0]]), rtol=0, atol=1e-2)
    assert least.max() < 1e-3
    found, least = descend(errors, starts, 300, 0.1, lambda latents: latents.clamp(max=1.5))
    torch.testing.assert_close(found, torch.tensor([[1.5], [1.5]]))
    found, least = descend(errors, starts, 0, 0.1)
    assert found.tolist() == [[pytest.approx(1.2)], [3.0]]
    torch.testing.assert_close(least, torch.tensor([0.64, 1.0]))
