"""Files name classes: which of them are imported, and that no other code of theirs ever runs."""

import importlib
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.summary import Summary
from tests import kit
from zoo import fit
from zoo.config import trust
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.runs.checkpoints import load_data
from zoo.runs.exports import export_model

COLORIZE = "datamodules.colorize.Colorize"
MODEL = """
from zoo.adversarial.wgan import WGAN

class Quiet(WGAN):
    '''Quiet.'''
    def __init__(self, weight: float = 2.0, **wgan):
        super().__init__(**wgan)
"""
DATA = """
from datamodules.digits import Digits

class Quiet(Digits):
    '''Quiet.'''
"""
STRANGER = "class Quiet:\n    def __init__(self, size: int = 1): ...\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    kit.fit(kit.build("wgan"), folder, 1, callbacks=[Checkpoint()])
    return folder


@pytest.fixture
def run(trained, tmp_path_factory):
    """The folder of one batch of WGAN."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("copies") / "run")


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """downloaded(source): a module in the working directory that leaves a file when it runs.

    Gives its name, new for each test, and a function that says whether it has run.
    """

    def make(source, name=None):
        name = name or f"quiet_{tmp_path.name}".replace("-", "_")
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").touch()
        payload = f"open({str(tmp_path / 'owned')!r}, 'w')\n"
        (package / "quiet.py").write_text(payload + textwrap.dedent(source))
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)  # as `python -m` does
        return f"{name}.quiet", (tmp_path / "owned").exists

    return make


def rewritten(run, **ours):
    """The checkpoint of a run with other entries of the zoo's."""
    file = run / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    content["zoo"] |= ours
    torch.save(content, file)
    return file


def exported(file):
    out = file.with_name("exported")
    export_model(file, out)
    return f"{out}.json"


@pytest.mark.parametrize("shared", [False, True], ids=["checkpoint", "export"])
@pytest.mark.parametrize("source", [STRANGER, DATA], ids=["stranger", "data"])
@pytest.mark.parametrize("nested", [False, True])
def test_data_that_a_file_names_are_checked_at_every_depth(nested, source, shared, run, downloaded):
    module, has_run = downloaded(source)
    name = f"{module}.Quiet"
    data = {"_target_": COLORIZE, "of": name} if nested else {"_target_": name}
    file = rewritten(run, data=data)
    file = exported(file) if shared else file
    with pytest.raises(UserError) as refusal:
        load_data(file)
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not has_run()


@pytest.mark.parametrize("shared", [False, True], ids=["checkpoint", "export"])
def test_a_class_in_the_working_directory_needs_trust(shared, run, downloaded):
    module, has_run = downloaded(MODEL)
    file = rewritten(run, **{"class": f"{module}.Quiet"})
    file = exported(file) if shared else file
    package = module.partition(".")[0]
    with pytest.raises(UserError, match=rf"add trust={package}\."):
        zoo.load(file)
    Path(package[:-1]).mkdir()
    with pytest.raises(UserError, match="add trust="):
        zoo.load(file, trust=package[:-1])  # the beginning of a name is another name
    with pytest.raises(UserError, match=f"trust={package}_: Python finds no package or module"):
        zoo.load(file, trust=f"{package}_")
    assert not has_run()
    assert type(zoo.load(file, trust=package)).__name__ == "Quiet"
    assert has_run()


def test_the_summary_of_a_run_names_the_package_to_trust(downloaded, tmp_path, capsys, monkeypatch):
    module, _ = downloaded(MODEL)
    model = importlib.import_module(module).Quiet(image_size=8, image_channels=1, width=8)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kit.fit(model, tmp_path / "run", 1, callbacks=[Checkpoint(), Summary()])
    package = module.partition(".")[0]
    printed = capsys.readouterr().out
    assert f"zoo.sample checkpoint={tmp_path / 'run'} trust={package}\n" in printed
    assert f"zoo.evaluate checkpoint={tmp_path / 'run'} trust={package}\n" in printed
    assert f"resume={tmp_path / 'run'} trainer.max_steps=2 trust={package}\n" in printed


def test_nested_data_in_the_working_directory_need_trust(run, downloaded):
    module, has_run = downloaded(DATA)
    file = rewritten(run, data={"_target_": COLORIZE, "of": f"{module}.Quiet"})
    with pytest.raises(UserError, match="add trust="):
        load_data(file)
    assert not has_run()
    with trust.trusting(module), pytest.raises(UserError, match="needs 3"):
        load_data(file)  # it is built: digits are gray
    assert has_run()


def test_python_path_is_named_by_the_user(run, downloaded, monkeypatch):
    module, has_run = downloaded(MODEL)
    file = rewritten(run, **{"class": f"{module}.Quiet"})
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/elsewhere", os.getcwd()]))
    zoo.load(file)
    assert has_run()


def test_an_installed_package_and_one_that_is_imported_already(run, downloaded, monkeypatch):
    module, _ = downloaded(MODEL)
    file = rewritten(run, **{"class": f"{module}.Quiet"})
    with monkeypatch.context() as patch:
        patch.setattr(trust.site, "getsitepackages", lambda: [os.getcwd()])
        zoo.load(file)
    assert module in sys.modules
    zoo.load(file)


def test_an_editable_installation_is_installed(run, downloaded, monkeypatch, tmp_path_factory):
    module, _ = downloaded(MODEL)
    file = rewritten(run, **{"class": f"{module}.Quiet"})
    packages = tmp_path_factory.mktemp("site-packages")
    (packages / "mine.pth").write_text(f"import os\n{os.getcwd()}\n")
    monkeypatch.setattr(trust.site, "getsitepackages", lambda: [str(packages)])
    zoo.load(file)


@pytest.mark.parametrize(
    ("setting", "source"),
    [
        ("model={}", MODEL),
        ("data={}", DATA),
        ("callbacks=[{}]", "from pytorch_lightning import Callback\nclass Quiet(Callback): ..."),
        ("++callbacks.samples._target_={}.Quiet", STRANGER),
        ("logger={}", "from zoo.loggers.csv import CSV\nclass Quiet(CSV): ..."),
        ("extractor={}", "from torch import nn\nclass Quiet(nn.Module): ..."),
        ("+extractor._target_={}.Quiet", STRANGER),
        ("++data.of={}.Quiet", DATA),
        ("++data.of={}.Quiet", STRANGER),
    ],
)
def test_the_arguments_of_a_run_name_no_class_that_is_not_trusted(
    setting, source, run, downloaded, monkeypatch, capfd
):
    module, has_run = downloaded(source)
    settings = ["model=wgan", "data=colorize" if "of=" in setting else "data=digits"]
    settings += [setting.format(module), "experiment=none"]
    (run / "arguments.json").write_text(json.dumps(settings))
    monkeypatch.setattr(sys, "argv", ["fit", f"resume={run}", "trainer.max_steps=2"])
    with pytest.raises(SystemExit) as stop:
        fit.main()
    assert not has_run()
    assert "quiet_" in str(stop.value)
    assert "\n" not in str(stop.value)


def test_callbacks_of_other_packages_are_not_taken_from_a_file(run, monkeypatch, tmp_path):
    """Lightning's own would write, and delete, where the file says."""
    target = "pytorch_lightning.callbacks.ModelCheckpoint"
    (run / "arguments.json").write_text(json.dumps(["model=wgan", f"callbacks=[{target}]"]))
    monkeypatch.setattr(sys, "argv", ["fit", f"resume={run}", f"folder={tmp_path / 'new'}"])
    with pytest.raises(SystemExit, match=r"trust=pytorch_lightning\."):
        fit.main()


def test_what_the_user_names_beside_resume_is_his(run, downloaded):
    module, _ = downloaded(MODEL)
    given = fit.parsed([f"resume={run}", f"model={module}", "callbacks=[a.b,c.d]", "trust=[e,f]"])
    assert set(fit.chosen_classes(given)) == {module, "a.b", "c.d"}
    assert fit.names_in(given, "trust") == ["e", "f"]


def test_a_short_name_does_not_trust_a_package_of_that_name(run, downloaded, monkeypatch):
    """callbacks=[samples] is the zoo's, not the package `samples` in the working directory."""
    given = fit.parsed(["model=wgan", "data=digits", "callbacks=[a.b,c]", "trust=[e,f.g]"])
    assert fit.chosen_classes(given) == ["a.b"]
    module, has_run = downloaded(DATA, "samples")
    settings = ["model=wgan", f"data={module}", "experiment=none"]
    (run / "arguments.json").write_text(json.dumps(settings))
    monkeypatch.setattr(sys, "argv", ["fit", f"resume={run}", "callbacks=[samples]"])
    with pytest.raises(SystemExit, match=r"add trust=samples\."):
        fit.main()
    assert not has_run()


@pytest.mark.parametrize("name", ["os.system", "torch.nn.Linear", "datamodules.digits"])
def test_a_model_that_the_user_names_must_be_one(name):
    with pytest.raises(UserError, match=r"not a GenerativeModule|Nothing is found"):
        trust.find_class("model", name)


def test_only_one_module_imports_classes_by_name():
    """Whoever imports by a name that may come from a file must ask zoo.config.trust."""
    folders = [ROOT / name for name in trust.ZOO_PACKAGES]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    words = ("import_module(", "get_class(", "__import__(", "instantiate(", "load_from_checkpoint(")
    importing = {
        str(file.relative_to(ROOT)) for file in files if any(w in file.read_text() for w in words)
    }
    # zoo/networks imports the files of its own folder.
    assert importing == {"zoo/config/trust.py", "zoo/networks/__init__.py"}


def test_the_readmes_subclass_is_sampled_from_its_own_folder(tmp_path):
    """As a newcomer would: trained from the working directory, then sampled, with the hint."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "quiet.py").write_text(textwrap.dedent(MODEL))

    def call(command, *arguments):
        with kit.command(command, *arguments, output=tmp_path, cwd=tmp_path) as done:
            return done.wait(), done.stderr.rstrip()

    quick = ["trainer.max_steps=1", "callbacks=[checkpoint]", "model.width=4", "folder=run"]
    code, message = call("fit", "model=my_package.quiet", *quick)
    assert code == 0, message
    sample = ["checkpoint=run", "count=1"]
    code, message = call("sample", *sample)
    assert code == 1
    assert message.endswith("add trust=my_package.")
    code, message = call("sample", *sample, "trust=my_package")
    assert code == 0, message
    assert Path(tmp_path, "samples.png").exists()
