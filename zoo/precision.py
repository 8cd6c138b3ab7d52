"""Losses and likelihoods are computed in float32, whatever `trainer.precision` is.

Networks may run in half precision; a loss of their outputs may not. A bfloat16 has 8 significant
bits, so that a mean of logits is off by up to 0.4 %, and in float16 the sum of 512 squares of 200
overflows. Float64 stays float64.
"""

from contextlib import contextmanager
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


def widest(device: torch.device) -> torch.dtype:
    """The floating-point type with the most digits that a device has."""
    return torch.float32 if device.type == "mps" else torch.float64


@contextmanager
def exact_float32():
    """No TF32 and no bfloat16 inside float32 operations, on CPU or GPU; afterwards as before.

    Convolutions take TF32 on GPUs by default, and a user may have allowed it for all operations,
    by either of torch's two interfaces.
    """
    backends = torch.backends
    try:
        convolutions, products = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:  # set by the newer interface, after which the older one raises
        with _ieee():
            yield
        return
    on_cpu = getattr(backends.mkldnn, "matmul", None)  # the older interface moves it, too
    before = getattr(on_cpu, "fp32_precision", None)
    backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
        if before is not None:
            on_cpu.fp32_precision = before


@contextmanager
def _ieee():
    """exact_float32 by torch.backends' fp32_precision, which torch has since 2.9."""
    backends = torch.backends
    operations = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
    operations += [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    before = [operation.fp32_precision for operation in operations]
    for operation in operations:
        operation.fp32_precision = "ieee"
    try:
        yield
    finally:
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision


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
