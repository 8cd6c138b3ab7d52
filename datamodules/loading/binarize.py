"""Grey images made black and white: a pixel is white with the probability of its grey level.

In training each pixel is drawn anew in each epoch (Salakhutdinov, Murray 2008); whatever measures
sees one fixed draw.
"""

import torch
from torch import Generator, Tensor

from datamodules.loading.sources import InMemoryImages
from zoo.engine.loader import KeyedLoader
from zoo.engine.seeds import keyed_generator


def binarize(images: Tensor, generator: Generator) -> Tensor:
    """uint8 images (N, C, H, W) as one draw of 0 and 255."""
    thresholds = torch.randint(255, images.shape, dtype=torch.uint8, generator=generator)
    return (images > thresholds).to(torch.uint8) * 255


class BinarizedImages(InMemoryImages):
    """One draw of the images of a Stored source, which is kept as `grey`."""

    def __init__(self, grey: InMemoryImages, *key):
        super().__init__(binarize(grey.images, keyed_generator("binarized", *key)), grey.labels)
        self.grey = grey


class BinarizingLoader(KeyedLoader):
    """A KeyedLoader for training on grey images, whose batches are new draws of them.

    Keyed by (seed, epoch, batch); processes share one draw of the global batch.
    """

    def __iter__(self):
        for batch in super().__iter__():
            for name in ("image", "labelled_image"):
                if name in batch:
                    batch[name] = self._drawn(batch[name], name)
            yield batch

    def _drawn(self, images, name):
        generator = keyed_generator(self.seed, self.epoch, self.position, name)
        whole = images.repeat_interleave(self.world_size, dim=0)
        return binarize(whole, generator)[self.rank :: self.world_size]
