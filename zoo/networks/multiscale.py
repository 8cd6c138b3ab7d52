"""Networks of Mathieu, Couprie, LeCun 2015 (arXiv 1511.05440), tables 3 and 4: up to four scales.

Scales are ordered from the coarsest to the finest. With fewer than four scales, the networks are
the paper's finest ones. A past is (N, T C, H, W): the channels of its T frames are concatenated.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from zoo.networks.he_init import init_he_

Layers = tuple[tuple[int, ...], tuple[int, ...]]  # channels in units of a width, kernel sizes

GENERATORS: tuple[Layers, ...] = (
    ((1, 2, 1), (3, 3, 3, 3)),
    ((1, 2, 1), (5, 3, 3, 5)),
    ((1, 2, 4, 2, 1), (5, 3, 3, 3, 3, 5)),
    ((1, 2, 4, 2, 1), (7, 5, 5, 5, 5, 7)),
)
DISCRIMINATORS = (  # channels, kernel sizes, units of the hidden layers; in units of width / 2
    ((1,), (3,), (8, 4)),
    ((1, 2, 2), (3, 3, 3), (16, 8)),
    ((2, 4, 4), (5, 5, 5), (16, 8)),
    ((2, 4, 8, 2), (7, 7, 5, 5), (16, 8)),
)


def scale_sizes(image_size: int, scales: int) -> list[int]:
    """Return the image size at each scale: halved and rounded up, but at least 2.

    Args:
        image_size: Height and width at the finest scale.
        scales: Number of scales.
    """
    return [max(2, -(-image_size // 2**scale)) for scale in reversed(range(scales))]


def downscale(images: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Average the pixels of images (N, C, H, W) to each of the sizes: (N, C, size, size)."""
    return [adaptive_avg_pool2d(images, size) for size in sizes]


class Generator(nn.Module):
    """A past (N, T C, H, W) -> the next frame (N, C, size, size) at each scale.

    Y^_k = tanh(u(Y^_k-1) + G_k(X_k, u(Y^_k-1))), where u repeats pixels. At the coarsest scale,
    G_k has only the past as its input.

    Args:
        sizes: Image size at each scale, the coarsest first.
        past: Number T of frames in the past.
        channels: Channels C of a frame.
        width: Unit of the channels in `layers`.
        layers: Layers of each G_k. Default: the finest of GENERATORS.
        bounded: Whether a tanh limits the outputs to [-1, 1].
    """

    def __init__(
        self,
        sizes: Sequence[int],
        past: int,
        channels: int,
        width: int,
        layers: Sequence[Layers] | None = None,
        bounded: bool = True,
    ):
        super().__init__()
        self.sizes = sizes
        self.bound = nn.Tanh() if bounded else nn.Identity()
        self.refinements = nn.ModuleList(
            conv_layers(channels * (past + (scale > 0)), channels, width, *scale_layers)
            for scale, scale_layers in enumerate(layers or GENERATORS[-len(sizes) :])
        )

    def forward(self, past: Tensor) -> list[Tensor]:
        predictions: list[Tensor] = []
        for size, refine, frames in zip(
            self.sizes, self.refinements, downscale(past, self.sizes), strict=True
        ):
            if not predictions:
                predictions.append(self.bound(refine(frames)))
                continue
            guess = interpolate(predictions[-1], (size, size))  # (N, C, size, size)
            residual = refine(torch.cat([frames, guess], dim=1))
            predictions.append(self.bound(guess + residual))
        return predictions


def conv_layers(
    inputs: int, outputs: int, width: int, channels: Sequence[int], kernels: Sequence[int]
) -> nn.Sequential:
    """Return padded convolutions with ReLU between them.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        width: Unit of `channels`.
        channels: Channels of the hidden layers.
        kernels: Kernel sizes of all layers, one more than `channels`.
    """
    channels = [inputs, *(width * count for count in channels), outputs]
    layers: list[nn.Module] = []
    for (before, after), kernel in zip(pairwise(channels), kernels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Discriminator(nn.Module):
    """A frame (N, C, size, size) and its past (N, T C, size, size) at one scale -> logits (N,).

    Convolutions are padded only if the image is too small. The convolutions of the finest network
    end in max pooling. Weights have He's initialization (He et al. 2015, arXiv 1502.01852), which
    keeps the scale of activations. PyTorch's default divides their variance by six in each layer.
    Without a norm, the initial logits are then nearly equal for all inputs, and the discriminator
    does not learn.

    Args:
        scale: Index among the paper's four scales, from the coarsest.
        size: Height and width of the frames.
        past: Number T of frames in the past.
        channels: Channels C of a frame.
        width: Twice the unit of channels in DISCRIMINATORS.
    """

    def __init__(self, scale: int, size: int, past: int, channels: int, width: int):
        super().__init__()
        maps, kernels, hidden = DISCRIMINATORS[scale]
        padded = size <= sum(kernel - 1 for kernel in kernels)
        layers: list[nn.Module] = []
        inputs = channels * (past + 1)
        for count, kernel in zip(maps, kernels, strict=True):
            outputs = width * count // 2
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2 * padded), nn.ReLU()]
            inputs, size = outputs, size if padded else size - kernel + 1
        if scale == len(DISCRIMINATORS) - 1 and size > 1:
            layers.append(nn.MaxPool2d(2))
            size //= 2
        layers.append(nn.Flatten())
        inputs *= size**2
        for count in hidden:
            layers += [nn.Linear(inputs, width * count // 2), nn.ReLU()]
            inputs = width * count // 2
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, 1), nn.Flatten(0))
        init_he_(self.layers)

    def forward(self, frame: Tensor, past: Tensor) -> Tensor:
        return self.layers(torch.cat([past, frame], dim=1))
