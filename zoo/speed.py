"""What makes the same step faster: docs/performance.md says by how much."""

import torch


def lay_out(module: torch.nn.Module) -> None:
    """Puts the weights of convolutions in channels-last order, which their outputs follow."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def compile_players(model: torch.nn.Module) -> None:
    """Compiles the players where they are, but those that the model differentiates twice.

    A step is then Python between compiled networks. Shapes are fixed: each other size of a batch,
    such as that of the samples, is compiled once.
    """
    for name, player in model.named_children():
        if name not in model.twice_differentiated:
            for network in player if isinstance(player, torch.nn.ModuleList) else [player]:
                network.compile(dynamic=False)


def fuse(optimizer: torch.optim.Optimizer) -> None:
    """One kernel for all tensors, where there is one and the optimizer's maker did not choose."""
    for group in optimizer.param_groups:
        ways = [way for way in ("fused", "foreach") if way in group]
        if ways and all(group[way] is None for way in ways):
            group[ways[0]] = True
