"""The main command, from the command line to the run's folder."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image

from datamodules.digits import Digits
from tests import kit
from zoo import fit
from zoo.config import catalog
from zoo.config.catalog import ROOT

QUICK = ["model=wgan", "trainer.max_steps=6", "callbacks.metrics.count=100", "model.width=4"]


def call(monkeypatch, *arguments):
    """`python -m zoo.fit` within this process."""
    monkeypatch.setattr(sys, "argv", ["zoo/fit.py", *map(str, arguments)])
    fit.main()


def refused(monkeypatch, capfd, *arguments):
    """The message of a run that must not start."""
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *arguments)
    assert "Traceback" not in capfd.readouterr().err
    return str(stop.value)


def test_a_run_leaves_everything_in_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, *QUICK, "seed=3")
    (folder,) = (tmp_path / "outputs/wgan_digits").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["model"], summary["data"], summary["seed"]) == ("wgan", "digits", 3)
    assert summary["batches"] == 6
    assert len(summary["metrics"]["test/fid_digits_100"]) == 6
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["model"]["image_size"] == 8, "the data decide the shape"
    assert settings["model"]["lr"] == recipe("wgan_digits")["model"]["lr"]
    for name in ("metrics.csv", "samples/0000006.png", "checkpoints/last.ckpt"):
        assert (folder / name).exists()
    assert f"resume=outputs/wgan_digits/{folder.name}" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["outputs"]


def recipe(name):
    return OmegaConf.load(catalog.recipe(name))


def test_resume_continues_with_the_runs_settings(tmp_path, monkeypatch):
    first, second, straight = (tmp_path / name for name in ("first", "second", "straight"))
    call(monkeypatch, *QUICK, "seed=3", f"folder={first}")
    call(monkeypatch, f"resume={first}", "trainer.max_steps=9", f"folder={second}")
    call(monkeypatch, *QUICK, "seed=3", "trainer.max_steps=9", f"folder={straight}")
    one, other = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
        for folder in (second, straight)
    )
    assert one["global_step"] == other["global_step"] == 9
    assert one["hyper_parameters"]["width"] == 4
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name])
    assert 0 in one["zoo"]["results"]["val/fid_digits_100"], "the untrained value is remembered"


def test_a_users_own_classes_from_a_package_on_the_path(tmp_path, monkeypatch):
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "my_model.py").write_text(
        textwrap.dedent("""
        from zoo.adversarial.wgan import WGAN

        class MyModel(WGAN):
            '''Mine.'''
            def __init__(self, factor: float = 1.0, **wgan):
                super().__init__(**wgan)
        """)
    )
    (package / "my_data.py").write_text(
        textwrap.dedent("""
        import torch
        from datamodules.image import ImageDataModule

        class MyData(ImageDataModule):
            '''Noise.'''
            image_channels = 3

            def __init__(self, batch_size: int = 4, image_size: int = 16, val_count: int = 0,
                         split_seed: int = 0):
                super().__init__()

            def load(self, split):
                images = torch.randint(256, (99, 3, 16, 16), dtype=torch.uint8)
                return images, torch.zeros(99, dtype=torch.long)
        """)
    )
    (package / "my_callback.py").write_text(
        textwrap.dedent("""
        from pathlib import Path
        from pytorch_lightning import Callback

        class MyCallback(Callback):
            def __init__(self, word: str = "hello"):
                self.word = word

            def on_fit_end(self, trainer, model):
                Path(trainer.default_root_dir, "mine").write_text(self.word)
        """)
    )
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "zoo.fit", "model=my_package.my_model"]
    command += ["data=my_package.my_data", "callbacks=[my_package.my_callback,checkpoint]"]
    command += ["callbacks.my_callback.word=bye", "model.factor=2", "model.width=4"]
    command += ["trainer.max_steps=2", f"folder={folder}"]
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "mine").read_text() == "bye"
    settings = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
    assert (settings["factor"], settings["image_size"], settings["image_channels"]) == (2.0, 16, 3)


def test_multirun_trains_one_run_for_each_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, *QUICK, "--multirun", "seed=1,2")
    runs = sorted((tmp_path / "outputs/wgan_digits").iterdir())
    seeds = [yaml.safe_load((run / "config.yaml").read_text())["seed"] for run in runs]
    assert sorted(seeds) == [1, 2]


def test_a_multirun_continues_after_a_run_that_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="critic_steps"):
        call(monkeypatch, *QUICK, "--multirun", "model.critic_steps=two,1", "model.lr=1e-4")
    runs = sorted((tmp_path / "outputs/wgan_digits").iterdir())
    assert [json.loads((run / "summary.json").read_text())["status"] for run in runs] == [
        "finished"
    ]
    assert "Error in " in capsys.readouterr().err


def test_two_processes_by_the_command_line(tmp_path):
    settings = [*QUICK, "trainer.devices=2", "trainer.accelerator=cpu", f"folder={tmp_path}/run"]
    with kit.command("fit", *settings, output=tmp_path) as done:
        assert done.wait() == 0, done.stderr
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["processes"], summary["batches"]) == (2, 6)
    assert done.stdout.count("python -m zoo.sample") == 1


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (signal.SIGINT, 130, "stopped by SIGINT"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGUSR1, 138, "stopped by SIGUSR1"),
    ],
)
def test_an_interrupted_run_keeps_its_summary_and_its_state(sent, status, reason, tmp_path):
    folder = tmp_path / "run"
    settings = [*QUICK, "trainer.max_steps=1000000", "callbacks.checkpoint.every=5"]
    with kit.command("fit", *settings, f"folder={folder}", output=tmp_path) as process:
        while not (folder / "checkpoints/last.ckpt").exists():
            assert process.running(), process.stderr
            time.sleep(0.01)
        process.send_signal(sent)
        assert process.wait() == status
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == reason
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == summary["batches"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say which model: model=NAME"),
        (["modle=wgan"], "There is no setting modle. Did you mean model?"),
        (["++modle=wgan"], "There is no setting modle. Did you mean model?"),
        (["model=wgann"], "no model=wgann. Did you mean wgan"),
        (["model=wgan", "data=digit"], "no data=digit. Did you mean digits"),
        (["model=pixelcnn", "data.binarize=true"], "model.num_levels=17, but data.binarize=true"),
        (["model=cgan", "data.labels=20"], "CGAN needs a label for each image: set data.labels=0."),
        (
            ["model=gan", "model.label_smoothing=1"],
            "model.label_smoothing=1.0 must be less than 1: its range is [0, 1).",
        ),
        (["model=wgan", "callbacks=[sample]"], "no callbacks=sample. Did you mean samples"),
        (["model=wgan", "logger=wandbb"], "no logger=wandbb. Did you mean wandb"),
        (["model=wgan", "experiment=wgan_digit"], "Did you mean wgan_digits"),
        (["model=wgan", "sedd=1"], "no setting sedd. Did you mean seed"),
        (["model=wgan", "model.lrr=1"], "no model.lrr. Did you mean lr"),
        (["model=wgan", "data.batchsize=1"], "no data.batchsize. Did you mean batch_size"),
        (["model=wgan", "callbacks.metrics.evry=1"], "no callbacks.metrics.evry. Did you"),
        (["model=wgan", "trainer.max_step=1"], "no trainer.max_step. Did you mean max_steps"),
        (["model=wgan", "++trainer=3"], "trainer=3: trainer has parameters of its own, write"),
        (["model=wgan", "callbacks.metrics=3"], "=3: callbacks.metrics has parameters of its own"),
        (["model=wgan", "trust=no_package"], "trust=no_package: Python finds no package or module"),
        (
            ["model=cgan", "data=emoji", "data.subset=flags"],
            "CGAN needs data with labels, and Emoji has none. Set several subsets, such as data.",
        ),
        (
            ["model=cgan", "data=edges"],
            "CGAN needs data with labels, and Edges has none. Choose data=digits.",
        ),
        (["model=wgan", "model.lr=fast"], "model.lr='fast' is of the wrong type"),
        (["model=wgan", "model.width=1.5"], "model.width=1.5 is of the wrong type"),
        (
            ["model=wgan", "experiment=none", "callbacks=[]", "callbacks.metrics.every=2"],
            "callbacks=metrics was not chosen",
        ),
        (
            ["model=wgan", "callbacks=[samples]"],
            "callbacks=ema was not chosen. If a recipe",
        ),
        (["model=wgan", "model.lr=["], "model.lr='[' is of the wrong type: it must be float."),
        (["model=wgan", "data.image_size=9"], "cannot generate images of size 9"),
        (["model=wgan", "model.image_size=16"], "model.image_size=16, but the data have 8"),
        (["model=wgan", "trainer.gradient_clip_val=1"], "use model.gradient_clip=1"),
        (["model=wgan", "trainer.accumulate_grad_batches=2"], "use model.accumulate=2"),
        (["model=wgan", "trainer.strategy=ddp", "trainer.devices=2"], "TurnStrategy"),
        (["model=wgan", "resume=nowhere"], "resume=nowhere"),
        (
            ["model=wgan", "logger=false"],
            "logger=false: it must be a name, see --help. The CSV log is",
        ),
        (["model=wgan", "logger=null"], "logger=null: it must be a name"),
        (["model=wgan", "logger=none"], "logger=NAME is missing. logger=csv writes the CSV log"),
        (["model=true"], "model=true: it must be a name"),
        (
            ["model=wgan", "callbacks=null"],
            "callbacks=null: it must be a name, see --help. callbacks=[] is",
        ),
        (["model=wgan", "trainer.max_time=20"], "DAYS:HOURS:MINUTES:SECONDS"),
        (["model=wgan", "trainer.limit_val_batches=2"], "WGAN has no validation_step"),
        (["resume=nowhere"], "resume=nowhere"),
        (["model=wgan", "callbacks.ema.decay=2"], "decay=2.0 must be"),
        (["model=wgan", "callbacks.ema.players=[artist]"], "there is no artist"),
        (["model=wgan", "extractor=eye"], "no extractor=eye"),
        (["model=wgan", "data=mnist", "data.root=nowhere"], "data.download=true"),
        (["model=wgan", "logger=wandb", "logger.mode=up"], "logger.mode=up"),
        (["model=wgan", "logger=wandb", "logger.mode=online"], "wandb login"),
        (["model=wgan", "~data"], "data=NAME is missing"),
        (["wgan"], "wgan is not of the form KEY=VALUE"),
        (["model=wgan", "--model.lr=1"], "--model.lr=1 is not of the form KEY=VALUE"),
        (["--model", "wgan"], "--model is not of the form KEY=VALUE: write model=wgan;"),
        (["--model=wgan"], "--model=wgan is not of the form KEY=VALUE: write model=wgan;"),
        (["model=WGAN"], "There is no model=WGAN. Did you mean wgan?"),
        (["model=wgan", "~callbacks.metric"], "no chosen callback metric. Did you mean metrics"),
        (["model=wgan", "experiment=vae_digits"], "The recipe experiment=vae_digits sets it"),
        (["model=wgan", "data=tones"], "local: choose data="),
        (["model=wgan", "trainer.callbacks=[]"], "trainer.callbacks is set by the zoo"),
        (["model=wgan", "data.batch_size=0"], "batch_size=0 must be at least 1"),
        (["model=wgan", "trainer.precision=bf17"], "Lightning rejects the trainer settings"),
        (["model=wgan", "seed=-1"], "-1"),
        (["model=wgan", "seed=abc"], "seed='abc' is of the wrong type"),
        (["model=wgan", "threads=x"], "threads='x' is of the wrong type"),
        (["model=wgan", "trainer.max_steps=1.5"], "trainer.max_steps=1.5 is of the wrong type"),
        (["model=wgan", "callbacks=samples"], "callbacks=[samples]"),
        (["model=wgan", "model.accumulate=0"], "accumulate=0 must be"),
    ],
)
def test_mistakes_are_one_message_before_compute(arguments, message, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert message in refused(monkeypatch, capfd, *arguments)


def test_a_recipe_is_not_blamed_for_a_setting_of_the_users(monkeypatch, capfd):
    message = refused(monkeypatch, capfd, "model=wgan", "+model.optimizer.lr=3")
    assert message.startswith("Error: There is no model.optimizer.")
    assert "recipe" not in message


def test_a_run_that_is_refused_leaves_no_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert "no full batch" in refused(monkeypatch, capfd, "model=wgan", "data.batch_size=9999")
    assert not os.listdir(tmp_path)
    (tmp_path / "mine").mkdir()
    refused(monkeypatch, capfd, "model=wgan", "data.batch_size=9999", "folder=mine")
    assert os.listdir(tmp_path) == ["mine"], "the folder was there before"


def test_a_signal_before_the_first_batch_is_one_line_and_leaves_no_folder(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    for stage in ("prepare_data", "setup"):  # before and within Trainer.fit
        with monkeypatch.context() as patch:
            patch.setattr(Digits, stage, lambda *a, **k: signal.raise_signal(signal.SIGINT))
            with pytest.raises(SystemExit) as stop:
                call(monkeypatch, *QUICK)
        assert stop.value.code == 128 + signal.SIGINT
        assert capfd.readouterr().err.splitlines()[-1] == "Stopped by SIGINT: no batch was trained."
        assert not os.listdir(tmp_path)


def test_ctrl_c_before_anything_is_one_word(tmp_path, monkeypatch, capfd):
    def interrupted(composed):
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.config.composition.check", interrupted)
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *QUICK)
    assert (stop.value.code, capfd.readouterr().err) == (130, "Interrupted.\n")


def test_a_full_disk_is_one_message_and_keeps_the_last_checkpoint(tmp_path, monkeypatch, capfd):
    def save(checkpoint, file):
        if checkpoint["global_step"] > 2:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(checkpoint, file)

    write = torch.save
    monkeypatch.setattr("zoo.runs.checkpoint_io.torch.save", save)
    folder = tmp_path / "run"
    every = ["callbacks.checkpoint.every=2", "callbacks.metrics.every=0"]
    message = refused(monkeypatch, capfd, *QUICK, *every, f"folder={folder}")
    assert "No space left on device" in message
    assert f"The last good checkpoint is {folder}/checkpoints/last.ckpt" in message
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
    assert not list(folder.rglob("*.draft"))
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["batches"], summary["reached"]) == (2, 4)


@pytest.mark.parametrize(
    ("limits", "batches"),
    [(["trainer.max_steps=6"], 6), (["trainer.max_steps=-1", "trainer.max_epochs=1"], 20)],
)
def test_a_run_killed_before_its_final_measurements_can_be_finished(
    limits, batches, tmp_path, monkeypatch, capfd
):
    class Killed(BaseException):
        pass

    def kill(*arguments):
        raise Killed

    first, second, straight = (tmp_path / name for name in ("first", "second", "straight"))
    with monkeypatch.context() as patch:
        patch.setattr("callbacks.metrics.Metrics.on_train_end", kill)
        patch.setattr("callbacks.summary.Summary.on_exception", lambda *a: None)
        with pytest.raises(Killed):
            call(monkeypatch, *QUICK, *limits, f"folder={first}")
    call(monkeypatch, f"resume={first}", f"folder={second}")
    call(monkeypatch, *QUICK, *limits, f"folder={straight}")
    finished, uninterrupted = (
        json.loads((folder / "summary.json").read_text()) for folder in (second, straight)
    )
    for key in ("status", "batches", "metrics"):
        assert finished[key] == uninterrupted[key]
    one, other = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
        for folder in (second, straight)
    )
    assert one["global_step"] == other["global_step"] == batches
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name])
    assert "already" in refused(monkeypatch, capfd, f"resume={second}"), "it is finished"


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_first_batch_that_is_refused_leaves_no_folder(logger, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    arguments = ["model=infogan", "data.batch_size=1", "callbacks.metrics.count=100", "folder=run"]
    arguments.append(f"logger={logger}")
    assert "gets one value per channel" in refused(monkeypatch, capfd, *arguments)
    assert not (tmp_path / "run").exists()


def test_more_accelerators_than_exist(tmp_path, monkeypatch, capfd):
    if torch.cuda.device_count() > 7:
        pytest.skip("this machine has eight")
    monkeypatch.chdir(tmp_path)
    arguments = ["model=wgan", "trainer.accelerator=gpu", "trainer.devices=8"]
    message = refused(monkeypatch, capfd, *arguments)
    assert f"({torch.cuda.device_count()} GPUs available)" in message


def test_a_folder_that_cannot_be_made_or_holds_a_run(tmp_path, monkeypatch, capfd):
    file = tmp_path / "file"
    file.touch()
    assert "Not a directory" in refused(monkeypatch, capfd, "model=wgan", f"folder={file}/run")
    message = refused(monkeypatch, capfd, "model=wgan", f"folder={tmp_path}")
    assert "is not empty" in message
    (tmp_path / "checkpoints").mkdir()
    message = refused(monkeypatch, capfd, "model=wgan", f"folder={tmp_path}")
    assert f"resume={tmp_path}" in message
    assert sorted(os.listdir(tmp_path)) == ["checkpoints", "file"]


def test_data_that_lack_a_key_that_the_model_needs(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("zoo.adversarial.wgan.WGAN.needs", ("image", "text"))
    monkeypatch.chdir(tmp_path)
    assert "WGAN needs the batch key text, but Digits" in refused(monkeypatch, capfd, "model=wgan")


def test_a_diverged_run_names_the_loss_the_batch_and_what_is_left(tmp_path, monkeypatch, capfd):
    arguments = [*QUICK, "model.lr=1e30", "trainer.max_steps=50", "trainer.log_every_n_steps=5"]
    message = refused(monkeypatch, capfd, *arguments, f"folder={tmp_path / 'run'}")
    assert "loss is " in message or "finite" in message
    assert "at batch" in message
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert "Diverged" in summary["status"]


def test_a_fault_in_training_is_not_taken_for_a_mistake(tmp_path, monkeypatch):
    def training_step(self, batch, batch_idx):
        raise ValueError("a fault of the model's")

    monkeypatch.setattr("zoo.adversarial.wgan.WGAN.training_step", training_step)
    with pytest.raises(ValueError, match="a fault of the model's"):
        call(monkeypatch, *QUICK, f"folder={tmp_path / 'run'}")


def test_what_cannot_be_resumed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, *QUICK, "folder=run")
    assert "trained for 6 batches already" in refused(monkeypatch, capfd, "resume=run")
    fewer = refused(monkeypatch, capfd, "resume=run", "trainer.max_steps=5")
    assert "trained for 6 batches already" in fewer
    longer = ["resume=run", "trainer.max_steps=8"]
    assert "started with model.width=4" in refused(monkeypatch, capfd, *longer, "model.width=8")
    assert "started with seed=0" in refused(monkeypatch, capfd, *longer, "seed=1")
    for other, then in (
        ("data.val_count=0", "data.val_count=137"),
        ("data.split_seed=1", "data.split_seed=0"),
        ("data.labels=20", "data.labels=0"),
        ("data.batch_size=8", "global batch (data.batch_size x processes)=64"),
        ("data=shapes", "data=datamodules.digits.Digits"),
        ("trainer.precision=bf16-mixed", "trainer.precision=32-true"),
    ):
        assert f"started with {then}" in refused(monkeypatch, capfd, *longer, other)
    assert [folder.name for folder in tmp_path.iterdir()] == ["run"]
    (tmp_path / "run/checkpoints/last.ckpt").write_bytes(b"damaged")
    assert "is damaged" in refused(monkeypatch, capfd, *longer)


def test_a_run_whose_files_have_changed_cannot_be_resumed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(24):
        Image.new("RGB", (16, 16), (number,) * 3).save(tmp_path / f"photos/{number}.png")
    own = ["data=image_folder", "data.root=photos", "data.image_size=16", "data.batch_size=4"]
    own += ["data.workers=0", "~callbacks.metrics", "trainer.max_steps=2", "model.width=4"]
    call(monkeypatch, "model=wgan", *own, "folder=run")
    Image.new("RGB", (16, 16)).save(tmp_path / "photos/new.png")
    message = refused(monkeypatch, capfd, "resume=run", "trainer.max_steps=4", "folder=second")
    assert "1 file(s) added, 0 removed, 0 changed" in message
    assert not (tmp_path / "second").exists()
    (tmp_path / "photos/new.png").unlink()
    (tmp_path / "photos").rename(tmp_path / "moved")
    call(monkeypatch, "resume=run", "trainer.max_steps=4", "data.root=moved", "folder=second")


def test_a_resumed_run_keeps_the_best_and_takes_another_logger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = [*QUICK, "logger=tensorboard", "folder=first"]
    call(monkeypatch, *first)
    (tmp_path / "first/checkpoints/best.ckpt").write_bytes(b"the best")
    call(monkeypatch, "resume=first", "trainer.max_steps=7", "logger=csv", "folder=second",
         "~callbacks.metrics")  # fmt: skip
    assert (tmp_path / "second/checkpoints/best.ckpt").read_bytes() == b"the best"


def test_a_run_of_a_sweep_can_be_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, *QUICK, "--multirun", "seed=1,2")
    run = sorted((tmp_path / "outputs/wgan_digits").iterdir())[1]
    call(monkeypatch, f"resume={run}", "trainer.max_steps=7", "folder=resumed")
    assert yaml.safe_load((tmp_path / "resumed/config.yaml").read_text())["seed"] in (1, 2)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_flags_stand_anywhere(position, monkeypatch, capsys):
    arguments = ["model=wgan", "model.lr=0.25"]
    arguments[position:position] = ["--cfg", "job"]
    call(monkeypatch, *arguments)
    assert "lr: 0.25" in capsys.readouterr().out


def test_the_epochs_may_end_a_run_too(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, *QUICK[:1], *QUICK[2:], "trainer.max_epochs=1", "folder=run")
    assert "resume=run trainer.max_epochs=2" in capfd.readouterr().out
    assert "raise trainer.max_epochs, now 1" in refused(monkeypatch, capfd, "resume=run")


def test_help_is_there_at_once_and_imports_nothing_heavy():
    code = "import sys; sys.argv = ['fit', '--help']; from zoo import fit; fit.main(); "
    code += "print('LOADED', *{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    text, _, loaded = done.stdout.partition("LOADED")
    for line in ("wgan ", "digits ", "wgan_digits "):
        assert line in text
    assert not {"torch", "pytorch_lightning", "hydra", "wandb"} & set(loaded.split())


def test_help_of_a_component_shows_its_parameters(monkeypatch, capsys):
    call(monkeypatch, "model=wgan", "data=digits", "callbacks=[metrics]", "--help")
    printed = capsys.readouterr().out
    lines = ["model.lr=5e-05", "data.batch_size=64", "callbacks.metrics.every=1000"]
    for line in (*lines, "Use 100 critic steps before each of the generator's first 25"):
        assert line in printed


def test_a_run_ended_by_the_clock_continues_with_more_time(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    own = [*QUICK[:1], *QUICK[2:], "folder=run"]
    call(monkeypatch, *own, "trainer.max_time=00:00:00:01")
    longer = re.search(r"resume=run (trainer.max_time=\S+)", capfd.readouterr().out)[1]
    assert longer.startswith("trainer.max_time=00:00:")
    assert "raise trainer.max_time" in refused(monkeypatch, capfd, "resume=run")
    call(monkeypatch, "resume=run", longer, "trainer.max_steps=100000", "folder=second")
