"""The codebook of a VQ-VAE (van den Oord, Vinyals, Kavukcuoglu 2017, arXiv 1711.00937)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from zoo.precision import apply_except_buffers, at_least_float32, without_autocast


def straight_through(encoded: Tensor, quantized: Tensor) -> Tensor:
    """Return `quantized`, with the gradient copied to `encoded` (section 3.2)."""
    return encoded + (quantized - encoded).detach()


class Codebook(nn.Module):
    """K vectors, each the moving average of the encoder's outputs nearest to it (appendix A.1).

    Args:
        num_codes: K.
        dim: Size Z of a vector.
    """

    vectors: Tensor  # (K, Z)
    usage: Tensor  # (K,), the moving average of the number of outputs nearest to each vector
    _apply = apply_except_buffers  # averages are at least float32

    def __init__(self, num_codes: int, dim: int):
        super().__init__()
        self.register_buffer("vectors", torch.randn(num_codes, dim))
        self.register_buffer("usage", torch.zeros(num_codes))

    def forward(self, codes: Tensor) -> Tensor:
        """Return the vectors (N, Z, H, W) of codes (N, H, W)."""
        return self.vectors[codes].movedim(-1, 1)

    def nearest(self, encoded: Tensor) -> Tensor:
        """Return the codes (N, H, W) of the vectors nearest to the encoder's outputs (eq. 1).

        Args:
            encoded: (N, Z, H, W).
        """
        flat = at_least_float32(encoded.detach()).movedim(1, -1)  # (N, H, W, Z)
        with without_autocast(flat):
            vectors = self.vectors.to(flat.dtype)
            distances = vectors.square().sum(dim=1) - 2 * flat @ vectors.T  # up to |flat|²
        return distances.argmin(dim=-1)

    def standardized(self) -> Tensor:
        """Return the vectors (K, Z) with mean 0 and a mean square of 1, as inputs of a network."""
        centered = self.vectors - self.vectors.mean(dim=0)
        return centered / centered.square().mean().sqrt().clamp(min=1e-6)

    def order(self) -> Tensor:
        """Return the codes (K,), sorted along the first principal component of their vectors."""
        centered = (self.vectors - self.vectors.mean(dim=0)).double().cpu()
        direction = torch.linalg.eigh(centered.T @ centered).eigenvectors[:, -1]
        direction = direction * direction[direction.abs().argmax()].sign()  # both signs are valid
        return (centered @ direction).argsort().to(self.vectors.device)

    def sums(self, encoded: Tensor, codes: Tensor) -> Tensor:
        """Sum up the encoder's outputs that each code replaces.

        Args:
            encoded: (N, Z, H, W).
            codes: Their codes (N, H, W).

        Returns:
            (K, 1 + Z): the number of outputs, and their sum.
        """
        flat = encoded.detach().movedim(1, -1).flatten(0, 2).to(self.vectors.dtype)  # (M, Z)
        chosen = one_hot(codes.flatten(), len(self.vectors)).to(flat.dtype)  # (M, K)
        with without_autocast(flat):
            return chosen.T @ torch.cat([torch.ones_like(flat[:, :1]), flat], dim=1)

    def update_(self, sums: Tensor, decay: float) -> None:
        """Update the averages (eq. 6 to 8). A vector that was never used stays as it is.

        Args:
            sums: Those of a batch, over all processes. See `sums`.
            decay: Weight of the old averages.
        """
        kept = decay * self.usage
        usage = kept + (1 - decay) * sums[:, 0]
        vectors = kept[:, None] * self.vectors + (1 - decay) * sums[:, 1:]
        means = vectors / usage.clamp(min=torch.finfo(usage.dtype).tiny)[:, None]
        self.vectors.copy_(torch.where(usage[:, None] > 0, means, self.vectors))
        self.usage.copy_(usage)

    def replace_(self, chosen: Tensor, vectors: Tensor, usage: float) -> None:
        """Replace vectors, and begin their averages anew.

        Args:
            chosen: Which, (K,) bool.
            vectors: (number of chosen codes, Z).
            usage: Their new usage.
        """
        self.vectors[chosen] = vectors.to(self.vectors.dtype)
        self.usage[chosen] = usage
