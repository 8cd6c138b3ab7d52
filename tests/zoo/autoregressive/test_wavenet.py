"""Probabilities, causality, and step-by-step sampling of WaveNet."""

from itertools import product

import pytest
import torch

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.audio_folder import AudioFolder
from datamodules.tones import Tones
from tests import kit
from zoo.autoregressive.wavenet import WaveNet
from zoo.engine.seeds import reseed
from zoo.engine.weight_averages import Averages
from zoo.media.audio import to_int16

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
    """Each sample depends on the last `receptive_field` ones. See test_causality."""
    places = torch.arange(model.hparams.audio_length)
    return places - places[:, None] <= model.network.receptive_field


def naive(model, noise, given):
    """Draw with a pass over the whole audio for each sample."""
    count, length, _ = noise.shape
    levels, condition = torch.zeros(count, length, dtype=torch.int64), model.condition(given)
    for t in range(length):
        levels[:, t] = model.distribution.choose(
            model.network(levels, condition)[:, t], noise[:, t]
        )
    return model.distribution.decode(levels, torch.float64)


@pytest.mark.parametrize("output", ["mulaw", "logistic"])
@pytest.mark.parametrize("layers", [1, 3])
def test_outputs_depend_only_on_the_receptive_field(output, layers):
    """2 of the first convolution, plus the dilations of the layers."""
    model = small(output=output, layers=layers, skip_width=64)
    model.network.embedding.weight.data *= 10
    reach = model.network.receptive_field
    assert reach == 2 + 2 * (2**layers - 1)
    audio = noise(1)
    before = model.elementwise_nll({"audio": audio})[0, -1]
    for back in range(1, 30):
        changed = audio.clone()
        changed[:, -1 - back] *= -1
        same = torch.equal(model.elementwise_nll({"audio": changed})[0, -1], before)
        assert same == (back > reach), back


@pytest.mark.parametrize("output", ["mulaw", "logistic"])
@pytest.mark.parametrize("given", [{}, EVERYTHING])
def test_the_probabilities_of_all_sequences_sum_to_one(output, given):
    model = small(output=output, num_levels=2, **given)
    every = torch.tensor(list(product([-1.0, 1.0], repeat=4)), dtype=torch.float64)
    batch = {"audio": every, "label": torch.ones(16, dtype=torch.int64)}
    batch["local"] = torch.ones(16, 1, 2, dtype=torch.float64)
    nll = model.nll(batch)
    assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert nll.max() - nll.min() > 0.1


@pytest.mark.parametrize("given", [{}, EVERYTHING])
@pytest.mark.parametrize(("output", "levels"), [("mulaw", 256), ("logistic", 65536)])
def test_steps_equal_a_pass_over_the_whole_audio(output, levels, given):
    model = small(output=output, num_levels=levels, **given)
    levels, condition = model.distribution.encode(noise()), model.condition(conditions(5))
    with torch.no_grad():
        whole, steps = model.network(levels, condition), model.network.steps(5, condition)
        stepwise = [steps(levels[:, t - 1] if t else None) for t in range(40)]
    torch.testing.assert_close(torch.stack(stepwise, dim=1), whole, rtol=0, atol=1e-12)
    assert whole.std(dim=1).min() > 1e-3


@pytest.mark.parametrize("given", [{}, EVERYTHING])
@pytest.mark.parametrize(("output", "levels"), [("mulaw", 256), ("logistic", 65536)])
def test_the_same_uniforms_draw_the_same(output, levels, given):
    """Step by step, by whole passes, and again; also with averaged and with new weights."""
    model = small(output=output, num_levels=levels, **given)

    def check():
        uniforms = []
        for draw in (
            lambda: torch.rand(5, 40, model.distribution.uniforms),
            lambda: model.sample(5, batch),
        ):
            reseed(model.device, 3)
            uniforms.append(draw())
        expected = naive(model, uniforms[0], batch)
        assert torch.equal(uniforms[1], expected)
        reseed(model.device, 3)
        assert torch.equal(model.sample(5, batch), expected)
        return expected

    batch = conditions(5)
    first = check()
    model.nll({"audio": noise(), **batch}).mean().backward()
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    assert not torch.equal(check(), first)
    model.averages = Averages({"network": small(output=output, num_levels=levels, **given).network})
    with model.evaluating():
        assert torch.equal(check(), first)


def test_samples_outside_the_mask_are_kept_and_change_what_follows():
    model, audio = small(num_levels=16), noise()
    mask = torch.ones(5, 40)
    mask[:, 5:20] = 0
    draws = []
    for known in (audio, -audio):
        reseed(model.device, 0)
        draws.append(model.sample(5, {"audio": known, "mask": mask}))
        assert torch.equal(draws[-1][:, 5:20], known[:, 5:20]), "not quantized"
    assert torch.equal(draws[0][:, :5], draws[1][:, :5])
    assert not torch.equal(draws[0][:, 20:], draws[1][:, 20:])
    reseed(model.device, 0)
    free = model.sample(5, {"audio": audio})
    assert torch.equal(free[:, :5], draws[0][:, :5])
    assert not torch.equal(free[:, 5:20], audio[:, 5:20])


def test_labels_act_in_every_layer_and_frames_on_their_samples():
    model = small(**EVERYTHING)
    batch = conditions(2) | {"audio": noise(2)}
    before = model.elementwise_nll(batch)
    for layer in model.network.layers:
        weight = layer.condition.weight.detach().clone()
        layer.condition.weight.data[:] = 0
        assert not torch.equal(model.elementwise_nll(batch), before)
        layer.condition.weight.data[:] = weight
    other = model.elementwise_nll(batch | {"label": batch["label"] + 1})
    assert (other != before).all()
    local = batch["local"].clone()
    local[:, 1] += 1
    changed = model.elementwise_nll(batch | {"local": local}) != before
    assert changed.any(dim=0).nonzero().flatten().tolist() == list(range(16, 40))
    local = batch["local"].clone()
    local[:, 2] += 1
    changed = model.elementwise_nll(batch | {"local": local}) != before
    assert changed.any(dim=0).nonzero().flatten().tolist() == list(range(32, 40))


def test_default_conditions_are_random_labels_and_the_mean_local_ones(tmp_path):
    data = Tones(batch_size=8, audio_length=64, count=24, val_count=0)
    shape = {"audio_length": 64, "classes": 8, "local_features": 1, "hop": 50}
    model = kit.build("wavenet", conditional=True, local=True, **shape)
    kit.fit(model, tmp_path, 3, data)
    seen = data.on_after_batch_transfer(data.source("train")[torch.arange(24)], 0)["local"]
    torch.testing.assert_close(model.mean_local, seen.mean(dim=0))
    samples = model.default_conditions(1000)
    assert samples["label"].unique().tolist() == list(range(8))
    assert torch.equal(samples["local"][7], model.mean_local)
    assert model.sample(3).shape == (3, 64)


def test_likelihoods_are_float32_under_autocast():
    model = small(output="logistic", num_levels=65536).float()
    audio = noise().float()
    with torch.autocast("cpu", torch.bfloat16):
        nll = model.elementwise_nll({"audio": audio})
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, model.elementwise_nll({"audio": audio}), rtol=0.1, atol=0.1)


def test_sampling_works_under_autocast():
    """Samples are the same as without it."""
    model, draws = small(**EVERYTHING).float(), []
    for enabled in (False, True):
        reseed(model.device, 0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            draws.append(model.sample(5, conditions(5)))
    assert torch.equal(*draws)


@pytest.mark.parametrize("output", ["mulaw", "logistic"])
def test_half_precision_keeps_16_bits(output, tmp_path):
    data = Tones(batch_size=8, audio_length=64, count=24, val_count=0)
    shape = {"audio_length": 64, "classes": 8, "local_features": 1, "hop": 50, "num_levels": 65536}
    model = kit.build("wavenet", output=output, conditional=True, local=True, **shape)
    kit.fit(model, tmp_path, 2, data, precision="bf16-true")
    assert model.dtype == torch.bfloat16
    assert model.mean_local.dtype == torch.float32, "a running mean of many steps"
    batch = data.source("train")[torch.arange(24)]
    audio = data.on_after_batch_transfer(dict(batch), 0)["audio"]
    assert torch.equal(to_int16(audio), batch["audio"])
    levels = model.distribution.encode(audio)
    assert torch.equal(
        model.distribution.encode(model.distribution.decode(levels, torch.float32)), levels
    )
    assert len(model.sample(8).unique()) > 256, "more than bfloat16 has in an octave"


def test_nothing_is_sampled_for_data_without_audio_metrics():
    model = small(conditional=True, classes=8, audio_length=400)
    data = Tones(audio_length=400)
    assert set(model.measure(data, "test")) == {"accuracy_pitch", "accuracy_pitch_sustained"}
    model.sample = None
    assert model.measure(AudioFolder(), "test") == {}


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"output='alaw': choose one of mulaw, logistic"):
        WaveNet(output="alaw")
    with pytest.raises(ValueError, match=r"num_levels=1 must be at least 2"):
        WaveNet(num_levels=1)
    with pytest.raises(ValueError, match="needs data with labels"):
        WaveNet(conditional=True)
    with pytest.raises(ValueError, match="needs data with local conditions"):
        WaveNet(local=True)
    for name in ("width", "skip_width", "layers", "blocks", "mixtures"):
        with pytest.raises(ValueError, match=f"model.{name}=0 must be at least 1"):
            WaveNet(output="logistic", **{name: 0})
    with pytest.raises(ValueError, match=r"mask has shape \(5, 1, 40\)"):
        small().sample(5, {"audio": noise(), "mask": torch.ones(5, 1, 40)})
    few = conditions(5) | {"local": conditions(5)["local"][:, :2]}
    for call in (
        lambda: small(**EVERYTHING).sample(5, few),
        lambda: small(**EVERYTHING).nll(few | {"audio": noise()}),
    ):
        with pytest.raises(ValueError, match="local: 2 frames of 16 are fewer than 40"):
            call()


def test_it_learns_tones(tmp_path):
    """Within seconds it is better than the frequencies of the levels: 7.5 bits."""
    sizes = {"audio_length": 400, "width": 16, "skip_width": 32, "layers": 6, "blocks": 1}
    torch.manual_seed(0)
    model = WaveNet(**sizes, classes=8, conditional=True, lr=1e-2)
    model.measure = lambda data, split: {}  # its samples are not listened to
    data = Tones(batch_size=16, audio_length=400, count=300, val_count=50)
    watching = [EMA(decay=0.9, players=("network",)), Metrics(every=0)]
    kit.fit(model, tmp_path, 80, data, callbacks=watching)
    untrained, trained = model.results["val/bits_per_dim_given_label_levels256_val"].values()
    assert untrained == pytest.approx(8, abs=0.2)
    assert trained < 6.2
