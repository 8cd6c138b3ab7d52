"""Losses and likelihoods are computed in float32, whatever `trainer.precision` is.

Networks may run in half precision, but not the losses of their outputs. bfloat16 has 8 significant
bits, so a mean of logits is off by up to 0.4 %; in float16 the sum of 512 squares of 200 overflows.
Float64 stays float64.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, linear

Loss = TypeVar("Loss", bound=Callable[..., Any])


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or unchanged if it is float64 or not floating-point."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def uniforms(*shape: int, device: torch.device | str | None) -> Tensor:
    """Draw uniform random numbers in [0, 1), at least float32.

    torch.rand draws the default type, which is bfloat16 with precision=bf16-true. It has 256 values
    there, so that less likely outcomes would never be drawn.
    """
    dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
    return torch.rand(*shape, device=device, dtype=dtype)


def bernoulli(logits: Tensor) -> Tensor:
    """Draw 0 or 1 with the probabilities sigmoid(logits), of the same shape and type."""
    return (uniforms(*logits.shape, device=logits.device) < logits.sigmoid()).to(logits.dtype)


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Return a context in which operations on the tensor's device keep their arguments' dtypes."""
    return torch.autocast(tensor.device.type, enabled=False)


def apply_except_buffers(module: nn.Module, function: Callable, recurse: bool = True) -> nn.Module:
    """Do what nn.Module._apply does, but keep the module's own buffers at least float32.

    Running means change by little: in half precision they soon stop changing. A class with such
    buffers has `_apply = apply_except_buffers`, because precision=bf16-true converts all buffers.
    """
    before = dict(module.named_buffers(recurse=False))
    nn.Module._apply(module, function, recurse)
    for name, buffer in before.items():
        converted = getattr(module, name)
        precise = at_least_float32(converted)
        if precise.dtype != converted.dtype:
            setattr(module, name, buffer.to(converted.device, precise.dtype))
    return module


def widest(device: torch.device) -> torch.dtype:
    """Return the most precise floating-point type of a device."""
    return torch.float32 if device.type == "mps" else torch.float64


@contextmanager
def exact_float32() -> Iterator[None]:
    """Disable TF32 and bfloat16 inside float32 operations on CPU and GPU; restore them afterwards.

    Convolutions use TF32 on GPUs by default, and users may have allowed it for all operations,
    through either of torch's two interfaces.
    """
    backends: Any = torch.backends
    try:
        convolutions, products = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:  # set through the newer interface, after which the older one raises
        with _ieee_float32():
            yield
        return
    on_cpu: Any = getattr(backends.mkldnn, "matmul", None)  # the older interface changes it, too
    before = getattr(on_cpu, "fp32_precision", None)
    backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
        if on_cpu is not None and before is not None:
            on_cpu.fp32_precision = before


@contextmanager
def _ieee_float32() -> Iterator[None]:
    """Do what exact_float32 does through the interface of torch 2.9 and later, fp32_precision."""
    backends: Any = torch.backends
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


def full_precision(loss: Loss) -> Loss:
    """Decorate a loss, so that it computes in float32 or better and without autocast.

    Tensors must be positional arguments: they are converted, keyword arguments are not.

    Args:
        loss: Function whose positional arguments include at least one tensor.

    Returns:
        The decorated function.
    """

    @wraps(loss)
    def computed(*args: Any, **kwargs: Any) -> Any:
        tensors = [value for value in args if isinstance(value, Tensor)]
        with without_autocast(tensors[0]):
            args = tuple(
                at_least_float32(value) if isinstance(value, Tensor) else value for value in args
            )
            return loss(*args, **kwargs)

    return cast(Loss, computed)


# Last layers of networks whose outputs are the parameters of a distribution.


class Linear(nn.Linear):
    """Linear layer with a bias that computes in float32 or better."""

    bias: nn.Parameter

    def forward(self, features: Tensor) -> Tensor:
        with without_autocast(features):
            features = at_least_float32(features)
            return linear(features, self.weight.to(features.dtype), self.bias.to(features.dtype))


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution with a bias that computes in float32 or better."""

    bias: nn.Parameter
    padding: tuple[int, ...]

    def forward(self, maps: Tensor) -> Tensor:
        with without_autocast(maps):
            maps = at_least_float32(maps)
            weight, bias = self.weight.to(maps.dtype), self.bias.to(maps.dtype)
            return conv_transpose2d(maps, weight, bias, self.stride, self.padding)
