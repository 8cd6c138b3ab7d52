"""What makes the same step faster: docs/performance.md says by how much."""

import torch


def lay_out(module: torch.nn.Module) -> None:
    """Puts the weights of convolutions in channels-last order, which their outputs follow."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def fuse(optimizer: torch.optim.Optimizer) -> None:
    """One kernel for all tensors, where there is one and the optimizer's maker did not choose."""
    for group in optimizer.param_groups:
        chosen = group.get("foreach"), group.get("fused")
        if chosen == (None, None):
            group["fused" if "fused" in group else "foreach"] = True
