"""Sharpness of samples relative to real images, to detect blur and noise."""

import torch
from torch import Tensor, nn

BANDS = 4  # of frequencies


class Detail(nn.Module):
    """Statistics of images that depend on differences of neighboring pixels.

    The first is the gradient energy: the mean squared difference between neighbors along rows, plus
    that along columns, of values in [0, 1]. The others are the mean power in frequency bands. The
    bands are rings of equal width from 0 to 1/2 cycle per pixel. The last band includes the
    corners. The mean gray level is not in any band.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, 1 + BANDS) for uint8 images (N, C, H, W), and zeros for other data."""
        if images.dtype != torch.uint8 or images.dim() != 4 or min(images.shape[-2:]) < 2:
            return torch.zeros(len(images), 1 + BANDS)
        images = images.float() / 255
        across = images.diff(dim=3).square().flatten(1).mean(dim=1)
        down = images.diff(dim=2).square().flatten(1).mean(dim=1)
        power = torch.fft.fft2(images, norm="ortho").abs().square().mean(dim=1)
        ring = rings(*images.shape[-2:]).to(images.device)
        bands = [power[:, ring == band].mean(dim=1) for band in range(1, BANDS + 1)]
        return torch.stack([across + down, *bands], dim=1).nan_to_num()  # bands can be empty


def rings(height: int, width: int) -> Tensor:
    """Return the band of each frequency, (H, W): 1 to BANDS, and 0 for the mean."""
    rows, columns = torch.fft.fftfreq(height), torch.fft.fftfreq(width)
    radius = (rows[:, None].square() + columns.square()).sqrt()
    return (radius * 2 * BANDS).ceil().clamp(max=BANDS)


def sharpness(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Compare the Detail of generated and of real images.

    Args:
        real: (N, 1 + BANDS).
        fake: (M, 1 + BANDS).

    Returns:
        sharpness: gradient energy divided by that of real images; below 1 for blurred images, above
        1 for noisy ones. spectrum_db: difference between the power spectra in decibels, as root
        mean square over bands; 0 is best. {} if the real data are not images.
    """
    if not real.any():
        return {}
    real, fake = (detail.double().mean(dim=0).clamp(min=1e-12) for detail in (real, fake))
    ratio = fake / real
    decibels = 10 * ratio[1:].log10()
    return {
        "sharpness": ratio[0].item(),
        "spectrum_db": decibels.square().mean().sqrt().item(),
    }
