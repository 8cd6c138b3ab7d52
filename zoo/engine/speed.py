"""Faster training steps with the same results. docs/performance.md has measurements."""

import os
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


def prepare_players(model: nn.Module) -> None:
    """Set up the players of a model for fast training, before callbacks copy them."""
    to_channels_last(model)
    twice_differentiated: Any = model.twice_differentiated
    for name in twice_differentiated:
        use_first_order_relu(getattr(model, name))


def prepare_steps(model: Any, compile: bool) -> None:
    """Set up the optimizers of a model for fast steps, and compile its players if requested."""
    for optimizer in model.trainer.optimizers:
        use_fused(optimizer)
    disable_nvml_lookup()
    if compile:
        compile_players(model)


def to_channels_last(module: nn.Module) -> None:
    """Convert the weights of convolutions to channels-last, which their outputs then have as well.

    Two kinds of modules inside `module` are left out, with everything in them:

    - ConvTransposeFrom1x1 and ConvTo1x1, which compute matrix products;
    - modules of packages other than torch and zoo, whose `forward` may call `view`: their inputs
      get torch's default layout. A class attribute `channels_last = True` includes them.
    """
    for parameter in module.parameters(recurse=False):
        if parameter.dim() == 4:
            parameter.data = channels_last(parameter.data)
    for child in module.children():
        if isinstance(child, ConvTransposeFrom1x1 | ConvTo1x1):
            continue
        if works_in_any_layout(child):
            to_channels_last(child)
        elif to_default_layout not in child._forward_pre_hooks.values():
            child.register_forward_pre_hook(to_default_layout, with_kwargs=True)


def works_in_any_layout(module: nn.Module) -> bool:
    """Return whether a module's `forward` works with channels-last inputs and weights."""
    cls = type_before_parametrizations(module)
    ours = cls.__module__.split(".")[0] in ("torch", "torchvision", "zoo")
    return getattr(module, "channels_last", ours)


def to_default_layout(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Copy channels-last inputs of a module to torch's default layout, before its forward."""

    def contiguous(value: Any) -> Any:
        return value.contiguous() if isinstance(value, Tensor) else value

    return tuple(map(contiguous, args)), {name: contiguous(x) for name, x in kwargs.items()}


def channels_last(weight: Tensor) -> Tensor:
    """Copy a weight (A, B, h, w) to the strides of channels-last.

    `contiguous(memory_format=torch.channels_last)` leaves a weight with one input channel or a 1x1
    kernel as it is, because its strides fit both layouts. The convolution would then return NCHW.
    """
    inputs, height, width = weight.shape[1:]
    strides = height * width * inputs, 1, width * inputs, inputs
    empty = torch.empty_strided(weight.shape, strides, dtype=weight.dtype, device=weight.device)
    return empty.copy_(weight)


def compile_players(model: nn.Module) -> None:
    """Compile the players in place, except those that the model differentiates twice.

    Shapes are static: each batch size, such as that of the samples, is compiled once.
    """
    twice_differentiated: Any = model.twice_differentiated
    for name, player in model.named_children():
        if name not in twice_differentiated:
            for network in player if isinstance(player, nn.ModuleList) else [player]:
                network.compile(dynamic=False)


def use_fused(optimizer: torch.optim.Optimizer) -> None:
    """Use the fused implementation of an optimizer, or else foreach, unless one was chosen."""
    for group in optimizer.param_groups:
        options = [option for option in ("fused", "foreach") if option in group]
        if options and all(group[option] is None for option in options):
            group[options[0]] = True
    optimizer.register_load_state_dict_post_hook(match_layouts)


def match_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Copy the optimizer's state of each weight to the memory layout of the weight.

    Fused steps read memory in order: with another layout their result would be wrong.
    """
    for weight, state in optimizer.state.items():
        for name, values in state.items():
            if torch.is_tensor(values) and values.shape == weight.shape:
                state[name] = torch.empty_like(weight, dtype=values.dtype).copy_(values)


def disable_nvml_lookup() -> None:
    """Disable torch's search for the driver's library on machines without a GPU.

    Optimizers ask at each step whether there is a GPU. Lightning makes torch answer by NVML, which
    is safe before a fork but searches for the library each time.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def use_first_order_relu(player: nn.Module) -> None:
    """Replace the ReLUs of a player by ones without a second derivative, which is 0.

    torch's double backward of a ReLU returns zeros instead of nothing, so the backward pass of a
    gradient penalty would go through the whole player once more, with zeros.
    """
    for module in player.modules():
        if type(module) in (nn.ReLU, nn.LeakyReLU):
            slope = getattr(module, "negative_slope", 0.0)
            module.forward = partial(rectified, slope=slope)


def rectified(inputs: Tensor, slope: float) -> Tensor:
    """Compute the leaky ReLU: x where x > 0, otherwise slope * x (NaN for -inf and slope 0)."""
    return Gate.apply(inputs, inputs.detach(), slope)


class Gate(torch.autograd.Function):
    """Return `values` where `at` > 0, otherwise slope * values. It is its own backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, at: Tensor, slope: float) -> Tensor:
        """Return the gated values."""
        return torch.ops.aten.leaky_relu_backward(values, at, slope, False)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Store what `backward` needs."""
        _, at, ctx.slope = inputs
        ctx.save_for_backward(at)
        ctx.set_materialize_grads(False)  # None would become zeros

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, None, None]:
        """Return the gradient of the values, gated the same way."""
        gated = None if gradient is None else Gate.apply(gradient, *ctx.saved_tensors, ctx.slope)
        return gated, None, None
