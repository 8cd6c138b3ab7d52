"""Networks of Mathieu, Couprie, LeCun 2015 (arXiv 1511.05440), tables 3 and 4: up to four scales.

Scales go from the coarsest to the finest, those of fewer scales are the finest of the paper's. A
past is (N, T C, H, W), its frames on top of each other.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from zoo.networks.he_init import init_he_

GENERATORS = (  # channels in units of `width`, and sizes of kernels
    ((1, 2, 1), (3, 3, 3, 3)),
    ((1, 2, 1), (5, 3, 3, 5)),
    ((1, 2, 4, 2, 1), (5, 3, 3, 3, 3, 5)),
    ((1, 2, 4, 2, 1), (7, 5, 5, 5, 5, 7)),
)
DISCRIMINATORS = (  # convolutions' channels, their kernels, units of hidden layers; in width / 2
    ((1,), (3,), (8, 4)),
    ((1, 2, 2), (3, 3, 3), (16, 8)),
    ((2, 4, 4), (5, 5, 5), (16, 8)),
    ((2, 4, 8, 2), (7, 7, 5, 5), (16, 8)),
)


def sizes(image_size, scales):
    """The sides of images at each scale, halved and rounded up from the finest, but 2 at least."""
    return [max(2, -(-image_size // 2**scale)) for scale in reversed(range(scales))]


def pyramid(images, sizes):
    """Images (N, C, H, W) at each of the sizes: means of pixels."""
    return [adaptive_avg_pool2d(images, size) for size in sizes]


class Generator(nn.Module):
    """A past -> the frame after it at each scale, (N, C, size, size) in [-1, 1].

    Y^_k = tanh(u(Y^_k-1) + G_k(X_k, u(Y^_k-1))), where u repeats pixels, and the coarsest has
    nothing below it. layers: of the G_k, by default the finest of the paper's; without `bounded`
    there is no tanh.
    """

    def __init__(self, sizes, past, channels, width, layers=None, bounded=True):
        super().__init__()
        self.sizes = sizes
        self.bound = nn.Tanh() if bounded else nn.Identity()
        self.refinements = nn.ModuleList(
            convolutions(channels * (past + (scale > 0)), channels, width, *layers)
            for scale, layers in enumerate(layers or GENERATORS[-len(sizes) :])
        )

    def forward(self, past):
        predictions, guess, known = [], 0, []
        for size, refine, frames in zip(
            self.sizes, self.refinements, pyramid(past, self.sizes), strict=True
        ):
            if predictions:
                guess = interpolate(predictions[-1], (size, size))
                known = [guess]
            predictions.append(self.bound(guess + refine(torch.cat([frames, *known], dim=1))))
        return predictions


def convolutions(inputs, outputs, width, channels, kernels):
    """Padded convolutions with ReLU between them."""
    channels = [inputs, *(width * count for count in channels), outputs]
    layers = []
    for (before, after), kernel in zip(pairwise(channels), kernels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Discriminator(nn.Module):
    """A frame (N, C, size, size) and the past before it at one scale -> logits (N,).

    Convolutions are not padded, unless the image is too small for that; the finest network ends in
    max pooling. Weights start from He's initialization (He et al. 2015, arXiv 1502.01852), which
    keeps the scale of the activations from layer to layer. PyTorch's default shrinks them sixfold
    in variance at each layer; without a norm the logits then start equal for all inputs, and the
    discriminator does not learn.

    Args:
        scale: its place among the paper's four, from the coarsest.
        size: height and width of the frames.
        past: number of frames in the past.
        channels: channels of a frame.
        width: twice the unit of channels in DISCRIMINATORS.
    """

    def __init__(self, scale: int, size: int, past: int, channels: int, width: int):
        super().__init__()
        maps, kernels, hidden = DISCRIMINATORS[scale]
        padded = size <= sum(kernel - 1 for kernel in kernels)
        layers, inputs = [], channels * (past + 1)
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

    def forward(self, frame, past):
        return self.layers(torch.cat([past, frame], dim=1))
