"""TensorBoard."""

import os
from contextlib import suppress
from pathlib import Path

from pytorch_lightning.loggers import TensorBoardLogger


class TensorBoard(TensorBoardLogger):
    """Write event files to the run's folder: tensorboard --logdir outputs.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: str = "."):
        try:
            super().__init__(folder, name="", version="", default_hp_metric=False)
        except ModuleNotFoundError as error:
            raise ImportError(
                "logger=tensorboard needs: python -m pip install tensorboard"
            ) from error

    def discard(self) -> None:
        """Remove the event files of a run that has trained nothing."""
        self.finalize("failed")  # closes them
        for file in Path(self.log_dir).glob(f"events.out.tfevents.*.{os.getpid()}.*"):
            with suppress(OSError):
                file.unlink()
