"""Layers of Salimans et al. 2016 (arXiv 1606.03498), and what its authors' networks consist of."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from zoo.precision import at_least_float32


class MinibatchDiscrimination(nn.Module):
    """Features (N, F) -> (N, F + B): how close each is to the others of its batch (section 3.2).

    M_i = f_i T, B rows of C numbers each; o(x_i)_b = Σ_j≠i exp(-‖M_ib - M_jb‖₁), appended to f_i.
    """

    def __init__(self, features, kernels=100, dims=5):
        super().__init__()
        self.tensor = nn.Parameter(torch.empty(features, kernels, dims))
        nn.init.normal_(self.tensor, std=features**-0.5)

    def forward(self, features):
        return torch.cat([features, self.closeness(features)], dim=1)

    @torch.no_grad()
    def settle(self, features):
        """Scales T so that the mean distance to the nearest of the others is 2 in each row."""
        rows = torch.einsum("nf,fbc->bnc", features, self.tensor)
        distances = torch.cdist(rows, rows, p=1)  # (B, N, N)
        distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        nearest = distances.amin(dim=2).mean(dim=1)  # (B,)
        self.tensor /= (nearest / 2).clamp(min=1e-6)[:, None]

    def closeness(self, features):
        """o, (N, B): between 0, where an example is far from all others, and N - 1."""
        rows = torch.einsum("nf,fbc->nbc", features, self.tensor)
        distances = (rows[:, None] - rows[None]).abs().sum(dim=3)  # (N, N, B)
        others = 1 - torch.eye(len(features), device=features.device, dtype=features.dtype)
        return (others[:, :, None] * (-distances).exp()).sum(dim=1)


class VirtualBatchNorm(nn.Module):
    """Batch norm by the statistics of a reference batch and of the example itself (section 3.5).

    The first `reference` of the examples (N, F) or (N, C, H, W) are the reference batch, which is
    normalised by its own statistics, the others each by (n · reference + own) / (n + 1) of the
    mean and of the mean square. So an example does not depend on others of its batch. Like the
    batch norm it stands for, it has a bias and no gain.
    """

    def __init__(self, width, reference, eps=1e-5):
        super().__init__()
        self.reference, self.eps = reference, eps
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, examples):
        n, maps = self.reference, examples.reshape(*examples.shape[:2], -1)  # (n + N, F, places)
        maps = maps.to(torch.promote_types(maps.dtype, torch.float32))  # the variance cancels
        means = [maps.mean(dim=2, keepdim=True), maps.square().mean(dim=2, keepdim=True)]
        whole = [own[:n].mean(dim=0, keepdim=True) for own in means]
        mixed = [(n * of + own[n:]) / (n + 1) for of, own in zip(whole, means, strict=True)]
        normal = [
            (some - mean) * ((square - mean.square()).clamp(min=0) + self.eps).rsqrt()
            for some, (mean, square) in ((maps[:n], whole), (maps[n:], mixed))
        ]
        return (torch.cat(normal) + self.bias[:, None]).to(examples).view_as(examples)


class Referenced(nn.Module):
    """A generator with virtual batch norm: its fixed reference batch goes before each batch."""

    def __init__(self, network, reference):
        super().__init__()
        self.network = network
        self.register_buffer("reference", reference)

    def forward(self, latent):
        both = torch.cat([self.reference.to(latent), latent])
        return self.network(both)[len(self.reference) :]


class HistoricalAverage(nn.Module):
    """‖θ - 1/t Σ θ[i]‖² of a player's parameters (section 3.3); each call is a step i = t.

    The mean is a constant of the step, and includes the present θ. It is saved with the model.
    """

    def __init__(self, parameters):
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        for number, parameter in enumerate(parameters):
            self.register_buffer(f"mean{number}", torch.zeros_like(parameter))

    def forward(self, parameters):
        self.step += 1
        total = 0.0
        for number, parameter in enumerate(parameters):
            mean = getattr(self, f"mean{number}")
            mean += (parameter.detach() - mean) / self.step
            total = total + at_least_float32(parameter - mean).square().sum()
        return total


class GaussianNoise(nn.Module):
    """Adds noise N(0, sigma²) in training, and nothing in evaluation."""

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def forward(self, features):
        if not self.training:
            return features
        like = {"device": features.device, "dtype": features.dtype}
        return features + self.sigma * torch.randn(*features.shape, **like)


class Discriminator(nn.Module):
    """(N, C, H, W) -> logits (N, K) of the classes, and features (N, F) of the last hidden layer.

    head: a list of layers between the two. settled: whether data have set gains and biases, see
    `settle`; saved with the weights.
    """

    def __init__(self, trunk, head):
        super().__init__()
        self.trunk, self.head = nn.Sequential(*trunk), nn.Sequential(*head)
        self.register_buffer("settled", torch.tensor(False))

    def forward(self, images):
        features = self.trunk(images)
        return self.head(features), features


@torch.no_grad()
def settle(network: nn.Module, inputs: Tensor) -> None:
    """Sets the gains and biases of weight norm by data, layer after layer, as the authors do.

    The outputs of each layer, before its activation, get mean 0 and the standard deviation that
    `normalized` was given, over inputs and places. Noise and dropout are as in training.

    Args:
        network: the network to initialize in place.
        inputs: some hundreds of them, (N, ...).
    """

    def choose(layer, layer_inputs, outputs):
        if isinstance(layer, MinibatchDiscrimination):
            layer.settle(*layer_inputs)
            return layer.forward(*layer_inputs)
        others = [dim for dim in range(outputs.dim()) if dim != 1]
        std, mean = torch.std_mean(outputs, dim=others, correction=0, keepdim=True)
        factor = torch.where(std > 1e-6, layer.output_std / std, 1.0)  # 0 of a dead channel
        gain = layer.parametrizations.weight.original0
        gain *= factor.view_as(gain)
        layer.bias.copy_((layer.bias - mean.flatten()) * factor.flatten())
        return (outputs - mean) * factor

    mode = network.training
    chosen = [m for m in network.modules() if getattr(m, "output_std", None)]
    chosen += [m for m in network.modules() if isinstance(m, MinibatchDiscrimination)]
    hooks = [layer.register_forward_hook(choose) for layer in chosen]
    try:
        network.train()(inputs)
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()


class ToUnit(nn.Module):
    """[-1, 1] -> [0, 1], the range in which the authors' noise has its size."""

    def forward(self, images):
        return (images + 1) / 2


def normalized(layer, gain=None, direction_std=0.1, output_std=1.0, dim=0):
    """A layer with weight normalisation (Salimans, Kingma 2016, arXiv 1602.07868).

    gain: at first, and learned; by default it is not, and keeps the mean square behind a ReLU until
    `settle`. A gain that is learned would outgrow the noise. direction_std: of the directions,
    which are drawn from N(0, direction_std²): the longer they are, the less does a step turn them.
    output_std: to which `settle` brings the outputs; None leaves the layer alone. dim: of the
    outputs in the weight.
    """
    weight_norm(layer, dim=dim)
    weight = layer.parametrizations.weight
    nn.init.normal_(weight.original1, std=direction_std)
    nn.init.constant_(weight.original0, 2**0.5 if gain is None else gain)
    nn.init.zeros_(layer.bias)
    layer.output_std = output_std
    if gain is None:
        fixed = weight.original0.detach()
        del weight.original0
        weight.register_buffer("original0", fixed)
    return layer


def batch_norm(width, maps=False, reference=0):
    """Batch norm with a bias and without a gain; virtual, for a reference batch of some size."""
    if reference:
        return VirtualBatchNorm(width, reference)
    norm = (nn.BatchNorm2d if maps else nn.BatchNorm1d)(width, eps=1e-6)
    norm.register_parameter("weight", None)  # the authors have none, and momentum is torch's
    return norm
