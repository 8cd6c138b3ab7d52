"""The processes of a launcher train one model in one folder, or are refused."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import kit
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.runs import launch

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"}


@pytest.fixture
def environment(monkeypatch):
    for name in (*TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)
    return lambda given: [monkeypatch.setenv(name, value) for name, value in given.items()]


@pytest.mark.parametrize(("given", "name"), [(TORCHRUN, "torchrun"), (SRUN, "srun")])
def test_the_world_is_that_of_the_launcher(given, name, environment):
    assert launch.external_launch() is None
    assert launch.default_devices({}) == {"devices": 1}
    environment(given)
    assert launch.external_launch() == (name, 2, 2)
    assert launch.default_devices({}) == {"devices": 2, "num_nodes": 2}
    assert launch.default_devices({"devices": 3}) == {"devices": 1}, "the user's setting is kept"
    with pytest.raises(UserError, match=rf"{name} started 2 process\(es\) on each of 2 node"):
        launch.check_world(1, "trainer.")
    launch.check_world(4)


def test_an_evaluation_is_not_repeated_by_each_process(environment):
    environment({"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"})
    with pytest.raises(UserError, match=r"ask for 1 in all: set devices=2\."):
        launch.launch_fabric("cpu", 1, None)


def test_nodes_of_different_sizes_are_refused(environment):
    environment(SRUN | {"SLURM_STEP_NUM_TASKS": "3"})
    with pytest.raises(UserError, match="3 processes on 2 nodes"):
        launch.external_launch()


def test_several_nodes_need_a_launcher(environment, tmp_path, monkeypatch):
    trainer = kit.trainer(tmp_path, 1, num_nodes=2, strategy="turns")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="num_nodes=2 needs torchrun or srun"):
        launch.connect(trainer)


def test_a_single_task_is_no_launch(environment):
    environment({"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"})
    assert launch.external_launch() is None


@pytest.mark.slow  # three processes begin one after the other
def test_torchrun_without_devices_trains_one_model_in_one_folder(tmp_path):
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "where.py").write_text(
        textwrap.dedent("""
        from pathlib import Path
        from pytorch_lightning import Callback

        class Where(Callback):
            '''Writes each process's folder.'''

            def on_train_start(self, trainer, model):
                Path(f"rank{trainer.global_rank}").write_text(str(trainer.default_root_dir))
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "zoo.fit"]
    command += ["model=wgan", "model.width=4", "trainer.max_steps=3", "trainer.accelerator=cpu"]
    command += ["experiment=none", "callbacks=[summary,my_package.where]"]
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "outputs/wgan_digits").iterdir()
    assert json.loads((folder / "summary.json").read_text())["processes"] == 2
    for rank in range(2):
        assert Path(tmp_path, f"rank{rank}").read_text() == str(folder.relative_to(tmp_path))
