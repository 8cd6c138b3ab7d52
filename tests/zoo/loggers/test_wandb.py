"""Weights & Biases without a network."""

import pytest

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
