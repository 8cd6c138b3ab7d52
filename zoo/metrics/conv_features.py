"""Features of images from the convolutional layers of a trained network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from zoo.config.errors import UserError
from zoo.engine.evaluation import eval_mode
from zoo.metrics.cache_key import device_of


def conv_features(
    network: nn.Module,
    images: Tensor,
    batch_size: int = 500,
    run: Callable[[Tensor], Any] | None = None,
) -> Tensor:
    """Compute features of images from all convolutional layers.

    As in the authors' code, the features of a layer are taken after its normalization and
    activation, that is, after all modules that are applied to its output and keep the shape. They
    are max-pooled to 4x4, unless the map is smaller, and flattened. A last layer with one channel
    is a logit and is left out. The network runs in eval mode and is not changed.

    Args:
        network: Any module with Conv2d layers. Activations that are functions are not included.
        images: (N, C, H, W) in [-1, 1].
        batch_size: Images at once.
        run: Passes a batch of images through the network, if it needs more than the images.

    Returns:
        (N, F) float32 on the CPU.

    Raises:
        UserError: The network has no convolutional layers.
    """
    if not any(isinstance(m, nn.Conv2d) and m.out_channels > 1 for m in network.modules()):
        raise UserError(
            "The network has no convolutional layers except for a logit, so it has no features."
        )
    device = device_of(network)
    batches = []
    with torch.no_grad(), eval_mode(network), recorded(network) as layers:
        for batch in images.split(batch_size):
            layers.clear()
            (run or network)(batch.to(device))
            batches.append(joined(layers).float().cpu())
    return torch.cat(batches)


@contextmanager
def recorded(network: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield a list that a forward pass fills with (output, features (N, F)) of each layer."""
    layers: list[tuple[Tensor, Tensor]] = []

    def record(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        # Pooled immediately, because a later in-place activation would change this output.
        if isinstance(module, nn.Conv2d):
            layers.append((output, pooled(output)))
            return
        for number, (before, _) in enumerate(layers):
            if inputs and inputs[0] is before and output.shape == before.shape:
                layers[number] = (output, pooled(output))

    seen = [m for m in network.modules() if isinstance(m, nn.Conv2d) or not list(m.children())]
    hooks = [module.register_forward_hook(record) for module in seen]
    try:
        yield layers
    finally:
        for hook in hooks:
            hook.remove()


def pooled(maps: Tensor) -> Tensor:
    """Max-pool maps (N, C, H, W) to at most 4x4, and flatten them to (N, F)."""
    return adaptive_max_pool2d(maps, [min(4, side) for side in maps.shape[-2:]]).flatten(1)


def joined(layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the concatenated features (N, F) of layers, without a last layer of one channel."""
    last, _ = layers[-1]
    kept = layers[:-1] if last.shape[1] == 1 else layers
    return torch.cat([features for _, features in kept], dim=1)
