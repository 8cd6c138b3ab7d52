"""NADE: the recursion, its normalization, FVSBN. Causality is tested with all exact models."""

import math
from itertools import product

import pytest
import torch
from torch.nn.functional import logsigmoid

from tests import kit

EVERY = torch.tensor(list(product([-1.0, 1.0], repeat=8)), dtype=torch.float64)


def small(size=2, channels=1, **parameters):
    torch.manual_seed(0)
    model = kit.build("nade", size, channels, **{"width": 5, "num_levels": 2} | parameters)
    model = model.double().eval()
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("width", [0, 5])
@pytest.mark.parametrize("conditional", [False, True])
def test_probabilities_of_all_binary_images_sum_to_one(width, conditional):
    model = small(2, 2, width=width, conditional=conditional)  # 2 channels of 2x2: D = 8
    nlls = []
    for label in (0, 3):
        batch = {"image": EVERY.view(-1, 2, 2, 2), "label": torch.full((256,), label)}
        nlls.append(model.nll(batch))
        assert nlls[-1].std() > 0.1
        assert (-nlls[-1]).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.equal(*nlls) != conditional


def test_three_levels_are_normalized():
    model = small(2, num_levels=3)
    every = torch.tensor(list(product([-1.0, 0.0, 1.0], repeat=4)), dtype=torch.float64)
    probabilities = (-model.nll({"image": every.view(-1, 1, 2, 2)})).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_recursion_equals_the_naive_computation(conditional):
    """Equations 2 and 3 of the paper, each hidden layer computed anew. Labels change biases."""
    model = small(conditional=conditional)
    network, bits = model.network, (EVERY[:16, 4:] + 1) / 2
    hidden_bias, bias = network.hidden_bias, network.bias[:, 0]
    if conditional:
        hidden_bias = hidden_bias + network.hidden_condition.weight[:, 3]
        bias = bias + network.condition.weight[:, 3]
    nll = torch.zeros(16, 4, dtype=torch.float64)
    for i in range(4):
        hidden = (hidden_bias + bits[:, :i] @ network.weight[:i]).sigmoid()
        logit = bias[i] + hidden @ network.output[i, 0]
        nll[:, i] = -torch.where(bits[:, i] > 0, logsigmoid(logit), logsigmoid(-logit))
    batch = {"image": EVERY[:16, 4:].view(-1, 1, 2, 2), "label": torch.full((16,), 3)}
    torch.testing.assert_close(model.elementwise_nll(batch).flatten(1), nll)


def test_without_hidden_units_it_is_logistic_regressions():
    """FVSBN, also in the order red, green, blue of a pixel's colors."""
    model = small(2, 2, width=0)
    network, images = model.network, EVERY.view(-1, 2, 2, 2)
    assert not hasattr(network, "weight")
    bits = ((images + 1) / 2).permute(0, 2, 3, 1).flatten(1)
    found = model.elementwise_nll({"image": images}).permute(0, 2, 3, 1).flatten(1)
    for i in range(8):
        logit = network.bias[i, 0] + bits[:, :i] @ network.output[i, 0, :i]
        expected = -torch.where(bits[:, i] > 0, logsigmoid(logit), logsigmoid(-logit))
        torch.testing.assert_close(found[:, i], expected)


@pytest.mark.parametrize("width", [0, 5])
def test_samples_have_the_density(width):
    """Frequencies of 4 pixels in 20,000 samples."""
    model = small(width=width)
    torch.manual_seed(1)
    samples = model.sample(20000)
    code = ((samples.flatten(1) > 0) * 2 ** torch.arange(3, -1, -1)).sum(dim=1)
    frequency = code.bincount(minlength=16) / 20000
    probability = (-model.nll({"image": EVERY[:16, 4:].view(-1, 1, 2, 2)})).exp()
    deviation = (probability * (1 - probability) / 20000).sqrt()
    assert ((frequency - probability).abs() < 4 * deviation + 1e-4).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditional", [False, True])
def test_cached_steps_without_hidden_units_draw_the_same_images(channels, conditional):
    model = small(3, channels, width=0, num_levels=4, conditional=conditional)
    given = {"label": torch.tensor([3, 0, 7])} if conditional else None
    steps, drawn = model.network.steps, []
    for begin in (steps, lambda *args: model.uncached_steps(model.network, *args)):
        model.network.steps = begin
        torch.manual_seed(2)
        drawn.append(model.sample(3, given))
    assert torch.equal(*drawn)
    assert len(drawn[0].unique()) == 4


@pytest.mark.parametrize("width", [0, 5])
def test_sums_over_pixels_are_exact_in_half_precision(width):
    """Both ways to compute logits, of a bfloat16 network, equal those of its weights in float32."""
    torch.manual_seed(0)
    model = small(4, width=width).to(torch.bfloat16)
    images = (torch.rand(3, 1, 4, 4) < 0.5).to(torch.bfloat16) * 2 - 1
    with torch.no_grad():
        found = model.network(images)
        steps = model.network.steps(images, None)
        cached = [steps.pixel(r, c, 0).T for r in range(4) for c in range(4)]  # (N, K)
        expected = model.network.float()(images.float())
    torch.testing.assert_close(found, expected)
    cached = torch.stack(cached, dim=2).view_as(expected)
    torch.testing.assert_close(cached, expected)


def test_it_learns(tmp_path):
    """Binarized digits: the recipe reaches 21.95 nats. Independent pixels have 33.6."""
    from datamodules.digits import Digits
    from zoo.metrics.compute import likelihood_metrics

    data = Digits(binarize=True, batch_size=64)
    model = kit.build("nade", width=64, lr=1e-2, decay=0.995, num_levels=2)
    kit.fit(model, tmp_path, 400, data=data)
    nats = likelihood_metrics(model, data, "test")["nats_exact_levels2_test"]
    assert math.isfinite(nats)
    assert nats < 26
