"""Pixels as features."""

import math

from torch import Tensor

from zoo.metrics.extractors.base import Extractor


class Pixels(Extractor):
    """Pixel values from 0 to 255 as features. Points of toy data are used unchanged.

    Accepts tensors of any type and shape (N, ...).
    """

    name = "pixels"
    purpose = "images and points of any shape"

    def num_features(self, shape: tuple[int, ...]) -> int:
        """Return the number of sub-pixels of an image."""
        return math.prod(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, F) float32."""
        return images.flatten(1).float()

    def float_features(self, pixels: Tensor) -> Tensor:
        """Return (N, F) float32 of floats (N, ...)."""
        return self(pixels)
