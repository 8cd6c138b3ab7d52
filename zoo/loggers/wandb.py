"""Weights & Biases."""

import netrc
import os
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlparse

from pytorch_lightning.loggers import WandbLogger

MODES = ("auto", "online", "offline", "disabled")


class Wandb(WandbLogger):
    """Log to Weights & Biases.

    Args:
        mode: online, offline (upload later with `wandb sync`), disabled, or auto: online if you are
            logged in, offline otherwise.
        project: The project.
        folder: The folder of offline runs.
        log_model: When training has finished, store best.ckpt and last.ckpt as an artifact of the
            type `model`.

    Raises:
        ValueError: The mode is unknown, or online without a login.
    """

    def __init__(
        self,
        mode: str = "auto",
        project: str = "zoo",
        folder: str = ".",
        log_model: bool = False,
    ):
        if mode not in MODES:
            raise ValueError(f"logger.mode={mode} is not one of {', '.join(MODES)}.")
        if mode == "online" and not logged_in():
            raise ValueError(
                "logger.mode=online needs a login: run `wandb login`, set WANDB_API_KEY, or use "
                "logger.mode=offline and upload later with `wandb sync`."
            )
        if mode == "auto":
            mode = "online" if logged_in() else "offline"
        # Lightning's own log_model needs its ModelCheckpoint, and refuses offline runs.
        super().__init__(project=project, save_dir=folder, offline=mode == "offline", mode=mode)
        self.writes_files = mode != "disabled"
        self.log_model = log_model and self.writes_files
        self.checkpoints: Path | None = None  # their folder, if one was saved since the artifact

    def after_save(self, folder: Path) -> None:
        """Note that a checkpoint was saved. Called on the first process.

        Args:
            folder: The folder of the run's checkpoints.
        """
        self.checkpoints = folder

    def finalize(self, status: str) -> None:
        super().finalize(status)
        if not (self.log_model and status == "success" and self.checkpoints):
            return
        from wandb import Artifact

        artifact = Artifact(f"model-{self.experiment.id}", type="model")
        for file in sorted(self.checkpoints.glob("*.ckpt")):
            artifact.add_file(str(file))
        self.experiment.log_artifact(artifact)
        self.checkpoints = None  # Lightning finalizes after training, and again after testing

    def discard(self) -> None:
        """Finish a run that has trained nothing, and remove its files. Uploads are kept."""
        if self._experiment is None or not self.writes_files:
            return
        folder = Path(self._experiment.dir).parent  # <folder>/wandb/<run>/files
        self._experiment.finish(exit_code=1)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            for link in folder.parent.iterdir():  # latest-run and debug.log point to the run
                if link.is_symlink() and not link.exists():
                    link.unlink()
            folder.parent.rmdir()


def logged_in() -> bool:
    """Return whether wandb finds an API key in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False
