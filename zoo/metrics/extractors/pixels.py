"""The pixels themselves."""

import math

from torch import Tensor

from zoo.metrics.extractors.base import Extractor


class Pixels(Extractor):
    """The values of images as features, 0 to 255, or what toy data have in their place.

    Takes numbers of any type and shape (N, ...).
    """

    name = "pixels"
    purpose = "images and points of any shape"

    def num_features(self, shape: tuple[int, ...]) -> int:
        """As many as an image has sub-pixels."""
        return math.prod(shape)

    def forward(self, images: Tensor) -> Tensor:
        """(N, F) float32."""
        return images.flatten(1).float()
