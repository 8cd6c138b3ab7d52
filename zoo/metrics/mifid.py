"""How close samples are to training images, for MiFID (Bai et al. 2021, arXiv 2106.03062)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo.metrics.frechet import check_widths
from zoo.precision import exact_float32, without_autocast

# torchmetrics' MemorizationInformedFrechetInceptionDistance takes, for each training image, the
# nearest sample. The paper takes, for each sample, the nearest training image.

THRESHOLD = 0.1  # tau of the paper: samples that are further away on average are no copies
SMALLEST = 1e-14  # so that copies have a finite MiFID


def nearest_cosine(fake: Tensor, real: Tensor, block: int = 1024) -> float:
    """Compute the mean cosine distance of samples to their nearest training images.

    Args:
        fake: Features (M, F) of the samples.
        real: Features (N, F) of the training images.
        block: Rows and columns at once.

    Returns:
        The mean over samples of min 1 - |cos|: 0 for copies.

    Raises:
        ValueError: A set is empty, or the numbers of features differ.
    """
    check_widths(real, fake)
    if not len(real) or not len(fake):
        raise ValueError(f"there are {len(fake)} samples and {len(real)} training images")
    total = 0.0
    with exact_float32(), without_autocast(fake):
        references = normalize(real, dim=1)
        for rows in normalize(fake, dim=1).split(block):
            found = [(rows @ columns.T).abs().max(dim=1) for columns in references.split(block)]
            cosines = torch.stack([values for values, _ in found])  # (blocks, B)
            best = cosines.argmax(dim=0)
            places = torch.stack([places for _, places in found])
            nearest = best * block + places.gather(0, best[None])[0]
            # In float32 the distance of a copy would be a rounding error.
            pairs = (normalize(part.double(), dim=1) for part in (rows, references[nearest]))
            first, second = pairs
            total += (1 - (first * second).sum(dim=1).abs()).clamp(min=0).sum().item()
    return total / len(fake)


def mifid(distance: float, cosine: float) -> float:
    """Divide a Fréchet distance by the cosine distance to the nearest training images.

    Args:
        distance: The Fréchet distance.
        cosine: See `nearest_cosine`. From THRESHOLD on, the distance is not changed.
    """
    return distance / max(cosine, SMALLEST) if cosine < THRESHOLD else distance
