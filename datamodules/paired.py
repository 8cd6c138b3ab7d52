"""What paired images share: a source beside each image, both uint8 until they are on the device."""

from datamodules.base import ImageDataModule


class PairedDataModule(ImageDataModule):
    """Images as batches of `image`, `source` and `index`: a source is what is to be translated.

    In training both are float in [-1, 1], (N, C, H, W) and (N, C', H, W); where an image is
    flipped, so is its source. A subclass has source_channels, and overrides `open`.
    """

    provides = ("image", "source", "index")
    on_demand = ()
    source_channels = 3
    extractor = None

    def on_after_batch_transfer(self, batch, dataloader_idx):
        flip, source = batch.get("flip"), batch["source"].to(self.dtype) / 127.5 - 1
        if flip is not None:
            source = source.where(~flip[:, None, None, None], source.flip(-1))
        return super().on_after_batch_transfer(batch, dataloader_idx) | {"source": source}
