"""Files of a reference's mean and covariance, as pytorch-fid writes them, instead of its images.

An .npz file has the arrays `mu` (F,) and `sigma` (F, F). Files that the zoo writes also have
`count`, the number of images, and `extractor`, the name of the feature extractor.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from zoo.atomic_files import write_bytes
from zoo.config.errors import UserError
from zoo.metrics.frechet import MAX_FEATURES, Moments


@dataclass(frozen=True)
class Statistics:
    """The statistics of a reference.

    Args:
        moments: Moments of its features.
        extractor: Name of the feature extractor; None if the file does not state it.
    """

    moments: Moments
    extractor: str | None = None

    def check_extractor(self, name: str, width: int | None) -> None:
        """Check that an extractor may be that of the statistics.

        Args:
            name: Its name.
            width: Its number of features; None if it is not known.

        Raises:
            UserError: It has another name or another number of features.
        """
        if self.extractor not in (None, name):
            raise UserError(
                f"The reference's statistics are features of {self.extractor}, not of {name}: set "
                "that extractor=NAME, or write the statistics again."
            )
        own = len(self.moments.mean)
        if width not in (None, own):
            raise UserError(
                f"The reference's statistics have {own} features, and {name} has {width} of these "
                "images: set another extractor=NAME."
            )


def is_statistics(path: str) -> bool:
    """Return whether a path is an .npz file with `mu` and `sigma`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {"mu", "sigma"} <= set(arrays.files)
    except Exception:  # a folder, or another kind of file
        return False


def read_statistics(path: str) -> Statistics:
    """Read a file of statistics.

    Raises:
        ValueError: The arrays have wrong shapes or values.
    """
    with np.load(path, allow_pickle=False) as arrays:
        mean, covariance = arrays["mu"], arrays["sigma"]
        count = int(arrays["count"]) if "count" in arrays else None
        extractor = str(arrays["extractor"]) if "extractor" in arrays else None
    width = mean.shape[0] if mean.ndim == 1 else 0
    if not 0 < width <= MAX_FEATURES or covariance.shape != (width, width):
        raise ValueError(
            f"{path} contains mu {mean.shape} and sigma {covariance.shape}: they must be (F,) and "
            f"(F, F), with at most {MAX_FEATURES} features"
        )
    if mean.dtype.kind != "f" or covariance.dtype.kind != "f":
        raise ValueError(
            f"{path} contains mu of {mean.dtype} and sigma of {covariance.dtype}: they must be "
            "floating-point numbers"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{path} contains NaN or infinity")
    if not np.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6 * np.abs(covariance).max()):
        raise ValueError(f"{path}: sigma is not symmetric, so it is not a covariance")
    # The number of images only decides about a warning: assume that the covariance has full rank.
    mu, sigma = (torch.from_numpy(array.astype(np.float64)) for array in (mean, covariance))
    return Statistics(Moments.from_statistics(mu, sigma, count or width + 1), extractor)


def write_statistics(path: str, moments: Moments, extractor: str) -> None:
    """Write a file of statistics.

    Args:
        path: The .npz file.
        moments: Moments of the reference's features.
        extractor: Name of the feature extractor.
    """
    file = io.BytesIO()
    np.savez(
        file,
        mu=moments.mean.numpy(),
        sigma=moments.covariance.numpy(),
        count=np.array(moments.count),
        extractor=np.array(extractor),
    )
    write_bytes(Path(path), file.getvalue())
