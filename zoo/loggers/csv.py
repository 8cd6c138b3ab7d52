"""The log that every run has."""

from pytorch_lightning.loggers import CSVLogger


class CSV(CSVLogger):
    """metrics.csv in the run's folder, and nothing else."""

    def __init__(self, folder: str = "."):
        super().__init__(folder, name="", version="")
