"""Dropout that is more than twice as fast as torch's on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout


class Dropout(nn.Dropout):
    """Set inputs to 0 with probability p, and divide the others by 1 - p.

    Args:
        p: Probability in [0, 1].
        at_test: Whether dropout is also active in eval mode.
    """

    def __init__(self, p: float = 0.5, at_test: bool = False):
        super().__init__(p)
        self.at_test = at_test

    def forward(self, inputs: Tensor) -> Tensor:
        if not (self.training or self.at_test):
            return inputs
        if inputs.device.type != "cpu" or self.p in (0, 1):
            return dropout(inputs, self.p)
        # Uniform floats, because bernoulli_, which torch's dropout uses, is slow on a CPU.
        kept = torch.rand_like(inputs, dtype=torch.float32) >= self.p
        return inputs * (kept / (1 - self.p)).to(inputs.dtype)
