"""Weights & Biases without a network."""

from types import SimpleNamespace

import pytest

from callbacks.checkpoint import Checkpoint
from tests import kit
from zoo.loggers.wandb import Wandb, logged_in


@pytest.fixture
def logged_out(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


def test_login_is_found_in_the_environment_and_in_netrc(logged_out, monkeypatch):
    assert not logged_in()
    logged_out.write_text("machine api.wandb.ai login user password secret\n")
    assert logged_in()
    logged_out.write_text("machine elsewhere.org login user password secret\n")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert logged_in()


def test_online_without_a_login_is_refused_before_anything_else(logged_out):
    with pytest.raises(ValueError, match="wandb login"):
        Wandb(mode="online")


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="auto, online, offline, disabled"):
        Wandb(mode="on")


def test_auto_is_offline_when_logged_out(logged_out, monkeypatch):
    assert Wandb()._wandb_init["mode"] == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert Wandb()._wandb_init["mode"] == "online"


def test_discarding_removes_the_files_of_this_run_only(logged_out, tmp_path):
    earlier, run = (tmp_path / "wandb" / name for name in ("earlier", "run"))
    for folder in (earlier, run):
        (folder / "files").mkdir(parents=True)
    (tmp_path / "wandb/latest-run").symlink_to(run)
    exit_codes = []
    experiment = SimpleNamespace(
        dir=str(run / "files"), finish=lambda exit_code: exit_codes.append(exit_code)
    )
    for mode in ("offline", "disabled"):
        logger = Wandb(mode=mode, folder=str(tmp_path))
        logger.discard()  # before the run is created
        logger._experiment = experiment
    logger.discard()  # wandb writes no files
    assert run.exists()
    logger = Wandb(folder=str(tmp_path))
    logger._experiment = experiment
    logger.discard()
    assert exit_codes == [1]
    assert list((tmp_path / "wandb").iterdir()) == [earlier]
    earlier.joinpath("files").rmdir()
    earlier.rmdir()
    (run / "files").mkdir(parents=True)
    logger.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("log_model", [True, False])
def test_checkpoints_are_stored_as_an_artifact(logged_out, tmp_path, monkeypatch, log_model):
    """Offline: the artifact waits in the run's files for `wandb sync`."""
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = Wandb(mode="offline", folder=str(tmp_path), log_model=log_model)
    artifacts = []
    log_artifact = logger.experiment.log_artifact

    def log(artifact):
        artifacts.append(artifact)
        return log_artifact(artifact)

    monkeypatch.setattr(logger.experiment, "log_artifact", log)
    trainer = kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Checkpoint()], logger=logger)
    logger.finalize("success")  # as Lightning does again after testing
    logger.experiment.finish()
    assert len(artifacts) == log_model
    for artifact in artifacts:
        assert (artifact.type, artifact.name) == ("model", f"model-{logger.version}")
        assert list(artifact.manifest.entries) == ["last.ckpt"]
    staged = [file.read_bytes() for file in tmp_path.glob("WANDB_DATA_DIR/**/staging/*")]
    saved = (tmp_path / "checkpoints/last.ckpt").read_bytes()
    assert staged == [saved] * log_model
    assert trainer.global_step == 2
