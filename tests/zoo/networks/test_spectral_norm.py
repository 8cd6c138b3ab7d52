"""Spectral normalization (Miyato et al. 2018): the norm, the iterates, the gradient."""

import pytest
import torch
from torch import nn

from zoo.networks import spectral_norm as spectral


def matrix(count, size, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def largest(weight):
    return torch.linalg.svdvals(weight.detach().flatten(1))[0].item()


def warm(network, images, passes=100):
    for _ in range(passes):
        network.train()(images)
    return network.eval()


LAYERS = {
    "linear": (lambda: nn.Linear(12, 30), (3, 12)),
    "convolution": (lambda: nn.Conv2d(6, 10, 3), (3, 6, 5, 5)),
    "last": (lambda: nn.Linear(12, 1), (3, 12)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_largest_singular_value_is_one_after_warm_up(kind):
    """A convolution's weight is the matrix (out, in · k · k)."""
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer = make()
    nn.init.normal_(layer.weight, std=3.0)
    original = layer.weight.detach().clone()
    assert largest(original) > 2
    spectral.add_spectral_norm_(layer)
    warm(layer, torch.randn(shape))
    assert largest(layer.weight) == pytest.approx(1, abs=1e-2)
    torch.testing.assert_close(layer.weight, original / largest(original), rtol=1e-2, atol=1e-4)


def test_a_transposed_convolution_is_the_matrix_of_its_outputs():
    torch.manual_seed(0)
    layer = spectral.add_spectral_norm_(nn.ConvTranspose2d(6, 10, 3))
    warm(layer, torch.randn(2, 6, 5, 5))
    assert largest(layer.weight.transpose(0, 1)) == pytest.approx(1, abs=1e-2)


def test_a_small_weight_is_enlarged():
    """It is divided by its norm, also where that is less than 1."""
    layer = nn.Linear(12, 30)
    nn.init.normal_(layer.weight, std=1e-3)
    assert largest(warm(spectral.add_spectral_norm_(layer), torch.randn(2, 12)).weight) > 0.99


@pytest.mark.parametrize(
    "normalize",
    [torch.nn.utils.parametrizations.spectral_norm, torch.nn.utils.spectral_norm],
)
def test_layers_that_are_normalized_already_are_left_as_they_are(normalize):
    network = nn.Sequential(normalize(nn.Linear(12, 30)), nn.Linear(30, 4))
    names = list(network[0].state_dict())
    spectral.add_spectral_norm_(network)
    assert list(network[0].state_dict()) == names
    assert largest(warm(network, torch.randn(2, 12))[1].weight) == pytest.approx(1, abs=1e-2)


def test_a_whole_embedding_is_normalized():
    embedding = spectral.add_spectral_norm_(nn.Embedding(5, 8))
    warm(embedding, torch.tensor([0]))
    assert largest(embedding.weight) == pytest.approx(1, abs=1e-2)


def test_every_linear_map_is_normalized_and_nothing_else():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 1)),
    )
    assert spectral.add_spectral_norm_(network) is network
    normed = [name for name, m in network.named_modules() if hasattr(m, "parametrizations")]
    assert normed == ["0", "3.1"]
    assert {name for name, _ in network.named_parameters() if "bias" in name} == {
        "0.bias",
        "1.bias",
        "3.1.bias",
    }


def test_the_iterates_are_buffers_and_constant_in_eval_mode():
    torch.manual_seed(0)
    layer = spectral.add_spectral_norm_(nn.Linear(12, 30))

    def iterates():
        state = layer.state_dict()
        return {name: value.clone() for name, value in state.items() if name.endswith(("_u", "_v"))}

    images, begin = torch.randn(3, 12), iterates()
    assert len(begin) == 2
    assert not any(name.endswith(("_u", "_v")) for name, _ in layer.named_parameters())
    layer.eval()
    assert torch.equal(layer(images), layer(images))
    assert all(torch.equal(value, begin[name]) for name, value in iterates().items())
    layer.train()(images)
    assert all(not torch.equal(value, begin[name]) for name, value in iterates().items())


def test_a_layer_loads_what_another_saved():
    torch.manual_seed(0)
    one, other = (spectral.add_spectral_norm_(nn.Linear(12, 30)) for _ in range(2))
    one.train()(torch.randn(3, 12))
    other.load_state_dict(one.state_dict())
    images = torch.randn(3, 12)
    assert torch.equal(one.eval()(images), other.eval()(images))


def test_one_power_iteration_a_pass():
    """From v: u = Wv, v = Wᵀu, each of length 1, and the norm is uᵀWv."""
    torch.manual_seed(0)
    layer = spectral.add_spectral_norm_(nn.Linear(12, 30))
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(matrix(30, 12))
    weight = layer.parametrizations.weight.original.detach()
    before = layer.parametrizations.weight[0]._v.clone()
    normed = layer.train()(torch.eye(12)) - layer.bias
    u = nn.functional.normalize(weight @ before, dim=0)
    v = nn.functional.normalize(weight.T @ u, dim=0)
    torch.testing.assert_close(normed.T, weight / (u @ weight @ v))


def test_the_gradient_goes_through_the_norm():
    """Eq. 12: (G - <W_SN, G> u vᵀ) / |W|, for the gradient G with respect to W_SN."""
    torch.manual_seed(0)
    layer = spectral.add_spectral_norm_(nn.Linear(12, 30, bias=False).double())
    warm(layer, torch.randn(2, 12, dtype=torch.float64), passes=500)
    gradient = matrix(30, 12, seed=1).double()
    (layer.weight * gradient).sum().backward()
    weight = layer.parametrizations.weight.original
    left, values, right = torch.linalg.svd(weight.detach())
    inner = (layer.weight.detach() * gradient).sum()
    expected = (gradient - inner * torch.outer(left[:, 0], right[0])) / values[0]
    torch.testing.assert_close(weight.grad, expected, rtol=1e-6, atol=1e-9)


def test_two_passes_and_then_one_backward():
    torch.manual_seed(0)
    layer = spectral.add_spectral_norm_(nn.Linear(12, 1)).train()
    (layer(torch.randn(3, 12)).mean() - layer(torch.randn(3, 12)).mean()).backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()
