"""TensorBoard."""

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
