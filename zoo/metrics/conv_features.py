"""Features of images by what the convolutional layers of a trained network give."""

from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.functional import adaptive_max_pool2d

from zoo.config.errors import UserError


def conv_features(network, images, batch_size=500, run=None):
    """The features (N, F), float32 on the CPU, that all convolutional layers give of images.

    A layer is represented by what comes out of the normalisation and the activation behind it, as
    in the authors' code: of all modules that are fed its output and keep its shape. That is
    max-pooled to 4x4, or left as it is where it is smaller, and flattened. A last layer of one
    channel is a logit, and no representation. The network runs in eval mode, and is left as it was.

    Args:
        network: any module with Conv2d layers; of an activation that is a function, nothing is
            seen.
        images: (N, C, H, W) float in [-1, 1].
        run: passes a batch of images through the network, which may take more than those.

    Raises UserError for a network without convolutional layers.
    """
    if not any(isinstance(m, nn.Conv2d) and m.out_channels > 1 for m in network.modules()):
        raise UserError("The network has no convolutional layers (but for a logit): no features.")
    device = next(network.parameters()).device
    modes = {module: module.training for module in network.modules()}
    network.eval()
    batches = []
    try:
        with torch.no_grad(), recorded(network) as layers:
            for batch in images.split(batch_size):
                layers.clear()
                (run or network)(batch.to(device))
                batches.append(joined(layers).float().cpu())
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(batches)


@contextmanager
def recorded(network):
    """Gives a list to which a pass adds (output, features (N, F)) of each convolutional layer."""
    layers = []

    def record(module, inputs, output):
        # Pooled at once: an activation in place, further on, would change what is kept of this one.
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


def pooled(maps):
    """(N, C, H, W) -> (N, F): the maxima on a grid of 4x4, or of the map's size if it is less."""
    return adaptive_max_pool2d(maps, [min(4, side) for side in maps.shape[-2:]]).flatten(1)


def joined(layers):
    """(N, F) of what `recorded` gives, without a last layer of one channel."""
    last, _ = layers[-1]
    kept = layers[:-1] if last.shape[1] == 1 else layers
    return torch.cat([features for _, features in kept], dim=1)
