"""Helpers of tests: small models, random data, a silent Trainer, several processes."""

import importlib
import multiprocessing
import os
import pickle
import runpy
import signal
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import nn

from callbacks.checkpoint import Checkpoint
from datamodules.captions import WRONG
from datamodules.image import ImageDataModule
from zoo.config import catalog, class_sources
from zoo.config.catalog import ROOT
from zoo.engine.conditions import conditions_of
from zoo.engine.gradient_sync import TurnStrategy
from zoo.media.images import grid, to_uint8

SMALL = {"width": 8, "latent_dim": 8, "lr": 1e-3, "layers": 2, "blocks": 1, "skip_width": 8}
SMALL |= {"receptive_field": 16, "bottleneck": 8, "masks": "block", "overlap": 1, "iterations": 20}
SMALL |= {"features": 8, "segmenter_steps": 3, "adversarial_weight": 0.1}
SMALL |= {"resolutions": 2, "mixtures": 4, "sampling_steps": 10, "ais_steps": 10, "chains": 8}
SMALL |= {"scales": 2, "couplings": 2, "num_codes": 8, "prior_width": 8, "prior_layers": 2}
SMALL |= {"encoder_width": 8, "encoder_steps": 2, "embedding_dim": 8, "projection_dim": 4}


def build(name, size=8, channels=1, **parameters):
    """Build a small model.

    Args:
        name: The model's name in the zoo.
        size: Its image_size.
        channels: Its image_channels.
        **parameters: Override the small values of SMALL.
    """
    component = catalog.describe("model", name)
    shape = {"image_size": size, "image_channels": channels, "classes": 10}
    shape |= {"audio_length": channels * size**2, "source_channels": channels}
    values = {k: v for k, v in (SMALL | shape).items() if k in component.parameters}
    return class_of(component.target)(**values | parameters)


def conditions(model, count):
    """Return `count` conditions for `model.sample` from Toy, or None for an unconditional model."""
    if not model.conditions:
        return None
    shape = {"image_size": model.hparams.image_size, "image_channels": model.hparams.image_channels}
    return conditions_of(model, Toy(**shape), count)


def shape_of(model):
    """Return the shape of one sample of a model."""
    hp = model.hparams
    if "audio" in model.needs:
        return (hp.audio_length,)
    return (hp.image_channels, hp.image_size, hp.image_size)


def generator_without_statistics():
    """Build a generator (N, 8) -> (N, 1, 8, 8) without batch norm, constant at a rate of 0."""
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))


def class_of(path):
    """Import the class with a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


class Toy(ImageDataModule):
    """Random images with everything that any model needs.

    Labels, sources (negatives), videos, segmentations, audio and texts are derived from the images.
    A batch has the keys that the model needs.
    """

    classes = 10
    extractor = "digits"

    def __init__(
        self,
        batch_size: int = 4,
        image_size: int = 8,
        image_channels: int = 1,
        count: Annotated[int, "[0, inf)"] = 64,
        val_count: int = 0,
        split_seed: int = 0,
        workers: int = 0,
        flip: bool = False,
        labels: int = 0,
        label_seed: int = 0,
    ):
        super().__init__()
        self.provides = (*self.provides, "source", "video", "segmentation", "audio")
        self.provides += ("text", *WRONG)
        self.image_channels = image_channels
        self.audio_length = image_channels * image_size**2

    def load(self, split):
        hp = self.hparams
        generator = torch.Generator().manual_seed(0 if split == "train" else 1)
        shape = (hp.count, hp.image_channels, hp.image_size, hp.image_size)
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        return images, torch.arange(hp.count) % 10

    def on_after_batch_transfer(self, batch, dataloader_idx):
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        frames = [batch["image"].roll(shift, -1) for shift in range(6)]
        more = {"source": -batch["image"], "video": torch.stack(frames, dim=1)}
        more["segmentation"] = (more["video"][:, :, 0] > 0).long()
        more["audio"] = batch["image"].flatten(1)
        more["text"] = 1 + (4 * (more["audio"][:, :3] + 1)).long().clamp(max=7)  # of 8 letters
        more |= {"wrong_image": -batch["image"], "wrong_text": 9 - more["text"]}
        model = self.trainer and self.trainer.lightning_module
        needed = more if model is None else model.needs
        return batch | {key: values for key, values in more.items() if key in needed}

    def denormalize(self, samples):
        return to_uint8(samples.view(len(samples), self.image_channels, *[self.image_size] * 2))

    def figure(self, samples):
        return grid(self.denormalize(samples))


class Results(Callback):
    """Sets the model's `results` at the start of training."""

    def __init__(self, results):
        self.results = results

    def on_fit_start(self, trainer, model):
        model.results = self.results


def trainer(folder, max_steps, callbacks=(), **options):
    """Build a Trainer on the CPU that writes and prints nothing by itself.

    Args:
        folder: Its default_root_dir.
        max_steps: Number of batches.
        callbacks: Its callbacks.
        **options: Further arguments of Trainer.
    """
    return Trainer(
        **{
            "default_root_dir": folder,
            "max_steps": max_steps,
            "max_epochs": -1,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "callbacks": list(callbacks),
            "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
        }
        | options
    )


def fit(model, folder, max_steps, data=None, seed=0, checkpoint=None, **options):
    """Train a model and return the Trainer.

    If the model needs labeled images and the data do not provide them, the data get two labels per
    class.

    Args:
        model: The model.
        folder: The Trainer's default_root_dir.
        max_steps: Number of batches.
        data: The data module; Toy by default.
        seed: Seed of the training. It does not change the initial weights.
        checkpoint: A checkpoint to resume from.
        **options: Further arguments of `trainer`.
    """
    data = data or Toy()
    if "labeled_image" in model.needs and "labeled_image" not in data.provides:
        data = type(data)(**data.hparams | {"labels": 20})
    seed_everything(seed, verbose=False)
    run = trainer(folder, max_steps, **options)
    run.fit(model, datamodule=data, ckpt_path=checkpoint)
    return run


def forked(devices):
    """Return arguments of `fit` for several processes, which are forked and end with the fit."""
    # Each process would import it.
    importlib.import_module("torch.distributed.algorithms.ddp_comm_hooks.default_hooks")
    return {"devices": devices, "strategy": TurnStrategy(start_method="fork")}


def in_processes(count, function, folder):
    """Call a function in several gloo processes. A process that hangs fails the test.

    Args:
        count: Number of processes.
        function: Called without arguments in each process.
        folder: A folder for the file through which the processes connect.

    Returns:
        The return value or the exception of each process, by rank.
    """
    context, init_file = multiprocessing.get_context("fork"), Path(folder, uuid.uuid4().hex)
    queue = context.Queue()

    def work(rank):
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{init_file}", rank=rank, world_size=count
        )
        try:
            outcome = function()
        except Exception as error:
            outcome = error
        queue.put(
            (rank, pickle.dumps(outcome))
        )  # shared memory would be lost when the process ends
        torch.distributed.destroy_process_group()

    workers = [context.Process(target=work, args=(rank,)) for rank in range(count)]
    for worker in workers:
        worker.start()
    try:
        outcomes = dict(queue.get(timeout=60) for _ in workers)
    finally:
        for worker in workers:
            worker.join(timeout=10)
            worker.kill()
    return [pickle.loads(outcomes[rank]) for rank in range(count)]


class Child:
    """A forked process that calls a function. A new process would need seconds to import torch.

    Signals have the handlers of a new process. The process leads a process group, and all processes
    in it are killed when the context ends. Output goes to the files `folder/out` and `folder/err`.

    Args:
        function: The function. SystemExit and exceptions end the process as they end Python.
        folder: Where the output is written.
    """

    def __init__(self, function, folder):
        self.folder = Path(folder)
        self.process = multiprocessing.get_context("fork").Process(target=self.run, args=[function])
        self.process.start()

    def run(self, function):
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor, name in ((1, "out"), (2, "err")):
            with open(self.folder / name, "wb") as file:
                os.dup2(file.fileno(), descriptor)
        sys.stdout, sys.stderr = (os.fdopen(d, "w", 1, closefd=False) for d in (1, 2))
        function()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()  # it may not have a group yet
        with suppress(ProcessLookupError):
            self.send_signal_to_all(signal.SIGKILL)
        self.process.join()

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def send_signal_to_all(self, number):
        """Send a signal to the process and to those that it has started."""
        os.killpg(self.process.pid, number)

    def running(self):
        return self.process.is_alive()

    def wait(self, timeout=60):
        """Wait and return the exit code (-N for signal N), or None if the process still runs."""
        self.process.join(timeout)
        return self.process.exitcode

    @property
    def stdout(self):
        return (self.folder / "out").read_text()

    @property
    def stderr(self):
        return (self.folder / "err").read_text()


def command(name, *arguments, output, cwd=ROOT, path=()):
    """Run `python -m zoo.NAME ARGUMENTS...` in a Child.

    The process is forked. tests/zoo/test_fit.py, runs/test_launch.py and engine/test_signals.py
    test commands in new processes.

    Args:
        name: The module in `zoo`.
        *arguments: Arguments of the command line.
        output: Folder of the files `out` and `err`.
        cwd: The working directory.
        path: Folders of PYTHONPATH, after the zoo's.
    """

    def call():
        os.chdir(cwd)
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, [ROOT, *path]))
        sys.path[:0] = map(str, [cwd, *path])
        sys.argv[1:] = map(str, arguments)
        class_sources.find_module.cache_clear()  # cached for the path of the parent process
        runpy.run_module(f"zoo.{name}", run_name="__main__", alter_sys=True)

    return Child(call, output)


def weights(module):
    """Return a copy of a module's state."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(one, other):
    """Assert that two states have the same keys and bit-identical tensors."""
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different
