"""What all data of videos share."""

from datamodules.base import DataModule
from zoo.media.images import from_uint8, grid_of


class VideoDataModule(DataModule):
    """Videos as batches of `video` and `index`.

    `video` is (N, T, C, H, W) float in [-1, 1], T = `frames`; it stays uint8 until it is on the
    device. `index`, (N,) int64, is the place in the split. A subclass's constructor has image_size
    and frames.
    """

    provides = ("video", "index")
    image_channels = 3
    figure = staticmethod(grid_of)

    def __init__(self):
        super().__init__()
        self.image_size = self.hparams.image_size

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch | {"video": from_uint8(batch["video"], self.dtype)}
