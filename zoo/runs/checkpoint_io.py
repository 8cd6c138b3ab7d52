"""How a checkpoint reaches the disk."""

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from zoo.atomic_files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's, except that the draft is written beside the checkpoint and synced to the disk.

    Lightning holds the whole file in memory and stages it in the temporary folder.
    """

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        with replacing(path) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch hides why the file could not be written
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
