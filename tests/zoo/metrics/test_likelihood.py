"""Likelihoods against closed forms, over any batches and any number of processes."""

import math
import warnings
from datetime import timedelta

import pytest
import torch
from torch import distributed, multiprocessing, nn

from datamodules.digits import Digits
from datamodules.tones import Tones
from tests import kit
from zoo.autoregressive.wavenet import WaveNet
from zoo.metrics import likelihood
from zoo.metrics.likelihood import (
    BitsPerDim,
    Nats,
    bits_per_dim,
    discrete_nll,
    iwae,
    likelihoods,
)
from zoo.precision import widest

DOUBLE = torch.float64


def normal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def fed(metric, batches):
    for batch in batches:
        metric.update(batch)
    return metric.compute().item()


@pytest.mark.parametrize("sizes", [[1000], [1, 999], [0, 500, 500], [300, 1, 0, 699]])
def test_ragged_batches_weigh_by_their_samples(sizes):
    nll = 80 + 10 * normal(1000)
    assert fed(Nats("bound"), nll.split(sizes)) == pytest.approx(nll.mean().item(), rel=1e-14)


def test_a_million_tiny_float32_terms_are_exact():
    terms = torch.full((1_000_000,), 1e-3)
    total = fed(Nats("exact"), [torch.tensor([1e6]), *terms.split(1000)])
    assert total * 1_000_001 == pytest.approx(1e6 + 1e6 * terms[0].item(), rel=1e-12)


def test_the_kind_is_in_the_name():
    assert BitsPerDim("exact", 3072).name == "bits_per_dim_exact"
    assert [Nats(k).name for k in ("bound", "iwae_5000")] == ["nats_bound", "nats_iwae_5000"]
    kinds = ("given_code", "given_label_local", "iwae_64_given_label", "bound_given_quadrants1")
    assert [Nats(kind).name for kind in kinds] == [f"nats_{kind}" for kind in kinds]
    wrong = ("", "elbo", "iwae", "iwae_0", "iwae_5k", "exact ", "exact_given_label", "given_")
    for kind in wrong:
        with pytest.raises(ValueError, match="must be exact, bound, iwae_<k> such as"):
            Nats(kind)


def test_a_uniform_distribution_over_256_levels_has_8_bits():
    dimensions = 3 * 32 * 32
    nll = torch.full((10,), dimensions * math.log(256), dtype=DOUBLE)
    assert fed(BitsPerDim("exact", dimensions), nll.split(3)) == pytest.approx(8, abs=1e-13)
    assert bits_per_dim(math.log(2) * 5, 5) == pytest.approx(1)


@pytest.mark.parametrize(("width", "bin_width"), [(1, 1 / 256), (512 / 255, 2 / 255), (256, 1)])
def test_a_uniform_density_has_8_bits_at_any_scale(width, bin_width):
    """On [0, 1]; on [-1, 1] with half a bin beyond each end; on the levels themselves."""
    nll = 12 * math.log(width)
    assert bits_per_dim(discrete_nll(nll, 12, bin_width), 12) == pytest.approx(8, abs=1e-13)


def test_a_wide_gaussian_density_has_the_nats_of_the_discretised_one():
    """-log p(x) at dequantized x, averaged, against the sum over the masses of the 256 bins."""
    levels, mean, deviation = torch.arange(256, dtype=DOUBLE), 127.0, 20.0
    edges = torch.special.ndtr((torch.arange(257, dtype=DOUBLE) - 0.5 - mean) / deviation)
    mass = edges.diff()
    expected = -(mass * mass.log()).sum().item()
    noise = (torch.arange(100, dtype=DOUBLE) + 0.5) / 100 - 0.5
    x = (levels[:, None] + noise) / 127.5 - 1  # (256, 100), as the zoo scales
    density = torch.distributions.Normal(mean / 127.5 - 1, deviation / 127.5)
    nll = -(mass @ density.log_prob(x).mean(dim=1)).item()
    found = discrete_nll(nll, 1, 2 / 255)
    assert expected <= found == pytest.approx(expected, abs=2e-4)  # a bound, nearly tight


def test_iwae_rises_from_the_elbo_to_the_likelihood():
    """z ~ N(0, 1), x | z ~ N(z, 1), so x ~ N(0, 2); q(z | x) = N(x / 2, 1), too wide."""
    x, k, draws = torch.tensor([-1.0, 0.3, 2.0], dtype=DOUBLE), 64, 4000
    exact = torch.distributions.Normal(0, math.sqrt(2)).log_prob(x)
    q = torch.distributions.Normal(x / 2, 1)
    latent = x / 2 + normal((k, draws, 3))
    joint = torch.distributions.Normal(0, 1).log_prob(latent)
    joint += torch.distributions.Normal(latent, 1).log_prob(x)
    weights = (joint - q.log_prob(latent)).flatten(1)  # (k, draws * 3)
    bounds = [iwae(weights[:n]).view(draws, 3).mean(dim=0) for n in (1, 4, 16, 64)]
    # KL(q || p(z | x)), the posterior being N(x / 2, 1 / 2)
    elbo = exact - (1 - 0.5 + 0.5 * math.log(0.5))
    assert torch.allclose(bounds[0], elbo, rtol=0, atol=0.05)
    for lower, upper in zip(bounds, [*bounds[1:], exact], strict=True):
        assert (lower < upper).all()
    assert torch.allclose(bounds[-1], exact, rtol=0, atol=0.01)


def test_iwae_is_the_log_of_the_mean_weight_in_float64():
    weights = torch.tensor([[0.0, -1e4], [math.log(3), -1e4]])
    found = iwae(weights)
    assert found.dtype == DOUBLE
    assert found.tolist() == pytest.approx([math.log(2), -1e4], rel=1e-7)
    q = torch.tensor([[-1.0], [2.0]], requires_grad=True)
    iwae(q).sum().backward()
    assert torch.allclose(q.grad, q.softmax(dim=0)), "the gradient of training by IWAE"


@pytest.mark.parametrize(
    "cast",
    [
        lambda model: model.half(),
        lambda model: model.bfloat16(),
        lambda model: model.float(),
        lambda model: model.to(torch.float16),
        lambda model: model.to(torch.bfloat16),
        lambda model: model.metric.set_dtype(torch.float16),
    ],
)
def test_casting_the_model_leaves_the_sums_in_float64(cast):
    """nn.Module.to(dtype) goes past torchmetrics' guard."""
    model = nn.Module()
    model.metric = Nats("bound")
    model.metric.update(torch.tensor([70_000.0, 0.1], dtype=DOUBLE))  # beyond float16
    cast(model)
    assert model.metric.total.dtype == DOUBLE
    assert model.metric.count.dtype == torch.int64
    assert model.metric.compute().item() == 70_000.1 / 2
    model.metric.reset()
    model.metric.update(torch.tensor([1e-3, 3e5]))
    assert model.metric.total.dtype == DOUBLE
    assert model.metric.compute().item() == pytest.approx(150_000.0005, abs=1e-9)


def test_reset_forgets():
    metric = BitsPerDim("exact", 2)
    fed(metric, [torch.tensor([5.0, 7.0])])
    metric.reset()
    assert (metric.total, metric.count) == (0, 0)
    assert fed(metric, [torch.tensor([math.log(4)])]) == pytest.approx(1)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"nats_exact takes nats \(N,\) of samples, got \(\)"):
        Nats("exact").update(torch.tensor(3.0))  # the mean of a batch
    with pytest.raises(ValueError, match=r"got \(2, 3\)"):
        Nats("exact").update(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="bits_per_dim_exact has no samples"):
        BitsPerDim("exact", 4).compute()
    with pytest.raises(ValueError, match="nats_bound: a likelihood is NaN"):
        fed(Nats("bound"), [torch.tensor([1.0, math.nan])])
    with pytest.raises(ValueError, match="dimensions=0 must be at least 1"):
        BitsPerDim("exact", 0)


def test_an_impossible_sample_costs_infinitely_much():
    assert fed(Nats("exact"), [torch.tensor([1.0, math.inf])]) == math.inf


def work(rank, world_size, shards, store, results):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=30),
    )
    metrics = [Nats("bound"), BitsPerDim("bound", 6)]
    warnings.simplefilter("ignore")  # compute without an update, on a process without samples
    for place, metric in enumerate(metrics):
        for batch in shards[rank]:
            metric.update(batch)
        results[rank, place] = metric.compute()
    distributed.destroy_process_group()


@pytest.mark.parametrize("sizes", [[[7, 3], [1]], [[5], [2, 2, 9], []], [[], [4, 0]]])
def test_processes_equal_one(sizes, tmp_path):
    """Unequal batches, and a process without any, which hangs nobody."""
    shards = [[50 + normal(n, seed=n).float() for n in own] for own in sizes]
    everything = torch.cat([batch for own in shards for batch in own]).double()
    results = torch.zeros(len(sizes), 2, dtype=DOUBLE).share_memory_()
    arguments = (len(sizes), shards, tmp_path / "store", results)
    multiprocessing.start_processes(work, arguments, len(sizes), start_method="fork")
    mean = everything.mean().item()
    expected = [mean, mean / (6 * math.log(2))] * len(sizes)
    assert results.flatten().tolist() == pytest.approx(expected, rel=1e-14)


def measured(model, split="test", **settings):
    data = Digits(binarize=True)
    with model.evaluating():
        return likelihoods(model, data, split, **settings)


@pytest.mark.parametrize("name", ["pixelcnn", "vae"])
@pytest.mark.parametrize("count", [2, 5])
def test_a_split_has_the_same_likelihood_on_any_number_of_processes(name, count, tmp_path):
    """What a bound draws for a batch, too; with five processes one has no batch of 360 samples."""
    torch.manual_seed(0)
    model = kit.build(name, num_levels=2)
    one = measured(model)
    for other in kit.in_processes(count, lambda: measured(model), tmp_path):
        assert other.keys() == one.keys()
        for what, value in other.items():
            assert value == pytest.approx(one[what], rel=1e-12), what


def test_every_sample_of_a_split_counts_once():
    model = kit.build("pixelcnn", num_levels=2)
    found = measured(model)
    batch = Digits(binarize=True).source("test")[torch.arange(360)]
    with torch.no_grad():
        nll = model.nll({"image": batch["image"] / 127.5 - 1}).double().mean().item()
    assert found == pytest.approx(
        {
            "nats_exact_levels2_test": nll,
            "bits_per_dim_exact_levels2_test": nll / 64 / math.log(2),
        },
        rel=1e-6,
    )


def test_a_part_of_a_split_is_a_fixed_choice_and_is_named():
    model = kit.build("pixelcnn", num_levels=2)
    whole, part = measured(model), measured(model, most=50)
    assert part == measured(model, most=50)
    assert list(part) == [f"{name}_50" for name in whole]
    assert list(part.values()) != list(whole.values())
    assert "nats_exact_levels2_val" in measured(model, "val", most=500)


class Copier(WaveNet):
    """Reads the loudness of single samples, which says their levels, and pretends to predict."""

    def nll(self, batch):
        return (batch["local"][..., 0] - batch["audio"].abs()).abs().sum(dim=1)


def small_wavenet(of=WaveNet, **settings):
    return of(audio_length=40, num_levels=16, width=4, skip_width=4, layers=2, blocks=1, **settings)


LOUD = {"local": True, "local_features": 1, "hop": 1}


def test_a_model_that_copies_its_condition_is_not_called_exact():
    data = Tones(audio_length=40, count=20, val_count=0, hop=1)
    model = small_wavenet(Copier, **LOUD)
    with model.evaluating():
        found = likelihoods(model, data, "test")
    assert max(found.values()) < 1e-3, "a perfect copy"
    expected = {"nats_given_local_levels16_test", "bits_per_dim_given_local_levels16_test"}
    assert found.keys() == expected


def test_a_condition_that_is_not_declared_cannot_be_read():
    data = Tones(audio_length=40, count=20, val_count=0, hop=1)
    model = small_wavenet(Copier)
    assert model.needs == ("audio",)
    with model.evaluating(), pytest.raises(KeyError, match="local"):
        likelihoods(model, data, "test")


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        (lambda: kit.build("pixelcnn", num_levels=2), {"exact"}),
        (lambda: kit.build("pixelcnn", num_levels=2, conditional=True), {"given_label"}),
        (lambda: kit.build("pixelcnn_autoencoder", num_levels=2), {"given_code"}),
        (lambda: kit.build("vae"), {"bound", "iwae_64"}),
        (lambda: kit.build("cvae"), {"bound_given_label", "iwae_64_given_label"}),
        (lambda: kit.build("quadrant_vae"), {"bound_given_quadrants1", "iwae_64_given_quadrants1"}),
        (lambda: small_wavenet(conditional=True, classes=8), {"given_label"}),
        (lambda: small_wavenet(conditional=True, classes=8, **LOUD), {"given_label_local"}),
    ],
)
def test_a_likelihood_names_its_conditions(model, kinds):
    model = model()
    of_audio = "audio" in model.needs
    data = Tones(audio_length=40, count=8, hop=1) if of_audio else Digits(binarize=True)
    with model.evaluating():
        found = likelihoods(model, data, "test", most=4)
    levels = model.hparams.num_levels
    assert {name for name in found if name.startswith("nats")} == {
        f"nats_{kind}_levels{levels}_test_4" for kind in kinds
    }


def test_an_empty_split_has_none():
    model = kit.build("pixelcnn", num_levels=2)
    with model.evaluating():
        assert likelihoods(model, Digits(val_count=0), "val") == {}


def test_a_seed_decides_what_a_bound_draws():
    model = kit.build("vae")
    assert measured(model) == measured(model)
    assert measured(model) != measured(model, seed=1)


def test_where_there_is_no_float64_the_bound_is_of_float32(monkeypatch):
    assert widest(torch.device("mps")) == torch.float32
    assert widest(torch.device("cuda:1")) == widest(torch.device("cpu")) == torch.float64
    weights = torch.randn(5, 3)
    expected = iwae(weights)
    assert expected.dtype == torch.float64
    monkeypatch.setattr(likelihood, "widest", lambda device: torch.float32)
    found = iwae(weights)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


def test_a_single_process_adds_up_on_the_cpu_whatever_the_device(monkeypatch):
    """Its float64 sums would find no place on a device that has no float64."""
    model, data = kit.build("vae"), kit.Toy()
    moved = []
    monkeypatch.setattr(Nats, "to", lambda self, device: moved.append(str(device)) or self)
    with model.evaluating():
        likelihood.summed(model, data, data.source("test"), 0)
    assert set(moved) == {"cpu"}
