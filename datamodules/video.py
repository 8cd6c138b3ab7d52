"""The base class of video data."""

from torch import Tensor

from datamodules.base import DataModule
from zoo.media.images import from_uint8, grid_of


class VideoDataModule(DataModule):
    """Videos as batches of `video` and `index`.

    `video` is (N, T, C, H, W) float in [-1, 1]; it stays uint8 until it is on the device. `index`,
    (N,) int64, is the position in the split.

    Args:
        image_size: Height and width of the frames.
        frames: Frames per clip, T.
    """

    provides: tuple[str, ...] = ("video", "index")
    image_channels: int = 3
    figure = staticmethod(grid_of)

    def __init__(self):
        super().__init__()
        self.image_size = self.hparams.image_size

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        return batch | {"video": from_uint8(batch["video"], self.dtype)}
