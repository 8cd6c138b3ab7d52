"""What makes the same step faster: docs/performance.md says by how much."""

import os
from functools import partial

import torch
from torch import nn

from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


def prepare_players(model) -> None:
    """Set up the networks of a model for fast training, before callbacks copy them."""
    to_channels_last(model)
    for name in model.twice_differentiated:
        use_first_order_relu(getattr(model, name))


def prepare_steps(optimizers: list[torch.optim.Optimizer]) -> None:
    """Set up the optimizers of a model for fast steps."""
    for optimizer in optimizers:
        use_fused(optimizer)
    disable_nvml_lookup()


def to_channels_last(module: nn.Module) -> None:
    """Puts the weights of convolutions in channels-last order, which their outputs follow.

    Not those of ConvTransposeFrom1x1 and ConvTo1x1, which are matrices as they are.
    """
    layers = [
        layer for layer in module.modules() if isinstance(layer, ConvTransposeFrom1x1 | ConvTo1x1)
    ]
    matrices = {parameter for layer in layers for parameter in layer.parameters()}
    for parameter in module.parameters():
        if parameter.dim() == 4 and parameter not in matrices:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def compile_players(model: nn.Module) -> None:
    """Compiles the players where they are, but those that the model differentiates twice.

    A step is then Python between compiled networks. Shapes are fixed: each other size of a batch,
    such as that of the samples, is compiled once.
    """
    for name, player in model.named_children():
        if name not in model.twice_differentiated:
            for network in player if isinstance(player, nn.ModuleList) else [player]:
                network.compile(dynamic=False)


def use_fused(optimizer: torch.optim.Optimizer) -> None:
    """One kernel for all tensors, where there is one and the optimizer's maker did not choose."""
    for group in optimizer.param_groups:
        ways = [way for way in ("fused", "foreach") if way in group]
        if ways and all(group[way] is None for way in ways):
            group[ways[0]] = True
    optimizer.register_load_state_dict_post_hook(match_layouts)


def match_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Gives what is kept of each weight the layout of the weight: fused steps do not look at it."""
    for weight, kept in optimizer.state.items():
        for name, values in kept.items():
            if torch.is_tensor(values) and values.shape == weight.shape:
                kept[name] = torch.empty_like(weight, dtype=values.dtype).copy_(values)


def disable_nvml_lookup() -> None:
    """Without a GPU, lets torch know so at once.

    Optimizers ask at each step whether there is one, and since Lightning was imported torch looks
    for the driver's library each time, lest processes be forked after a GPU was in use.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def use_first_order_relu(player: nn.Module) -> None:
    """Tells autograd that ReLUs are straight, so that they have no second derivative.

    A penalty's backward would otherwise go through the whole player once more, with zeros: torch's
    own double backward of a ReLU gives a zero for what is no function of it at all.
    """
    for module in player.modules():
        if type(module) in (nn.ReLU, nn.LeakyReLU):
            slope = getattr(module, "negative_slope", 0.0)
            module.forward = partial(rectified, slope=slope)


def rectified(inputs: torch.Tensor, slope: float) -> torch.Tensor:
    """x where x > 0, elsewhere slope x; of -inf and a slope of 0 NaN."""
    return Gate.apply(inputs, inputs.detach(), slope)


class Gate(torch.autograd.Function):
    """`values` where `at` > 0, elsewhere slope times them: linear in them, and its own backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values, at, slope):
        return torch.ops.aten.leaky_relu_backward(values, at, slope, False)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, at, ctx.slope = inputs
        ctx.save_for_backward(at)
        ctx.set_materialize_grads(False)  # None would become zeros

    @staticmethod
    def backward(ctx, gradient):
        gated = None if gradient is None else Gate.apply(gradient, *ctx.saved_tensors, ctx.slope)
        return gated, None, None
