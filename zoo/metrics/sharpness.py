"""How sharp samples are beside real images: what makes blur, or noise, a number."""

import torch
from torch import Tensor, nn

BANDS = 4  # of frequencies, up to the highest that pixels can hold


class Detail(nn.Module):
    """uint8 images (N, C, H, W) to (N, 1 + BANDS): what varies from pixel to pixel; else zeros.

    First the gradient energy, the mean square difference of neighbours along rows and along
    columns, of values in [0, 1]; then the mean power of the frequencies of each band, rings of
    equal width from 0 to 1/2 cycle per pixel, the last with the corners, the mean grey in none.
    """

    def forward(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8 or images.dim() != 4 or min(images.shape[-2:]) < 2:
            return torch.zeros(len(images), 1 + BANDS)
        images = images.float() / 255
        across = images.diff(dim=3).square().flatten(1).mean(dim=1)
        down = images.diff(dim=2).square().flatten(1).mean(dim=1)
        power = torch.fft.fft2(images, norm="ortho").abs().square().mean(dim=1)
        ring = rings(*images.shape[-2:]).to(images.device)
        bands = [power[:, ring == band].mean(dim=1) for band in range(1, BANDS + 1)]
        return torch.stack([across + down, *bands], dim=1).nan_to_num()  # small ones lack a band


def rings(height: int, width: int) -> Tensor:
    """The band of each frequency, 1 to BANDS, and 0 for the mean (H, W)."""
    rows, columns = torch.fft.fftfreq(height), torch.fft.fftfreq(width)
    radius = (rows[:, None].square() + columns.square()).sqrt()
    return (radius * 2 * BANDS).ceil().clamp(max=BANDS)


def sharpness(real: Tensor, fake: Tensor) -> dict[str, float]:
    """{what: number} of the Detail of real and generated images; {} where the real have none.

    sharpness: the gradient energy over that of the real ones: 1 is as sharp, less is blurred, more
    is noisy. spectrum_db: how far the power is from theirs, in decibels, root mean square over the
    bands; 0 is perfect.
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
