"""InfoGAN's bound in closed form, its latents, whom the bound moves, and that codes are used."""

import math

import pytest
import torch
from scipy.stats import chisquare, kstest
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import one_hot

from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.infogan import InfoGAN, code_error, mutual_information
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.plots import code_sweeps

LN10 = math.log(10)


def small(cls=InfoGAN, **parameters):
    shape = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 4}
    return cls(**shape | {"recognition_width": 8} | parameters)


def moved(network):
    """Whether any, and whether every, parameter has a gradient that is not zero."""
    gradients = [p.grad is not None and bool(p.grad.any()) for p in network.parameters()]
    return any(gradients), all(gradients)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_q_without_error_finds_the_entropy_of_the_code():
    for count in (2, 10, 50):
        for codes in (1, 3):
            category = torch.randint(count, (64, codes))
            exact = 100.0 * one_hot(category, count)
            found = mutual_information(exact, category).item()
            assert found == pytest.approx(codes * math.log(count))


def test_an_untrained_q_finds_no_information():
    category = torch.randint(10, (64, 2))
    for logits in (torch.zeros(64, 2, 10), torch.full((64, 2, 10), -7.0)):
        assert mutual_information(logits, category).item() == pytest.approx(0, abs=1e-5)


def test_the_bound_is_the_entropy_minus_the_cross_entropy_and_never_more_than_it():
    for scale in (0.1, 1, 10):
        logits, category = scale * torch.randn(64, 10), torch.randint(10, (64,))
        q = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        expected = LN10 + q[torch.arange(64), category].log().mean()
        bound = mutual_information(logits[:, None], category[:, None])
        assert bound.item() == pytest.approx(expected.item(), abs=1e-5)
        assert bound < LN10


def test_the_codes_error_is_the_gaussians_likelihood_but_for_a_constant():
    means, codes = torch.randn(64, 2), 2 * torch.rand(64, 2) - 1
    likelihood = Normal(means, 1.0).log_prob(codes).sum(dim=1).mean()
    error = code_error(means, codes)
    assert (-likelihood - error).item() == pytest.approx(2 * 0.5 * math.log(2 * math.pi))
    assert error.item() == pytest.approx(((means - codes) ** 2).mean().item())  # two codes, halved
    assert code_error(codes, codes) == 0


def test_an_untrained_q_has_a_sixth_for_each_code():
    codes = 2 * torch.rand(100_000, 2) - 1
    assert code_error(torch.zeros_like(codes), codes).item() == pytest.approx(2 / 6, rel=0.01)


def test_latents_are_noise_category_and_codes_in_this_order():
    model = small(latent_dim=4, categories=3, continuous_codes=2)
    latent = model.prior(3000)
    assert latent.shape == (3000, 4 + 3 + 2)
    noise, category, codes = model.split_latent(latent)
    assert torch.equal(category[:, 0], latent[:, 4:7])
    assert torch.equal(codes, latent[:, 7:])
    assert set(category.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(category.sum(dim=2), torch.ones(3000, 1))
    assert chisquare(category.sum(dim=0)[0]).pvalue > 1e-3
    for uniform in (noise, codes):
        assert uniform.abs().max() <= 1
        for column in uniform.T:
            assert kstest(column.numpy(), "uniform", (-1, 2)).pvalue > 1e-3
    correlations = latent.T.corrcoef() - torch.eye(9)
    correlations[4:7, 4:7] = 0  # those of a one-hot vector
    assert correlations.abs().max() < 0.08
    assert torch.equal(model.join_latent(noise, category.argmax(dim=2), codes), latent)


def test_several_categorical_codes_are_independent():
    model = small(latent_dim=4, categories=3, categorical_codes=2, continuous_codes=1)
    latent = model.prior(3000)
    assert latent.shape == (3000, 4 + 2 * 3 + 1)
    noise, category, codes = model.split_latent(latent)
    assert torch.equal(category.flatten(1), latent[:, 4:10])
    assert torch.equal(category.sum(dim=2), torch.ones(3000, 2))
    pairs = category[:, 0].argmax(dim=1) * 3 + category[:, 1].argmax(dim=1)
    assert chisquare(pairs.bincount(minlength=9)).pvalue > 1e-3
    assert torch.equal(model.join_latent(noise, category.argmax(dim=2), codes), latent)
    assert torch.equal(model.project(latent), latent)
    logits, means = model.recognize(model.discriminator(model.sample(5))[1])
    assert (logits.shape, means.shape) == ((5, 2, 3), (5, 1))


@pytest.mark.parametrize(("batch", "share"), [(1, 0.1), (5, 0.5), (10, 1.0), (25, 1.0)])
def test_lambda_rises_within_its_warmup_in_both_losses(batch, share, monkeypatch):
    real = {"image": 2 * torch.rand(16, 1, 8, 8) - 1}
    monkeypatch.setattr(InfoGAN, "clock", batch)
    model = small(warmup=10, information_weight=2.0, recognition_weight=0.5)
    weights = {"generator_loss": 2.0, "discriminator_loss": 0.5}
    for loss, weight in weights.items():
        values = []
        for bound in (0.0, 1.0):
            model.information_bound = lambda information, error, bound=bound: bound
            torch.manual_seed(3)
            values.append(getattr(model, loss)(real).item())
        assert values[0] - values[1] == pytest.approx(share * weight, abs=1e-5)


def test_the_bound_reaches_generator_trunk_and_recognition_but_not_the_logits_head():
    model = small()
    latent = model.prior(16)
    _, features = model.discriminator(model.sample(16, {"latent": latent}))
    (-model.information_bound(*model.information(features, latent))).backward()
    for network in (model.generator, model.discriminator.trunk, model.recognition):
        assert moved(network) == (True, True)
    assert moved(model.discriminator.head) == (False, False)


@pytest.mark.parametrize("part", [0, 1], ids=["category", "codes"])
def test_each_part_of_the_bound_reaches_the_generator(part):
    model = small()
    latent = model.prior(16)
    _, features = model.discriminator(model.sample(16, {"latent": latent}))
    model.information(features, latent)[part].backward()
    assert moved(model.generator) == (True, True)


def test_the_losses_are_the_gans_minus_the_weighted_bound():
    """The discriminator's has recognition_weight, the generator's information_weight."""
    batch = {"image": 2 * torch.rand(16, 1, 8, 8) - 1}
    model = small(information_weight=3.0, recognition_weight=0.5, continuous_weight=0.25)

    torch.manual_seed(1)
    latent = model.prior(16)
    real, _ = model.discriminator(batch["image"])
    fake, features = model.discriminator(model.sample(16, {"latent": latent}))
    information, error = model.information(features, latent)
    bound = information - 0.25 * error

    torch.manual_seed(1)
    expected = gan_discriminator_loss(real, fake) - 0.5 * bound
    assert model.discriminator_loss(batch).item() == pytest.approx(expected.item(), abs=1e-6)
    torch.manual_seed(1)
    expected = nonsaturating_generator_loss(fake) - 3 * bound
    assert model.generator_loss(batch).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_in_each_turn_the_bound_updates_its_player(weight):
    """With a blind head, nothing else does."""
    model = small(information_weight=weight, recognition_weight=weight)
    nn.init.zeros_(model.discriminator.head[0].weight)
    batch = {"image": torch.rand(8, 1, 8, 8)}
    model.generator_loss(batch).backward()
    assert moved(model.generator) == (weight > 0, weight > 0)
    model.zero_grad()
    model.discriminator_loss(batch).backward()
    for network in (model.discriminator.trunk, model.recognition):
        assert moved(network) == (weight > 0, weight > 0)


def test_the_discriminators_turn_updates_recognition_and_leaves_the_generator_unchanged():
    model = small()
    model.discriminator_loss({"image": torch.rand(8, 1, 8, 8)}).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert moved(model.discriminator) == moved(model.recognition) == (True, True)


def test_the_optimizers_are_in_the_order_of_the_updates():
    model = small()
    first, second = model.configure_optimizers()
    both = [*model.discriminator.parameters(), *model.recognition.parameters()]
    for optimizer, parameters, lr in ((first, both, 2e-4), (second, [], 1e-3)):
        parameters = parameters or list(model.generator.parameters())
        optimized = [p for group in optimizer.param_groups for p in group["params"]]
        assert {id(p) for p in optimized} == {id(p) for p in parameters}
        assert {(g["lr"], g["betas"]) for g in optimizer.param_groups} == {(lr, (0.5, 0.999))}


def test_the_defaults_are_the_papers():
    hp = InfoGAN(width=4).hparams
    expected = {"latent_dim": 62, "categories": 10, "continuous_codes": 2, "network": "infogan"}
    expected |= {"information_weight": 1, "recognition_weight": 1, "continuous_weight": 1}
    expected |= {"warmup": 0}
    assert {name: hp[name] for name in expected} == expected
    assert InfoGAN(width=4).prior(2).shape == (2, 74)


@pytest.mark.parametrize("network", ["infogan", "mlp", "dcgan"])
def test_features_are_the_inputs_of_the_last_linear_layer(network):
    model = small(network=network).eval()
    images = 2 * torch.rand(5, 1, 8, 8) - 1
    logit, features = model.discriminator(images)
    last = model.discriminator.head[0]
    expected = features @ last.weight.flatten(1).T
    expected = expected if last.bias is None else expected + last.bias
    assert features.shape == (5, model.discriminator.features)
    torch.testing.assert_close(logit, expected.squeeze(1))
    torch.testing.assert_close(logit, model.discriminate(images, {}))


def test_wrong_settings_are_refused():
    with pytest.raises(
        ValueError, match=r"InfoGAN needs a discriminator that is a torch\.nn\.Sequential"
    ):
        small(network="resnet")
    with pytest.raises(ValueError, match="categories=1 must be at least 2"):
        small(categories=1)


class Writing(InfoGAN):
    """Writes its category and its codes into the first pixels, and reads them there."""

    def sample(self, count, given=None):
        latent = given["latent"] if given else self.prior(count)
        _, category, codes = self.split_latent(latent)
        written = torch.cat([category.flatten(1), codes], dim=1)
        rest = torch.zeros(count, 64 - written.shape[1])
        return torch.cat([written, rest], dim=1).view(-1, 1, 8, 8)

    def recognize(self, features):
        category, codes = self.split_codes(features[:, : self.code_outputs()])
        return 1000 * category, codes


class Pixels(nn.Module):
    features = 64

    def forward(self, images):
        return images.sum(dim=(1, 2, 3)), images.flatten(1)


class Written(kit.Toy):
    """Images with one bright pixel; `wrong` of them have another's label."""

    wrong = 0

    def load(self, split):
        label = torch.arange(100) % 10
        images = torch.zeros(100, 64, dtype=torch.uint8)
        images[torch.arange(100), (label + 3) % 10] = 255
        seen = label.clone()
        if split == "test":
            seen[: self.wrong] = (seen[: self.wrong] + 1) % 10
        return images.view(-1, 1, 8, 8), seen


def test_what_is_measured_of_a_model_that_makes_no_mistake():
    model, data = small(Writing).eval(), Written()
    model.discriminator = Pixels()
    expected = {
        "mutual_information_2k": LN10,
        "code_error_2k": 0.0,
        "accuracy_of_clusters_test": 1.0,
    }
    found = model.measure(data, "test")
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    data = Written()
    data.wrong = 20
    assert model.measure(data, "test")["accuracy_of_clusters_test"] == 0.8
    data.classes = 0
    assert not [name for name in model.measure(data, "test") if "accuracy" in name]
    alone = small(Writing, continuous_codes=0).eval()
    alone.discriminator = Pixels()
    assert "code_error_2k" not in alone.measure(data, "test")


def test_each_categorical_code_is_matched_with_the_classes():
    """The first code reads the bright pixel, the second one sees nothing."""
    model, data = small(Writing, categorical_codes=2).eval(), Written()
    model.discriminator = Pixels()
    found = model.measure(data, "test")
    assert found["mutual_information_2k"] == pytest.approx(2 * LN10)
    assert found["accuracy_of_clusters_code1_test"] == 1.0
    assert found["accuracy_of_clusters_code2_test"] == pytest.approx(0.1)


def test_the_figures_of_several_categorical_codes(monkeypatch):
    samples = []
    monkeypatch.setattr(code_sweeps, "latents_panel", lambda model, z, columns: samples.append(z))
    model = small(categories=3, categorical_codes=2, continuous_codes=1).eval()
    assert list(model.figures(None)) == ["categories_1", "categories_2", "code_1"]
    for number, other in ((0, 1), (1, 0)):
        category = model.split_latent(samples[number])[1].argmax(dim=2).view(10, 3, 2)
        assert torch.equal(category[..., number], torch.arange(3).expand(10, -1))
        assert torch.equal(category[..., other], category[:, :1, other].expand(-1, 3))
        assert len(category[..., other].unique()) == 3
    category = model.split_latent(samples[2])[1].argmax(dim=2)
    assert category[:, 0].tolist() == [c for c in range(3) for _ in range(11)]
    assert len(category[:, 1].unique()) == 1


@pytest.mark.parametrize("categories", [3, 10, 12])
def test_each_row_of_a_figure_varies_one_code(categories, monkeypatch):
    samples, latents_panel = [], code_sweeps.latents_panel

    def recording(model, latent, columns):
        samples.append((latent, columns))
        return latents_panel(model, latent, columns)

    monkeypatch.setattr(code_sweeps, "latents_panel", recording)
    model = small(categories=categories).eval()
    with torch.no_grad():
        figures = model.figures(None)
    assert list(figures) == ["categories", "code_1", "code_2"]
    for figure in figures.values():
        assert (figure.dtype, len(figure)) == (torch.uint8, 3)
    latent, columns = samples[0]
    rows = latent.view(10, categories, -1)
    assert columns == categories
    assert torch.equal(rows[:, :, 4 : 4 + categories], torch.eye(categories).expand(10, -1, -1))
    for same in (rows[..., :4], rows[..., -2:]):
        assert torch.equal(same, same[:, :1].expand_as(same))
        assert len(same[:, 0].unique(dim=0)) == 10
    for number, varied, other in ((1, -2, -1), (2, -1, -2)):
        latent, columns = samples[number]
        rows = latent.view(min(categories, 10), columns, -1)
        torch.testing.assert_close(rows[0, :, varied], torch.linspace(-2, 2, columns))
        assert torch.equal(rows[..., varied], rows[:1, :, varied].expand_as(rows[..., varied]))
        assert not rows[..., other].any()
        assert len(rows[..., :4].reshape(-1, 4).unique(dim=0)) == 1
        assert rows[:, 0, 4:-2].argmax(dim=1).tolist() == list(range(min(categories, 10)))


def test_data_that_are_no_images_have_no_figures():
    model = small(network="mlp", image_size=1, image_channels=2)
    assert model.figures(None) == {}


def test_it_learns_codes_that_are_read_off_its_images(tmp_path):
    """Seconds of training use up the entropy of the category; unasked, the generator does not."""
    found = []
    for weight in (1.0, 0.0):
        torch.manual_seed(0)
        model = small(network="mlp", width=64, recognition_width=64, information_weight=weight)
        kit.fit(model, tmp_path, 300, Digits())
        with model.evaluating():
            found.append(model.measure(Digits(), "test"))
    asked, unasked = found
    assert asked["mutual_information_2k"] > 1.5
    assert asked["code_error_2k"] < 0.15
    assert unasked["mutual_information_2k"] < 0.5


def test_what_q_finds_is_logged_beside_the_losses(tmp_path):
    model = small()
    kit.fit(model, tmp_path, 1, log_every_n_steps=1)
    names = {"discriminator_loss", "generator_loss", "mutual_information", "code_error"}
    assert set(model.losses) == names
