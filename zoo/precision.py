"""Losses and likelihoods are computed in float32, whatever `trainer.precision` is.

Networks may run in half precision; a loss of their outputs may not. A bfloat16 has 8 significant
bits, so that a mean of logits is off by up to 0.4 %, and in float16 the sum of 512 squares of 200
overflows. Float64 stays float64.
"""

from functools import wraps

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, linear


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it has more digits or is not floating-point."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> torch.autocast:
    """A context in which operations on the tensor's device keep the dtypes of their arguments."""
    return torch.autocast(tensor.device.type, enabled=False)


def full_precision(loss):
    """Decorate a loss: its tensors, given by position, become float32 at least; no autocast."""

    @wraps(loss)
    def computed(*arguments, **keywords):
        tensors = [value for value in arguments if isinstance(value, Tensor)]
        with without_autocast(tensors[0]):
            arguments = [
                at_least_float32(value) if isinstance(value, Tensor) else value
                for value in arguments
            ]
            return loss(*arguments, **keywords)

    return computed


# The last layers of networks whose outputs are the parameters of a distribution.


class Linear(nn.Linear):
    """A linear layer that computes in float32 at least."""

    def forward(self, features: Tensor) -> Tensor:
        with without_autocast(features):
            features = at_least_float32(features)
            return linear(features, self.weight.to(features.dtype), self.bias.to(features.dtype))


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of equal strides that computes in float32 at least."""

    def forward(self, maps: Tensor) -> Tensor:
        with without_autocast(maps):
            maps = at_least_float32(maps)
            weight, bias = self.weight.to(maps.dtype), self.bias.to(maps.dtype)
            return conv_transpose2d(maps, weight, bias, self.stride, self.padding)
