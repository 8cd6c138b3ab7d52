"""Losses are computed in float32 whatever trainer.precision is, tested on each model and loss.

A model is trained in half precision, and what its networks give is recorded. Then it is trained in
float32 with the recorded outputs in place of its networks': the losses must be equal to float32
accuracy, which a loss computed in half precision misses by 0.4 %.
"""

import math
from contextlib import contextmanager

import pytest
import torch
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

import zoo
from callbacks.dragan import DRAGAN
from callbacks.ema import EMA
from callbacks.r1 import R1
from tests import kit
from zoo.base import GenerativeModule
from zoo.config import catalog
from zoo.media import masks
from zoo.precision import uniforms

HALF = ["bf16-true", "bf16-mixed"]
# A loss or penalty whose values depend on more than the outputs of networks.
SETTINGS = {"wgan_gp": {"penalty_weight": 0.0}}
HEADS = {
    "vae": [
        {"likelihood": "gaussian", "num_levels": 256},
        {"likelihood": "logistic", "num_levels": 256},
    ],
    "wavenet": [{"output": "logistic", "num_levels": 65536}],
    "improved_gan": [{"feature_matching": False, "minibatch_kernels": 3}],
    "lsgan": [{"a": -1.0, "b": 1.0, "c": 0.0}],
    "glo": [{"loss": "both"}],
    "sngan": [{"hinge": False}],
    "gan": [{"saturating": True, "label_smoothing": 0.1}],
    "segmentation_forecast": [{"space": "features"}, {"adversarial_weight": 0.0}],
}
CLASSES = {name: kit.class_of(catalog.describe("model", name).target) for name in zoo.models()}
CASES = [(name, settings) for name in zoo.models() for settings in [{}, *HEADS.get(name, [])]]


@pytest.fixture
def bfloat16_by_default():
    """As within a run of precision=bf16-true."""
    torch.set_default_dtype(torch.bfloat16)
    yield
    torch.set_default_dtype(torch.float32)


class SameDraws(TorchFunctionMode):
    """Noise that half precision can hold: the same numbers for both trainings."""

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        keywords = dict(keywords or {})
        if function in (torch.rand, torch.randn) and "generator" not in keywords:
            dtype = keywords.pop("dtype", torch.get_default_dtype())
            samples = function(*arguments, **keywords, dtype=torch.float32)
            return ((32 * samples).round() / 32).to(dtype)
        return function(*arguments, **keywords)


@contextmanager
def each_network(change):
    """`change(output)` takes the place of what any outermost module gives; noise begins anew."""
    depth = [0]

    def before(module, arguments):
        depth[0] += 1

    def after(module, arguments, output):
        depth[0] -= 1
        if depth[0] == 0:
            output = change(output)
            torch.manual_seed(0)
        return output

    handles = [
        hooks.register_module_forward_pre_hook(before),
        hooks.register_module_forward_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def losses_of(name, settings, folder, precision, change, changed_batch, monkeypatch):
    """The losses that the model hands to its optimizers."""
    found = []
    backward = GenerativeModule.manual_backward

    def noting(self, loss, *arguments, **keywords):
        found.append(loss.detach())
        backward(self, loss, *arguments, **keywords)

    torch.manual_seed(0)
    model = kit.build(name, **SETTINGS.get(name, {}) | settings)
    step = type(model).training_step

    def watched(self, batch, batch_idx):
        torch.manual_seed(0)
        with each_network(change), SameDraws():
            step(self, changed_batch(batch), batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(GenerativeModule, "manual_backward", noting)
        patch.setattr(type(model), "training_step", watched)
        data = kit.Toy()
        kit.fit(model, folder, 5, data, precision=precision, limit_train_batches=3)
    assert all(value.isfinite().all() for value in kit.weights(model).values())
    return found


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_losses_of_half_precision_are_those_of_float32(
    name, settings, precision, tmp_path, monkeypatch
):
    outputs, batches = [], []

    def record(output):
        outputs.append(tree_map_only(torch.Tensor, torch.clone, output))
        return output

    def record_batch(batch):
        batches.append(batch)
        return batch

    half = losses_of(name, settings, tmp_path, precision, record, record_batch, monkeypatch)
    kept_outputs, kept_batches = iter(outputs), iter(batches)

    def replay(output):
        return replaced(output, next(kept_outputs))

    def replay_batch(batch):
        kept = next(kept_batches)
        return {k: v.float() if v.is_floating_point() else v for k, v in kept.items()}

    full = losses_of(name, settings, tmp_path, "32-true", replay, replay_batch, monkeypatch)
    assert len(half) == len(full) > 0
    assert all(loss.dtype in (torch.float32, torch.float64) for loss in half)
    half, full = torch.stack(half).double(), torch.stack(full).double()
    assert half.isfinite().all()
    torch.testing.assert_close(half, full, rtol=3e-6, atol=1e-6)


def replaced(output, kept):
    """The output with the values that were kept, and its own gradient."""
    if isinstance(output, torch.Tensor):
        values = kept.detach().to(output.dtype)
        return values + (output - output.detach()) if output.requires_grad else values
    if isinstance(output, list | tuple):
        return type(output)(map(replaced, output, kept))
    return output


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize(
    ("name", "callback"),
    [("wgan_gp", None), ("sngan", R1()), ("sngan", DRAGAN()), ("cgan", R1()), ("cgan", DRAGAN())],
)
def test_penalties_train_in_half_precision(name, callback, precision, tmp_path):
    torch.manual_seed(0)
    model = kit.build(name)
    logged = {}
    log_with_losses = model.log_with_losses
    model.log_with_losses = lambda **values: (logged.update(values), log_with_losses(**values))
    kit.fit(
        model, tmp_path, 6, precision=precision, log_every_n_steps=1, callbacks=[callback or EMA()]
    )
    assert all(value.isfinite().all() for value in kit.weights(model).values())
    assert all(math.isfinite(value) for value in model.losses.values())
    assert all(value.dtype == torch.float32 for value in logged.values())
    assert bool(logged) == bool(callback)


@pytest.mark.parametrize("precision", HALF)
def test_the_mixture_of_wavenet_keeps_its_digits(precision, tmp_path):
    """Of 65,536 levels a mean in bfloat16 would be up to 128 beside the place it should have."""
    torch.manual_seed(0)
    model = kit.build("wavenet", output="logistic", num_levels=65536)
    seen = []

    def note(module, arguments, output):
        seen.append(output)

    handle = model.network.register_forward_hook(note)
    kit.fit(model, tmp_path, 1, precision=precision)
    handle.remove()
    assert {output.dtype for output in seen} == {torch.float32}
    assert not torch.equal(seen[0], seen[0].bfloat16().float())


class Uniforms(TorchFunctionMode):
    """Notes the types of uniform random numbers."""

    def __init__(self):
        super().__init__()
        self.dtypes = []

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if function is torch.rand:
            self.dtypes.append(result.dtype)
        return result


@pytest.mark.parametrize(
    "name", [n for n in zoo.models() if hasattr(CLASSES[n], "elementwise_nll")]
)
def test_the_noise_that_decides_samples_has_more_digits_than_bfloat16(name, bfloat16_by_default):
    """In bfloat16 they would be multiples of 1/256, which miss most rare outcomes."""
    model = kit.build(name).eval()
    assert model.dtype == torch.bfloat16
    with Uniforms() as drawn:
        model.sample(2, kit.conditions(model, 2))
    assert set(drawn.dtypes) <= {torch.float32}


def test_uniforms_are_those_of_torch_in_float32_and_float64(monkeypatch):
    for dtype in (torch.float32, torch.float64):
        monkeypatch.setattr(torch, "get_default_dtype", lambda dtype=dtype: dtype)
        torch.manual_seed(0)
        expected = torch.rand(2, 3, dtype=dtype)
        torch.manual_seed(0)
        assert torch.equal(uniforms(2, 3, device="cpu"), expected)


def test_random_regions_are_those_of_float32(bfloat16_by_default):
    torch.manual_seed(0)
    drawn = masks.regions(4, 32)
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    assert torch.equal(drawn, masks.regions(4, 32))
