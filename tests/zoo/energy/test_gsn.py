"""GSN: its step by hand, its loss, and the stationary distribution of its chain."""

from itertools import product

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests import kit
from zoo.base import GenerativeModule

STATES = torch.tensor(list(product([0.0, 1.0], repeat=4)))
CODE = 2.0 ** torch.arange(3, -1, -1)


def frequencies(pixels):
    """Of the 16 states of four pixels, (16,)."""
    return (pixels @ CODE).long().bincount(minlength=16) / len(pixels)


class ThreeStates(kit.Toy):
    """Images 1111, 1100 and 0000 of four pixels with probabilities 0.5, 0.3 and 0.2."""

    def load(self, split):
        pixels = torch.tensor([[1, 1, 1, 1]] * 5 + [[1, 1, 0, 0]] * 3 + [[0, 0, 0, 0]] * 2)
        images = 255 * pixels.view(-1, 1, 2, 2).repeat(self.hparams.count // 10, 1, 1, 1)
        return images.to(torch.uint8), torch.zeros(len(images), dtype=torch.int64)


def test_a_step_computes_odd_layers_and_then_even_ones():
    model = kit.build("gsn", 2, layers=3, width=5, noise=0.0).double()
    x, *_ = states = [torch.rand(7, size, dtype=torch.float64) for size in (4, 5, 5, 5)]
    (first, second, third), (_, b1, b2, b3) = model.layers.weights, model.layers.biases
    for bias in model.layers.biases:
        torch.nn.init.normal_(bias)
    h1 = (x @ first.T + states[2] @ second + b1).tanh()
    h3 = (states[2] @ third.T + b3).tanh()
    h2 = (h1 @ second.T + h3 @ third + b2).tanh()
    logits = h1 @ first + model.layers.biases[0]
    found, found_logits = model.layers(states)
    for expected, state in zip((x, h1, h2, h3), found, strict=True):
        torch.testing.assert_close(state, expected)
    torch.testing.assert_close(found_logits, logits)
    assert states[0] is x


def test_noise_is_before_and_after_tanh_in_layers_above_the_first():
    model = kit.build("gsn", 2, layers=2, width=5, noise=2.0)
    states = [torch.ones(20_000, 4), *[torch.zeros(20_000, 5)] * 2]
    (_, h1, h2), _ = model.layers(states)
    assert not h1.std(dim=0).any()
    inputs = (h1[:1] @ model.layers.weights[1].T).detach()
    normal = torch.distributions.Normal(0.0, 2.0)
    activation = (inputs + normal.sample((200_000, 1))).tanh()
    expected = activation.var(dim=0) + 4
    torch.testing.assert_close(h2.detach().var(dim=0), expected, rtol=0.05, atol=0)
    torch.testing.assert_close(h2.detach().mean(dim=0), activation.mean(dim=0), rtol=0, atol=0.08)


def test_corruption_replaces_pixels_by_random_ones():
    model = kit.build("gsn", 2, corruption=0.4)
    pixels = torch.tensor([[0.0, 1.0]]).repeat(50_000, 1)
    torch.testing.assert_close(
        model.corrupt(pixels).mean(dim=0), torch.tensor([0.2, 0.8]), rtol=0, atol=0.01
    )


def test_walkback_denoises_toward_the_first_image_after_each_step(tmp_path, monkeypatch):
    model = kit.build("gsn", walkback_steps=3)
    starts, logits, losses, data = [], [], [], []
    move, step = type(model).move, type(model).training_step

    def moved(self, states):
        starts.append([state.detach().clone() for state in states])
        states, found = move(self, states)
        starts.append([state.detach().clone() for state in states])
        logits.append(found.detach())
        return states, found

    def watched(self, batch, batch_idx):
        data.append((batch["image"].flatten(1) > 0).float())
        step(self, batch, batch_idx)

    monkeypatch.setattr(type(model), "move", moved)
    monkeypatch.setattr(type(model), "training_step", watched)
    monkeypatch.setattr(
        GenerativeModule,
        "manual_backward",
        lambda self, loss: (losses.append(loss), loss.backward()),
    )
    kit.fit(model, tmp_path, 1)
    assert len(logits) == 3
    expected = sum(binary_cross_entropy_with_logits(found, data[0]) for found in logits)
    torch.testing.assert_close(losses[0].detach(), expected)
    before, after = starts[::2], starts[1::2]
    assert torch.equal(before[0][0], data[0])
    assert not any(hidden.any() for hidden in before[0][1:])
    for end, following in zip(after[:-1], before[1:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(end, following, strict=True))
    assert set(before[1][0].unique().tolist()) == {0, 1}, "pixels are drawn"
    assert all(hidden.any() for hidden in after[0][1:]), "hidden layers are kept"


def test_samples_are_the_last_draw_with_the_gradient_of_its_mean():
    model = kit.build("gsn", sampling_steps=3)
    torch.manual_seed(0)
    samples = model.sample(5)
    assert set(samples.unique().tolist()) == {-1, 1}
    samples.sum().backward()
    torch.manual_seed(0)
    states = model.start((torch.rand(5, 64) < 0.5).float())
    with torch.no_grad():
        for _ in range(2):
            states, _ = model.move(states)
    (pixels, *_), logits = model.move(states)
    torch.testing.assert_close(samples.detach().flatten(1), 2 * pixels - 1)
    (expected,) = torch.autograd.grad(2 * logits.sigmoid().sum(), model.layers.weights[0])
    torch.testing.assert_close(model.layers.weights[0].grad, expected)


def stationary(corruption):
    """Of the chain that draws each pixel from its exact posterior given corrupted pixels, (16,)."""
    data = torch.zeros(16)
    data[15], data[12], data[0] = 0.5, 0.3, 0.2
    different = (STATES[:, None] != STATES[None]).sum(dim=2)
    flip = corruption / 2
    corrupted = flip**different * (1 - flip) ** (4 - different)  # (x, x~)
    joint = data[:, None] * corrupted
    posterior = joint.T @ STATES / joint.sum(dim=0)[:, None]  # p(x_i = 1 | x~), (x~, 4)
    drawn = (posterior[:, None] * STATES + (1 - posterior[:, None]) * (1 - STATES)).prod(dim=2)
    transition = corrupted @ drawn
    return torch.linalg.matrix_power(transition, 1000)[0], data


@pytest.mark.parametrize("corruption", [0.2, 0.5])
def test_the_chain_has_the_stationary_distribution_of_the_exact_posterior(corruption, tmp_path):
    expected, data = stationary(corruption)
    settings = {"layers": 1, "width": 30, "walkback_steps": 1, "sampling_steps": 60}
    model = kit.build("gsn", 2, corruption=corruption, lr=2.0, decay=0.995, **settings)
    kit.fit(model, tmp_path, 600, ThreeStates(500, image_size=2, count=1000))
    found = frequencies((model.sample(20_000).detach().flatten(1) + 1) / 2)
    assert (found - expected).abs().sum() / 2 < 0.05  # total variation
    if corruption == 0.2:
        assert (found - data).abs().sum() / 2 < 0.2
        assert found[[0, 12, 15]].min() > 0.05, "it moves between the modes"


def test_it_learns_real_digits(tmp_path):
    """Denoising takes fewer bits, and the chain leaves random pixels for digits."""
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    model = kit.build("gsn", width=200, lr=1.0, sampling_steps=50)
    metrics = Metrics(0, count=500)
    kit.fit(model, tmp_path, 300, Digits(binarize=True), callbacks=[metrics])
    fids = model.results["val/fid_digits_500"]
    assert fids[300] < 0.3 * fids[0]
