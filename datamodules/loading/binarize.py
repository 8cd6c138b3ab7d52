"""Binarized images: a pixel is white with the probability of its gray level.

Training draws each pixel anew in each epoch (Salakhutdinov, Murray 2008). Validation, test and
metrics read one fixed draw.
"""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from datamodules.loading.sources import InMemoryImages
from zoo.engine.loader import KeyedLoader
from zoo.engine.seeds import keyed_generator


def binarize(images: Tensor, generator: Generator) -> Tensor:
    """Draw black and white images.

    Args:
        images: uint8 (N, C, H, W), whose gray levels are probabilities times 255.
        generator: Source of randomness.

    Returns:
        uint8 (N, C, H, W) of 0 and 255.
    """
    thresholds = torch.randint(255, images.shape, dtype=torch.uint8, generator=generator)
    return (images > thresholds).to(torch.uint8) * 255


class BinarizedImages(InMemoryImages):
    """One draw of the images of a source.

    Args:
        grey: The source, which is kept as the attribute `grey`.
        *key: Values that the draw depends on.
    """

    def __init__(self, grey: InMemoryImages, *key: object):
        super().__init__(binarize(grey.images, keyed_generator("binarized", *key)), grey.labels)
        self.grey = grey


class BinarizingLoader(KeyedLoader):
    """A KeyedLoader for training on gray images that draws new binary images for each batch.

    A draw is keyed by (seed, epoch, batch). All processes share the draw of the global batch.
    """

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in super().__iter__():
            for name in ("image", "labeled_image"):
                if name in batch:
                    batch[name] = self._binarize(batch[name], name)
            yield batch

    def _binarize(self, images: Tensor, name: str) -> Tensor:
        generator = keyed_generator(self.seed, self.epoch, self.position, name)
        whole = images.repeat_interleave(self.world_size, dim=0)  # the shape of the global batch
        return binarize(whole, generator)[self.rank :: self.world_size]
