"""How Lightning writes checkpoints to the disk."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from zoo.atomic_files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write each checkpoint whole or not at all, beside the file that it replaces.

    Lightning's own holds the whole file in memory and stages it in the temporary folder.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Args:
            checkpoint: What to save.
            path: The file to replace.
            storage_options: Not used.

        Raises:
            OSError: The file cannot be written.
        """
        with replacing(path) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch hides why the file could not be written
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
