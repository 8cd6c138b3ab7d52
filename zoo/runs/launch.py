"""Who starts the processes of a run: this process itself, or torchrun or SLURM before it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import TimeoutExpired

import torch
from lightning_fabric import Fabric
from pytorch_lightning import Trainer
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import distributed

from zoo.config.errors import UserError
from zoo.engine.signals import Stopped

FOLDER = "ZOO_RUN_FOLDER"  # tells the processes that this one starts where the run is
# Set by Lightning when it starts processes; a later run of this process must not find them.
VARIABLES = ("LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", FOLDER)
GRACE = 30  # seconds that they have to end by themselves after an agreed stop


def started_before() -> tuple[str, int, int] | None:
    """(launcher, processes per node, nodes) where a launcher has started several; None where not.

    Raises:
        UserError: the nodes do not have equally many processes.
    """
    get = os.environ.get
    if distributed.is_torchelastic_launched():
        name, world = "torchrun", int(get("WORLD_SIZE", 1))
        nodes = world // int(get("LOCAL_WORLD_SIZE", world))
    else:  # set by srun for each task, and not by sbatch and salloc for their shell
        name, world = "srun", int(get("SLURM_STEP_NUM_TASKS", 1))
        nodes = int(get("SLURM_STEP_NUM_NODES", 1))
    if world == 1:
        return None
    if world % nodes:
        raise UserError(f"{name} started {world} processes on {nodes} nodes: not equally many.")
    return name, world // nodes, nodes


def devices(given: dict) -> dict:
    """The Trainer's devices and num_nodes: those given, or those of the launcher, or one device."""
    if not {"devices", "num_nodes"} & given.keys() and (launched := started_before()):
        return {"devices": launched[1], "num_nodes": launched[2]}
    return {"devices": 1}


def check_world(world_size: int, prefix: str = "") -> None:
    """Check that a launcher has started as many processes as the settings ask for.

    Otherwise each would work alone, or all would wait for those that are missing.

    Args:
        world_size: the processes that the settings ask for.
        prefix: what stands before the settings devices and num_nodes on the command line.

    Raises:
        UserError: there are more processes or fewer.
    """
    launched = started_before()
    if launched and world_size != launched[1] * launched[2]:
        name, local, nodes = launched
        several = f" {prefix}num_nodes={nodes}" if nodes > 1 else ""
        raise UserError(
            f"{name} started {local} process(es) on each of {nodes} node(s), but the settings ask "
            f"for {world_size} in all: set {prefix}devices={local}{several}."
        )


def launch_fabric(accelerator: str, devices: int, threads: int | None) -> Fabric:
    """Launch the processes of a command other than `fit`.

    Args:
        accelerator: cpu, gpu, mps, or auto for what the machine has.
        devices: Number of devices, each with a process.
        threads: CPU threads of each process; None for torch's own choice.

    Raises:
        UserError: The devices cannot be used.
    """
    if threads:
        torch.set_num_threads(threads)
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices)
    except Exception as error:  # as many kinds as there are settings
        raise UserError(f"accelerator={accelerator} devices={devices}: {error}") from error
    check_world(fabric.world_size)
    fabric.launch()
    return fabric


def single_device(accelerator: str, threads: int | None) -> torch.device:
    """Return the device of a command that runs in one process. See `launch_fabric`."""
    return launch_fabric(accelerator, 1, threads).device


def connect(trainer: Trainer) -> None:
    """Connect the processes that a launcher has started, before they share a folder.

    Raises:
        UserError: there are several nodes, but no launcher.
    """
    if trainer.world_size == 1:
        return
    if trainer.strategy.cluster_environment.creates_processes_externally:
        trainer.strategy.setup_environment()
    elif trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes} needs torchrun or srun, which start the "
            "processes on each node."
        )


def inherited_folder() -> Path | None:
    """The run's folder, for a process that another process of the run has started."""
    started = FOLDER in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"
    return Path(os.environ[FOLDER]) if started else None


@contextmanager
def children(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Tell the processes that `fit` starts their folder, and end them if the block fails.

    Lightning would leave them waiting for this process.
    """
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ[FOLDER] = str(folder)
    try:
        yield
    except BaseException as error:
        agreed = isinstance(error, Stopped) and error.agreed
        if isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
            _end(trainer.strategy.launcher.procs, GRACE if agreed else 0)
        raise
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _end(processes, seconds):
    """Waits so long for the processes that this one has started, then kills them."""
    for process in processes:
        try:
            process.wait(seconds)
        except TimeoutExpired:
            process.kill()
            process.wait()
    processes.clear()  # else Lightning's observer would kill this process for their sake
