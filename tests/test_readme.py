"""What the README shows is run."""

import os
import re
import subprocess
import sys
import warnings

from zoo.config import catalog
from zoo.config.catalog import ROOT
from zoo.table import table

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_lines_are_the_two_commands():
    install, test = blocks("sh")[0].splitlines()
    assert install == "python -m pip install -e . && python -m zoo.fit model=wgan"
    assert test == 'python -m pip install -e ".[test]" && python -m pytest'
    assert README.splitlines()[2] == "```sh"


def test_the_table_is_the_commands():
    assert table() in README, "run python -m zoo.table"


def test_the_subclass_trains(tmp_path):
    code = next(block for block in blocks("python") if "class QuietWGAN" in block)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/quiet_wgan.py").write_text(code)
    command = [sys.executable, "-m", "zoo.fit", "model=my_package.quiet_wgan", "model.weight=0.2"]
    command += ["trainer.max_steps=3", "callbacks.metrics.count=100", f"folder={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "finished after 3 batches" in done.stdout


def test_a_trainer_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = next(block for block in blocks("python") if "Trainer(" in block)
    namespace = {}
    exec(code.replace("max_steps=14000", "max_steps=3, accelerator='cpu'"), namespace)
    assert namespace["trainer"].global_step == 3
    assert "generator" in namespace["model"].averages


def test_loaders_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = next(block for block in blocks("python") if "collate_fn" in block)
    namespace = {}
    exec(code.replace("max_steps=1000", "max_steps=3, accelerator='cpu'"), namespace)
    assert namespace["trainer"].global_step == 3
    assert list(tmp_path.rglob("samples/0000003.png"))


def test_data_of_ones_own(tmp_path):
    code = next(block for block in blocks("python") if "class MyData" in block)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/my_data.py").write_text(code)
    (line,) = [line for line in "".join(blocks("sh")).splitlines() if "my_data" in line]
    command = line.replace("max_steps=500", "max_steps=3").split()[1:]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "cgan on my_data: finished after 3 batches" in done.stdout


def test_loading_and_sampling():
    code = next(block for block in blocks("python") if "zoo.load" in block)
    namespace = {}
    exec(code, namespace)
    assert namespace["images"].shape == (16, 1, 8, 8)


def test_every_setting_in_a_command_exists():
    """Each `zoo.fit` command composes, with the names and the types of its settings checked."""
    from hydra import compose, initialize_config_dir

    from zoo import fit
    from zoo.config import composition

    commands = re.findall(r"(?:-m|python -m) zoo\.fit ([^#\n]*)", "\n".join(blocks("sh")))
    for command in commands:
        arguments = [a for a in command.split() if "=" in a]
        if not arguments or "my_package" in command or "resume=" in command:
            continue
        completed = fit.complete(arguments)
        arguments = [a if "[" in a else a.partition(",")[0] for a in completed]  # of a multirun
        with (
            warnings.catch_warnings(),
            initialize_config_dir(str(ROOT / "zoo/config"), version_base="1.3"),
        ):
            composition.check(compose("fit", overrides=arguments))


def test_the_files_that_the_readme_links_to_exist():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_recipe_has_its_numbers_in_the_docs():
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    for name in catalog.recipes():
        assert name in pages
