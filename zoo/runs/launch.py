"""How the processes of a run start: by Lightning, or by torchrun or SLURM before this code runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

import torch
from lightning_fabric import Fabric
from pytorch_lightning import Trainer
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import distributed

from zoo.config.errors import UserError
from zoo.engine.signals import Stopped

FOLDER = "ZOO_RUN_FOLDER"  # the run's folder, for the processes that Lightning starts
# Lightning sets these when it starts processes. They must not affect a later run.
LAUNCH_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", FOLDER)
GRACE = 30  # seconds that started processes have to end after an agreed stop


def external_launch() -> tuple[str, int, int] | None:
    """Return (launcher, processes per node, nodes) if torchrun or srun started several processes.

    Returns:
        None where they started one process or none.

    Raises:
        UserError: The nodes have different numbers of processes.
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
        raise UserError(
            f"{name} started {world} processes on {nodes} nodes: each node needs the same number."
        )
    return name, world // nodes, nodes


def default_devices(arguments: dict[str, Any]) -> dict[str, int]:
    """Return defaults of the Trainer's devices and num_nodes: as launched, or one device.

    Args:
        arguments: The Trainer's arguments in the settings, which replace the defaults.
    """
    if not {"devices", "num_nodes"} & arguments.keys() and (launched := external_launch()):
        return {"devices": launched[1], "num_nodes": launched[2]}
    return {"devices": 1}


def check_world(world_size: int, prefix: str = "") -> None:
    """Check that a launcher has started as many processes as the settings ask for.

    With more, each would work on its own; with fewer, all would wait for the missing ones.

    Args:
        world_size: Number of processes that the settings ask for.
        prefix: Prefix of the settings devices and num_nodes on the command line.

    Raises:
        UserError: There are more processes or fewer.
    """
    launched = external_launch()
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
        accelerator: cpu, gpu, mps, or auto for the best one available.
        devices: Number of devices, each with a process.
        threads: CPU threads of each process; None for torch's own choice.

    Raises:
        UserError: The devices cannot be used.
    """
    if threads:
        torch.set_num_threads(threads)
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices)
    except Exception as error:  # the kind depends on the setting
        raise UserError(f"accelerator={accelerator} devices={devices}: {error}") from error
    check_world(fabric.world_size)
    fabric.launch()
    return fabric


def single_device(accelerator: str, threads: int | None) -> torch.device:
    """Return the device of a command that runs in one process. See `launch_fabric`."""
    return launch_fabric(accelerator, 1, threads).device


def connect(trainer: Any) -> None:
    """Connect the processes that a launcher has started, before they create a common folder.

    Raises:
        UserError: There are several nodes, but no launcher.
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
    """Return the run's folder in a process that Lightning has started; None in all others."""
    started = FOLDER in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"
    return Path(os.environ[FOLDER]) if started else None


@contextmanager
def child_processes(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Pass the run's folder to the processes that `fit` starts, and end them if the block fails.

    Lightning would leave them waiting for this process.

    Args:
        trainer: The Trainer of the run.
        folder: The run's folder.
    """
    before = {name: os.environ.get(name) for name in LAUNCH_VARIABLES}
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


def _end(processes: list[Popen], seconds: int) -> None:
    """Wait for processes for so many seconds each, then kill them."""
    for process in processes:
        try:
            process.wait(seconds)
        except TimeoutExpired:
            process.kill()
            process.wait()
    processes.clear()  # otherwise Lightning's observer kills this process, too
