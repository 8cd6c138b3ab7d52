"""Levels and their probabilities, what a sample depends on, steps that equal the whole."""

import math
from itertools import product

import pytest
import torch

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.tones import Tones
from tests import kit
from zoo.autoregressive.wavenet import Logistic, MuLaw, WaveNet
from zoo.base import reseed

EVERYTHING = {"conditional": True, "classes": 3, "local": True, "local_features": 2, "hop": 16}


def small(**parameters):
    """In float64, a receptive field of 16 samples."""
    sizes = {"audio_length": 40, "width": 8, "skip_width": 12, "layers": 3, "blocks": 2}
    torch.manual_seed(0)
    return WaveNet(**sizes | parameters).double()


def conditions(count):
    generator = torch.Generator().manual_seed(1)
    local = torch.randn(count, 3, 2, generator=generator, dtype=torch.float64)
    return {"label": torch.arange(count) % 3, "local": local}


def noise(count=5, length=40):
    generator = torch.Generator().manual_seed(2)
    return torch.rand(count, length, generator=generator, dtype=torch.float64) * 2 - 1


def sees(model):
    """Of the samples before it, each depends on the last `receptive_field`; see test_causality."""
    places = torch.arange(model.hparams.audio_length)
    return places - places[:, None] <= model.network.receptive_field


def naive(model, noise, given):
    """Draws by a pass over everything before each sample."""
    count, length, _ = noise.shape
    levels, condition = torch.zeros(count, length, dtype=torch.int64), model.condition(given)
    for t in range(length):
        levels[:, t] = model.law.choose(model.network(levels, condition)[:, t], noise[:, t])
    return model.law.decode(levels, torch.float64)


@pytest.mark.parametrize("output", ["mulaw", "logistic"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_receptive_field_is_all_that_is_seen(output, layers):
    """2 of the first convolution, sum of the dilations of the others."""
    model = small(output=output, layers=layers, skip_width=64)
    model.network.embedding.weight.data *= 10
    reach = model.network.receptive_field
    assert reach == 2 + 2 * (2**layers - 1)
    audio = noise(1)
    before = model.surprisal({"audio": audio})[0, -1]
    for back in range(1, 30):
        changed = audio.clone()
        changed[:, -1 - back] *= -1
        same = torch.equal(model.surprisal({"audio": changed})[0, -1], before)
        assert same == (back > reach), back


@pytest.mark.parametrize("output", ["mulaw", "logistic"])
@pytest.mark.parametrize("given", [{}, EVERYTHING])
def test_the_probabilities_of_all_sequences_sum_to_one(output, given):
    model = small(output=output, levels=2, **given)
    every = torch.tensor(list(product([-1.0, 1.0], repeat=4)), dtype=torch.float64)
    batch = {"audio": every, "label": torch.ones(16, dtype=torch.int64)}
    batch["local"] = torch.ones(16, 1, 2, dtype=torch.float64)
    nats = model.nats(batch)
    assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert nats.max() - nats.min() > 0.1


def test_mu_law_is_that_of_the_paper():
    """f(x) = sign(x) ln(1 + 255 |x|) / ln 256, quantised to 256 levels."""
    law = MuLaw(256, mixtures=0)
    levels = torch.arange(256)
    audio = law.decode(levels, torch.float64)
    assert torch.equal(law.encode(audio), levels)
    assert audio[[0, 255]].tolist() == pytest.approx([-1, 1])
    assert torch.allclose(audio, -audio.flip(0))
    assert audio[191].item() == pytest.approx((256 ** (127 / 255) - 1) / 255)
    x = torch.tensor([0.0, 0.01, -0.5, 2.0])
    companded = [math.log(1 + 255 * v) / math.log(256) for v in (0.01, 0.5)]
    expected = [128, round(127.5 * (1 + companded[0])), round(127.5 * (1 - companded[1])), 255]
    assert law.encode(x).tolist() == expected
    assert law.encode(x.double()).tolist() == expected


def outputs(logits, means, log_scales):
    return torch.tensor([*logits, *means, *log_scales], dtype=torch.float64)[None, None]


def test_the_logistics_give_each_level_the_mass_of_its_bin():
    """Against the difference of the distribution function, where it has digits left."""
    law = Logistic(16, mixtures=2)
    out = outputs([0.3, -0.2], [-0.4, 0.5], [0.1, 1.5])
    levels = torch.arange(16)[None]
    nats = law.surprisal(out.expand(1, 16, -1), levels)[0]
    shares = torch.tensor([0.3, -0.2], dtype=torch.float64).softmax(dim=0)
    means = (torch.tensor([-0.4, 0.5], dtype=torch.float64) + 1) * 7.5
    scales = (torch.tensor([0.1, 1.5], dtype=torch.float64) - 2).exp() * 7.5
    edges = torch.tensor([-math.inf, *(k + 0.5 for k in range(15)), math.inf]).double()
    below = ((edges[:, None] - means) / scales).sigmoid() @ shares
    torch.testing.assert_close(nats, -below.diff().log())
    assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-14)


def test_the_logistics_are_exact_and_finite_far_from_their_means():
    """A level in the tail costs its distance over the scale, in nats; sums stay 1."""
    law = Logistic(65536, mixtures=1)
    out = outputs([0.0], [-0.9], [-6.0]).requires_grad_()
    mean, scale = 0.1 * 32767.5, math.exp(-8) * 32767.5
    far = law.surprisal(out, torch.tensor([[60000]]))
    mass = math.log(-math.expm1(-1 / scale))
    assert far.item() == pytest.approx((60000 - 0.5 - mean) / scale - mass, rel=1e-12)
    far.sum().backward()
    assert out.grad.isfinite().all()
    single = law.surprisal(out.detach().float(), torch.tensor([[60000]]))
    assert single.item() == pytest.approx(far.item(), rel=1e-5)
    for log_scale in (-20.0, -6.0, 3.0):
        every = outputs([0.0], [0.3], [log_scale]).expand(1, 65536, -1)
        nats = law.surprisal(every, torch.arange(65536)[None])
        assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("law", "out"),
    [
        (MuLaw(8, 0), torch.linspace(-1, 1, 8).double()[None, None]),
        (Logistic(8, 2), outputs([0.3, -0.2], [-0.4, 0.9], [1.0, 0.5])),
    ],
)
def test_levels_are_drawn_with_their_probabilities(law, out):
    """Of uniforms on a fine lattice, each level's share is its probability."""
    ticks = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    uniforms = torch.cartesian_prod(ticks, ticks) if law.draws == 2 else ticks[:, None]
    drawn = law.choose(out[0].expand(len(uniforms), -1), uniforms)
    shares = drawn.bincount(minlength=8).double() / len(uniforms)
    expected = (-law.surprisal(out.expand(1, 8, -1), torch.arange(8)[None])[0]).exp()
    torch.testing.assert_close(shares, expected, rtol=0, atol=3e-3)


@pytest.mark.parametrize("given", [{}, EVERYTHING])
@pytest.mark.parametrize(("output", "levels"), [("mulaw", 256), ("logistic", 65536)])
def test_steps_say_what_a_pass_over_the_whole_says(output, levels, given):
    model = small(output=output, levels=levels, **given)
    levels, condition = model.law.encode(noise()), model.condition(conditions(5))
    with torch.no_grad():
        whole, steps = model.network(levels, condition), model.network.steps(5, condition)
        said = [steps(levels[:, t - 1] if t else None) for t in range(40)]
    torch.testing.assert_close(torch.stack(said, dim=1), whole, rtol=0, atol=1e-12)
    assert whole.std(dim=1).min() > 1e-3


@pytest.mark.parametrize("given", [{}, EVERYTHING])
@pytest.mark.parametrize(("output", "levels"), [("mulaw", 256), ("logistic", 65536)])
def test_the_same_uniforms_draw_the_same(output, levels, given):
    """Step by step, by whole passes, and again; also with averaged and with new weights."""
    model = small(output=output, levels=levels, **given)

    def check():
        uniforms = []
        for draw in (lambda: torch.rand(5, 40, model.law.draws), lambda: model.sample(5, batch)):
            reseed(model.device, 3)
            uniforms.append(draw())
        expected = naive(model, uniforms[0], batch)
        assert torch.equal(uniforms[1], expected)
        reseed(model.device, 3)
        assert torch.equal(model.sample(5, batch), expected)
        return expected

    batch = conditions(5)
    first = check()
    model.nats({"audio": noise(), **batch}).mean().backward()
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    assert not torch.equal(check(), first)
    average = small(output=output, levels=levels, **given).network
    model.averages = {"network": average}
    with model.evaluating():
        assert torch.equal(check(), first)


def test_known_samples_stay_and_decide_what_follows():
    model, audio = small(levels=16), noise()
    mask = torch.ones(5, 40)
    mask[:, 5:20] = 0
    draws = []
    for known in (audio, -audio):
        reseed(model.device, 0)
        draws.append(model.sample(5, {"audio": known, "mask": mask}))
        assert torch.equal(draws[-1][:, 5:20], known[:, 5:20]), "as given, not at the levels"
    assert torch.equal(draws[0][:, :5], draws[1][:, :5])
    assert not torch.equal(draws[0][:, 20:], draws[1][:, 20:])
    reseed(model.device, 0)
    free = model.sample(5, {"audio": audio})
    assert torch.equal(free[:, :5], draws[0][:, :5])
    assert not torch.equal(free[:, 5:20], audio[:, 5:20])


def test_a_label_is_a_term_of_every_layer_and_a_frame_of_its_samples():
    model = small(**EVERYTHING)
    batch = conditions(2) | {"audio": noise(2)}
    before = model.surprisal(batch)
    for layer in model.network.layers:
        weight = layer.condition.weight.detach().clone()
        layer.condition.weight.data[:] = 0
        assert not torch.equal(model.surprisal(batch), before)
        layer.condition.weight.data[:] = weight
    other = model.surprisal(batch | {"label": batch["label"] + 1})
    assert (other != before).all()
    local = batch["local"].clone()
    local[:, 1] += 1
    changed = model.surprisal(batch | {"local": local}) != before
    assert changed.any(dim=0).nonzero().flatten().tolist() == list(range(16, 40))
    local = batch["local"].clone()
    local[:, 2] += 1
    changed = model.surprisal(batch | {"local": local}) != before
    assert changed.any(dim=0).nonzero().flatten().tolist() == list(range(32, 40))


def test_conditions_that_are_not_given_are_drawn_or_the_usual_ones(tmp_path):
    data = Tones(batch_size=8, audio_length=64, count=24, val_count=0)
    shape = {"audio_length": 64, "classes": 8, "local_features": 1, "hop": 50}
    model = kit.build("wavenet", conditional=True, local=True, **shape)
    kit.fit(model, tmp_path, 3, data)
    seen = data.on_after_batch_transfer(data.source("train")[torch.arange(24)], 0)["local"]
    torch.testing.assert_close(model.usual, seen.mean(dim=0))
    drawn = model.drawn(1000)
    assert drawn["label"].unique().tolist() == list(range(8))
    assert torch.equal(drawn["local"][7], model.usual)
    assert model.sample(3).shape == (3, 64)


def test_likelihoods_are_no_numbers_of_half_precision():
    model = small(output="logistic", levels=65536).float()
    audio = noise().float()
    with torch.autocast("cpu", torch.bfloat16):
        nats = model.surprisal({"audio": audio})
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, model.surprisal({"audio": audio}), rtol=0.1, atol=0.1)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"output='alaw': there are mulaw and logistic"):
        WaveNet(output="alaw")
    with pytest.raises(ValueError, match=r"levels=1 must be at least 2"):
        WaveNet(levels=1)
    with pytest.raises(ValueError, match="needs data with labels"):
        WaveNet(conditional=True)
    with pytest.raises(ValueError, match="needs data with local conditions"):
        WaveNet(local=True)


def test_it_learns_tones(tmp_path):
    """Within seconds it knows more of a sample than how often its level comes: 7.5 bits."""
    sizes = {"audio_length": 400, "width": 24, "skip_width": 32, "layers": 6, "blocks": 1}
    torch.manual_seed(0)
    model = WaveNet(**sizes, classes=8, conditional=True, lr=5e-3)
    data = Tones(audio_length=400, count=300, val_count=50)
    watching = [EMA(decay=0.9, players=("network",)), Metrics(every=0)]
    kit.fit(model, tmp_path, 100, data, callbacks=watching)
    untrained, trained = model.results["bits_per_dim_exact_levels256_val"].values()
    assert untrained == pytest.approx(8, abs=0.2)
    assert trained < 6.2
