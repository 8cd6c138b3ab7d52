"""The CSV log, which every run has."""

import sys

from pytorch_lightning.loggers import CSVLogger


class CSV(CSVLogger):
    """Write only metrics.csv to the run's folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: str = "."):
        super().__init__(folder, name="", version="")

    def finalize(self, status: str) -> None:
        try:
            super().finalize(status)
        except OSError as error:
            if status == "success":
                raise
            print(f"metrics.csv could not be written: {error}", file=sys.stderr)
