"""Binary visible and hidden units of a restricted Boltzmann machine."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from zoo.precision import at_least_float32, widest, without_autocast

CHUNK = 4096  # states of the hidden units that are summed at once


class Units(nn.Module):
    """Visible units v and hidden units h with the energy -b v - c h - h W v. All are 0 or 1.

    Called on v (N, D), it returns the free energy F(v) = -log Σ_h exp(-E(v, h)), (N,).
    """

    def __init__(self, visible: int, hidden: int):
        super().__init__()
        self.weight = nn.Parameter(0.01 * torch.randn(hidden, visible))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def hidden_logits(self, visible: Tensor) -> Tensor:
        """Return the logits (N, H) of p(h_j = 1 | v) for v (N, D), float32 or better."""
        return precise_linear(visible, self.weight, self.hidden_bias)

    def visible_logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (N, D) of p(v_i = 1 | h) for h (N, H), float32 or better."""
        return precise_linear(hidden, self.weight.T, self.visible_bias)

    def forward(self, visible: Tensor) -> Tensor:
        bias = precise_linear(visible, self.visible_bias[None], None)[:, 0]
        return -bias - softplus(self.hidden_logits(visible)).sum(dim=1)

    @torch.no_grad()
    def exact_log_z(self) -> Tensor:
        """Return log Z in float64, a sum over all 2^H states of the hidden units, for small H."""
        device, dtype = self.weight.device, widest(self.weight.device)
        hidden = len(self.hidden_bias)
        powers = 2 ** torch.arange(hidden, device=device)
        terms = []
        for codes in torch.arange(2**hidden, device=device).split(CHUNK):
            states = (codes[:, None] // powers % 2).to(dtype)  # (., H)
            logits = states @ self.weight.to(dtype) + self.visible_bias.to(dtype)
            terms.append(softplus(logits).sum(dim=1) + states @ self.hidden_bias.to(dtype))
        return torch.cat(terms).logsumexp(dim=0)


def precise_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a linear layer in float32, or in float64 if its weights are."""
    with without_autocast(inputs):
        weight = at_least_float32(weight)
        bias = None if bias is None else bias.to(weight.dtype)
        return linear(inputs.to(weight.dtype), weight, bias)
