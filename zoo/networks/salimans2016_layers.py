"""Layers of Salimans et al. 2016 (arXiv 1606.03498) and of the authors' networks."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.precision import apply_except_buffers, at_least_float32


class MinibatchDiscrimination(nn.Module):
    """Append its closeness to the rest of the batch to each feature vector (section 3.2).

    (N, F) -> (N, F + B): M_i = f_i T has B rows of C numbers, and o(x_i)_b =
    Σ_j≠i exp(-‖M_ib - M_jb‖₁) is appended to f_i.

    Args:
        features: F.
        kernels: B.
        dims: C.
    """

    def __init__(self, features: int, kernels: int = 100, dims: int = 5):
        super().__init__()
        self.tensor = nn.Parameter(torch.empty(features, kernels, dims))
        nn.init.normal_(self.tensor, std=features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.closeness(features)], dim=1)

    @torch.no_grad()
    def init_from_data_(self, features: Tensor) -> None:
        """Scale T so that in each row the mean distance to the nearest other example is 2."""
        rows = torch.einsum("nf,fbc->bnc", features, self.tensor)
        distances = torch.cdist(rows, rows, p=1)  # (B, N, N)
        distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        nearest = distances.amin(dim=2).mean(dim=1)  # (B,)
        self.tensor /= (nearest / 2).clamp(min=1e-6)[:, None]

    def closeness(self, features: Tensor) -> Tensor:
        """Return o, (N, B): 0 for an example far from all others, and at most N - 1."""
        rows = torch.einsum("nf,fbc->nbc", features, self.tensor)
        distances = (rows[:, None] - rows[None]).abs().sum(dim=3)  # (N, N, B)
        others = 1 - torch.eye(len(features), device=features.device, dtype=features.dtype)
        return (others[:, :, None] * (-distances).exp()).sum(dim=1)


class VirtualBatchNorm(nn.Module):
    """Batch norm with the statistics of a reference batch and of the example (section 3.5).

    The first `reference` examples of (n + N, F) or (n + N, C, H, W) are the reference batch, which
    is normalized with its own statistics. For the other examples, the mean and the mean square are
    (n · reference + own) / (n + 1), so they do not depend on the other examples of the batch. Like
    the networks' batch norm, this layer has a bias and no gain.

    Args:
        width: F or C.
        reference: n, the size of the reference batch.
        eps: Added to the variance.
    """

    def __init__(self, width: int, reference: int, eps: float = 1e-5):
        super().__init__()
        self.reference, self.eps = reference, eps
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, examples: Tensor) -> Tensor:
        n, maps = self.reference, examples.reshape(*examples.shape[:2], -1)  # (n + N, F, H W)
        maps = maps.to(torch.promote_types(maps.dtype, torch.float32))  # for the variance
        means = [maps.mean(dim=2, keepdim=True), maps.square().mean(dim=2, keepdim=True)]
        whole = [own[:n].mean(dim=0, keepdim=True) for own in means]  # (1, F, 1) each
        mixed = [(n * ref + own[n:]) / (n + 1) for ref, own in zip(whole, means, strict=True)]
        normalized = [
            (part - mean) * ((square - mean.square()).clamp(min=0) + self.eps).rsqrt()
            for part, (mean, square) in ((maps[:n], whole), (maps[n:], mixed))
        ]
        return (torch.cat(normalized) + self.bias[:, None]).to(examples).view_as(examples)


class ReferenceBatchGenerator(nn.Module):
    """A generator with virtual batch norm. A fixed reference batch is added to each batch.

    Args:
        network: Generator with VirtualBatchNorm layers.
        reference: Latents (n, Z) of the reference batch.
    """

    reference: Tensor

    def __init__(self, network: nn.Module, reference: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("reference", reference)

    def forward(self, latent: Tensor) -> Tensor:
        both = torch.cat([self.reference.to(latent), latent])
        return self.network(both)[len(self.reference) :]


class HistoricalAverage(nn.Module):
    """Compute ‖θ - 1/t Σ θ[i]‖² of a network's parameters (section 3.3). Each call is a step t.

    The mean includes the current θ, has no gradient, and is saved with the model.

    Args:
        parameters: θ, which determines the shapes of the means.
    """

    _apply = apply_except_buffers  # running means stay in float32
    step: Tensor

    def __init__(self, parameters: Iterable[Tensor]):
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        for number, parameter in enumerate(parameters):
            self.register_buffer(f"mean{number}", torch.zeros_like(parameter))

    def forward(self, parameters: Iterable[Tensor]) -> Tensor:
        self.step += 1
        total = torch.zeros((), device=self.step.device)
        for number, parameter in enumerate(parameters):
            mean = getattr(self, f"mean{number}")
            mean += (parameter.detach() - mean) / self.step
            total = total + at_least_float32(parameter - mean).square().sum()
        return total


class GaussianNoise(nn.Module):
    """Add noise N(0, sigma²) in training mode.

    Args:
        sigma: Standard deviation.
    """

    def __init__(self, sigma: float):
        super().__init__()
        self.sigma = sigma

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        noise = torch.randn(*features.shape, device=features.device, dtype=features.dtype)
        return features + self.sigma * noise


class Discriminator(nn.Module):
    """Images (N, C, H, W) -> class logits (N, K) and features (N, F) of the last hidden layer.

    The buffer `initialized` is true after `init_from_data_`, and is saved with the weights.

    Args:
        trunk: Layers from images to features.
        head: Layers from features to logits.
    """

    initialized: Tensor

    def __init__(self, trunk: Iterable[nn.Module], head: Iterable[nn.Module]):
        super().__init__()
        self.trunk, self.head = nn.Sequential(*trunk), nn.Sequential(*head)
        self.register_buffer("initialized", torch.tensor(False))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        return self.head(features), features


@torch.no_grad()
def init_from_data_(network: nn.Module, inputs: Tensor) -> None:
    """Set the gains and biases of weight norm from data, layer by layer, as in the authors' code.

    The outputs of each layer before its activation then have mean 0 and a standard deviation of
    `output_std` (see `add_weight_norm_`) over examples and pixels. Noise and dropout are on.

    Args:
        network: The network to initialize in place.
        inputs: Several hundred examples, (N, ...).
    """

    def init_layer_(layer: Any, layer_inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
        if isinstance(layer, MinibatchDiscrimination):
            layer.init_from_data_(*layer_inputs)
            return layer.forward(*layer_inputs)
        others = [dim for dim in range(outputs.dim()) if dim != 1]
        std, mean = torch.std_mean(outputs, dim=others, correction=0, keepdim=True)
        factor = torch.where(std > 1e-6, layer.output_std / std, 1.0)  # 1 for a dead channel
        gain = layer.parametrizations.weight.original0
        gain *= factor.view_as(gain)
        layer.bias.copy_((layer.bias - mean.flatten()) * factor.flatten())
        return (outputs - mean) * factor

    mode = network.training
    layers = [m for m in network.modules() if getattr(m, "output_std", None)]
    layers += [m for m in network.modules() if isinstance(m, MinibatchDiscrimination)]
    hooks = [layer.register_forward_hook(init_layer_) for layer in layers]
    try:
        network.train()(inputs)
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()


def batch_norm(width: int, maps: bool = False, reference: int = 0) -> nn.Module:
    """Return batch norm with a bias and without a gain.

    Args:
        width: Number of features or channels.
        maps: Whether the inputs are (N, C, H, W) instead of (N, F).
        reference: Size of the reference batch of virtual batch norm; 0 for batch norm.
    """
    if reference:
        return VirtualBatchNorm(width, reference)
    norm = (nn.BatchNorm2d if maps else nn.BatchNorm1d)(width, eps=1e-6)
    norm.register_parameter("weight", None)  # the authors have no gain; momentum is torch's
    return norm
