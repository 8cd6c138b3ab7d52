"""Images of swapped and of interpolated codes (Mathieu et al. 2016)."""

import torch

from zoo.media.images import to_uint8
from zoo.plots import latent_paths
from zoo.plots.grids import below, beside, panel


def swaps(images, identity, latent, decoder):
    """Images (N, C, H, W) above and on the left; between them, the identity of the one above and
    the rest of the one on the left, decoded: uint8 (3, H, W)."""
    count = len(images)
    decoded = decoder(identity.repeat(count, 1), latent.repeat_interleave(count, dim=0))
    images, decoded = to_uint8(images).cpu(), to_uint8(decoded).cpu()
    corner = torch.full_like(images[:1], 255)
    left = below(panel(corner, columns=1), panel(images, columns=1))
    return beside(left, below(panel(images, columns=count), panel(decoded, columns=count)))


def between(identity, latent, decoder, steps=8):
    """From one image (first row, left) to another: its identity downwards, the rest to the right.

    identity, latent: (2, S) and (2, Z), the codes of the two; gives uint8 (3, H, W)
    """
    downwards = latent_paths.linear(identity[:1], identity[1:], steps)[0]
    rightwards = latent_paths.linear(latent[:1], latent[1:], steps)[0]
    images = decoder(downwards.repeat_interleave(steps, dim=0), rightwards.repeat(steps, 1))
    return panel(to_uint8(images).cpu(), columns=steps)
