"""Training with other projects' own code, timed for benchmarks.peers.

A peer is a copy of the repository of another project. Its files are not changed.
"""

import os
import resource
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks import peer_models
from benchmarks.clock import now
from benchmarks.plain_loops import PILImages
from datamodules.mnist import MNIST
from datamodules.shapes import Shapes

BATCH, LATENTS, WIDTH = 64, 16, 32

Ends = list[float]  # time at the end of each batch, or of each generator update


class Enough(Exception):
    """Ends a peer's run after the batches that are timed."""


class LabeledImages(Dataset):
    """PIL images with a label, as torchvision's data sets.

    Args:
        images: uint8 images (N, C, H, W).
        transform: As for torchvision's data sets; by default floats in [-1, 1].
    """

    def __init__(self, images: torch.Tensor, transform: Callable[[Any], Any] | None = None):
        self.images = PILImages(images)
        self.images.transform = transform or self.images.transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], 0


def mnist(root: str) -> torch.Tensor:
    """Read the training images of MNIST, uint8 (N, 1, 28, 28)."""
    source = MNIST(root=root).source("train")
    return source[torch.arange(len(source))]["image"]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Work in a folder that is deleted afterwards, because peers write files."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "one", "two")  # PyTorch-GAN creates ../../data
        work.mkdir(parents=True)
        os.chdir(work)
        try:
            yield work
        finally:
            os.chdir(before)


def time_pytorch_gan(peer: Path, name: str, arguments: list[str], updates: int, root: str) -> Ends:
    """Run a script of PyTorch-GAN, which prints a line at each generator update.

    Args:
        peer: Its repository.
        name: Name of the script.
        arguments: Its command line.
        updates: Number of generator updates.
        root: Folder of MNIST.
    """
    script = peer / "implementations" / name / f"{name}.py"
    ends: Ends = []
    images = mnist(root)

    def clocked_print(*values: Any) -> None:
        if "[D loss" not in str(values[0]):
            return
        ends.append(now())
        if len(ends) == updates:
            script_globals = sys._getframe(1).f_globals
            for network in ("generator", "discriminator"):
                peer_models.networks[network] = script_globals[network.capitalize()]
            raise Enough

    def dataset(root: str, train: bool, download: bool, transform: Any) -> LabeledImages:
        return LabeledImages(images, transform)

    replaced = patch("torchvision.datasets.MNIST", dataset)
    with scratch_folder(), replaced, patch.object(sys, "argv", [str(script), *arguments]):
        try:
            runpy.run_path(str(script), init_globals={"print": clocked_print})
        except Enough:
            return ends
    raise RuntimeError(f"{script} ended before {updates} updates of its generator.")


def time_mimicry(peer: Path, updates: int) -> Ends:
    """Train mimicry's SNGAN on 32x32 color images with its trainer.

    Args:
        peer: Its repository.
        updates: Number of generator updates.
    """
    sys.path.insert(0, str(peer))
    # Its metrics, which are not used here, import TensorFlow.
    sys.modules.setdefault("torch_mimicry.metrics", MagicMock(spec=ModuleType))
    from torch_mimicry.nets import sngan
    from torch_mimicry.training import Trainer

    make = peer_models.networks
    make["generator"] = lambda: sngan.SNGANGenerator32(ngf=2 * WIDTH)
    make["discriminator"] = lambda: sngan.SNGANDiscriminator32(ndf=WIDTH)
    source = Shapes(image_size=32, count=1000, val_count=0).source("train")
    images = source[torch.arange(len(source))]["image"]
    networks = {"netG": make["generator"](), "netD": make["discriminator"]()}
    optimizers = {
        key.replace("net", "opt"): torch.optim.Adam(net.parameters(), 2e-4, betas=(0.0, 0.9))
        for key, net in networks.items()
    }
    loader = DataLoader(LabeledImages(images), BATCH, shuffle=True, drop_last=True)
    ends: Ends = []
    with scratch_folder():
        trainer = Trainer(
            **networks, **optimizers, dataloader=loader, num_steps=updates, n_dis=5, device="cpu"
        )
        log = trainer.logger.print_log

        def clocked_log(**values: Any) -> None:
            log(**values)
            ends.append(now())

        trainer.logger.print_log = clocked_log
        trainer.train()
    return ends


def time_pythae(peer: Path, batches: int, root: str) -> Ends:
    """Train pythae's VAE with its trainer.

    Args:
        peer: Its repository.
        batches: Number of batches.
        root: Folder of MNIST.
    """
    sys.path.insert(0, str(peer / "src"))
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    ends: Ends = []

    class Clock(TrainingCallback):
        def on_train_step_end(self, training_config: Any, **kwargs: Any) -> None:
            ends.append(now())

    model = VAE(peer_models.pythae_config(28, 1, LATENTS))
    images = mnist(root)[: batches * BATCH] / 255  # (N, 1, 28, 28)
    data = BaseDataset(images, torch.zeros(len(images)))
    with scratch_folder() as folder:
        config = BaseTrainerConfig(
            output_dir=str(folder), num_epochs=1, per_device_train_batch_size=BATCH
        )
        BaseTrainer(model, data, training_config=config, callbacks=[Clock()]).train()
    return ends


def process_seconds(command: list[str]) -> float:
    """Run a command in a process of its own and return its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


PYTHAE_SCRIPT = """
import sys
import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig

torch.set_num_threads(1)
images, folder, epochs = np.load(sys.argv[1]) / 255, sys.argv[2], int(sys.argv[3])
config = VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce")
training = BaseTrainerConfig(
    output_dir=folder, num_epochs=epochs, learning_rate=1e-3, per_device_train_batch_size=64
)
TrainingPipeline(model=VAE(config), training_config=training)(images.astype("float32"))
"""


def time_processes(
    peer: Path, root: str, epochs: int, settings: Sequence[str] = ()
) -> tuple[float, float]:
    """Measure the CPU seconds of a VAE's training on MNIST, each in a process of its own.

    Args:
        peer: pythae's repository.
        root: Folder of MNIST.
        epochs: Number of epochs.
        settings: More settings of the zoo.

    Returns:
        Seconds of pythae and of the zoo.
    """
    environment = {"PYTHONPATH": f"{peer / 'src'}:{Path(__file__).parents[1]}"}
    with scratch_folder() as folder, patch.dict(os.environ, environment):
        np.save("images.npy", mnist(root).numpy())
        script = [sys.executable, "-c", PYTHAE_SCRIPT, "images.npy", "run", str(epochs)]
        zoo = [sys.executable, "-m", "zoo.fit", "model=benchmarks.peer_models.PythaeVAE"]
        zoo += [f"model.latent_dim={LATENTS}", "data=mnist", f"data.root={root}", *settings]
        zoo += [f"data.batch_size={BATCH}", "experiment=none", "threads=1"]
        zoo += [f"trainer.max_epochs={epochs}", f"folder={folder / 'zoo'}"]
        return process_seconds(script), process_seconds(zoo)
