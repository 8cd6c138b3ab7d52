"""What the tests of models share: small models, any data, a quiet trainer, many processes."""

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
from zoo.config import catalog
from zoo.config.catalog import ROOT
from zoo.engine.conditions import conditions_of
from zoo.engine.gradient_sync import TurnStrategy
from zoo.media.images import grid, to_uint8

SMALL = {"width": 8, "latent_dim": 8, "lr": 1e-3, "layers": 2, "blocks": 1, "skip_width": 8}
SMALL |= {"receptive_field": 16, "bottleneck": 8, "masks": "block", "overlap": 1, "iterations": 20}
SMALL |= {"features": 8, "segmenter_steps": 3, "adversarial_weight": 0.1}
SMALL |= {"resolutions": 2, "mixtures": 4}
SMALL |= {"encoder_width": 8, "encoder_steps": 2, "embedding_dim": 8, "projection_dim": 4}


def build(name, size=8, channels=1, **given):
    """A small model of the zoo, by its name."""
    component = catalog.describe("model", name)
    shape = {"image_size": size, "image_channels": channels, "classes": 10}
    shape |= {"audio_length": channels * size**2, "source_channels": channels}
    values = {k: v for k, v in (SMALL | shape).items() if k in component.parameters}
    return class_of(component.target)(**values | given)


def given(model, count):
    """The conditions that a model must be given, of images of its size, or None."""
    if not model.conditions:
        return None
    shape = {"image_size": model.hparams.image_size, "image_channels": model.hparams.image_channels}
    return conditions_of(model, Toy(**shape), count)


def shape_of(model):
    """That of one sample."""
    hp = model.hparams
    if "audio" in model.needs:
        return (hp.audio_length,)
    return (hp.image_channels, hp.image_size, hp.image_size)


def generator_without_statistics():
    """Latents of 8 to images of 8x8: no batch norm, so it stands still at a rate of 0."""
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))


def class_of(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


class Toy(ImageDataModule):
    """`count` random images with labels, their negatives, as videos, as audio and as texts."""

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
        turns = [batch["image"].roll(shift, -1) for shift in range(6)]
        more = {"source": -batch["image"], "video": torch.stack(turns, dim=1)}
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
    """Gives the model these results as training begins."""

    def __init__(self, results):
        self.results = results

    def on_fit_start(self, trainer, model):
        model.results = self.results


def trainer(folder, max_steps, callbacks=(), **given):
    """A Trainer that writes nothing by itself."""
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
        | given
    )


def fit(model, folder, max_steps, data=None, seed=0, checkpoint=None, **given):
    """Trains and returns the trainer; the seed is that of the run, the model is already made.

    Data whose batches lack what only a model of few labels needs give it two labels a class.
    """
    data = data or Toy()
    if "labelled_image" in model.needs and "labelled_image" not in data.provides:
        data = type(data)(**data.hparams | {"labels": 20})
    seed_everything(seed, verbose=False)
    run = trainer(folder, max_steps, **given)
    run.fit(model, datamodule=data, ckpt_path=checkpoint)
    return run


def forked(devices):
    """Arguments of `fit` for several processes that live and die within the test."""
    return {"devices": devices, "strategy": TurnStrategy(start_method="fork")}


def in_processes(count, function, folder):
    """What function() returns or raises in each of `count` gloo processes; they end on their own.

    The values of all processes, exceptions among them. A process that hangs fails the test.
    """
    context, meeting = multiprocessing.get_context("fork"), Path(folder, uuid.uuid4().hex)
    queue = context.Queue()

    def work(rank):
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=count
        )
        try:
            outcome = function()
        except Exception as error:
            outcome = error
        queue.put((rank, pickle.dumps(outcome)))  # not shared memory, which dies with it
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
    """A process that calls a function: forked, because to import torch anew takes seconds.

    Signals do what they do in a new process. It leads a group, all of which ends with the context.
    What it prints is in the files `folder/out` and `folder/err`.

    Args:
        function: What the process calls. SystemExit and exceptions end it as they end Python.
        folder: Where its output is written.
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
        self.process.kill()  # in case it has no group yet
        with suppress(ProcessLookupError):
            self.send_signal_to_all(signal.SIGKILL)
        self.process.join()

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def send_signal_to_all(self, number):
        """Signals the process and those that it has started."""
        os.killpg(self.process.pid, number)

    def running(self):
        return self.process.is_alive()

    def wait(self, timeout=60):
        """The exit code, None if it still runs: 0, that of SystemExit, or minus a signal's."""
        self.process.join(timeout)
        return self.process.exitcode

    @property
    def stdout(self):
        return (self.folder / "out").read_text()

    @property
    def stderr(self):
        return (self.folder / "err").read_text()


def command(name, *arguments, output, cwd=ROOT, path=()):
    """`python -m zoo.NAME ARGUMENTS...` in a Child: with its environment, but forked.

    tests/zoo/test_fit.py, runs/test_launch.py and engine/test_signals.py start new ones.

    Args:
        name: The module in `zoo`.
        arguments: Those of the command line.
        output: The folder of what it prints.
        cwd: The working directory.
        path: Folders of PYTHONPATH after the zoo's own.
    """

    def call():
        os.chdir(cwd)
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, [ROOT, *path]))
        sys.path[:0] = map(str, [cwd, *path])
        sys.argv[1:] = map(str, arguments)
        catalog.locate.cache_clear()  # it remembers what is found on the path of this process
        runpy.run_module(f"zoo.{name}", run_name="__main__", alter_sys=True)

    return Child(call, output)


def weights(module):
    """A copy of everything that a module would save."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(one, other):
    """Two states of equal keys, bit for bit."""
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different
