"""Models that do not fit are refused in words, before memory is taken."""

import json
import sys

import pytest
import torch

from zoo import fit
from zoo.adversarial.wgan import WGAN
from zoo.config.errors import UserError
from zoo.runs import checkpoints, exports
from zoo.runs.memory import check_size, out_of_memory

HUGE = {"image_size": 64, "width": 65536}


def test_a_model_that_does_not_fit_is_refused_and_one_that_fits_is_not():
    with pytest.raises(UserError, match=r"WGAN has [\d,]+ GiB of weights and .* of memory\."):
        check_size(WGAN, HUGE)
    state = torch.get_rng_state()
    check_size(WGAN, {"image_size": 8})
    check_size(WGAN, {"image_size": 7})  # has its own message when it is built
    assert torch.equal(torch.get_rng_state(), state)


def test_the_command_line_and_a_file_are_refused_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["model=gan", "model.width=65536", "model.network=dcgan", "data.image_size=32"]
    monkeypatch.setattr(sys, "argv", ["fit", *settings, "experiment=none"])
    with pytest.raises(SystemExit, match=r"GAN has .* GiB of weights"):
        fit.main()
    assert not list(tmp_path.iterdir())
    exports.export_model("wgan_digits", tmp_path / "huge")
    description = json.loads((tmp_path / "huge.json").read_text())
    description["hyperparameters"]["width"] = 65536
    (tmp_path / "huge.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"WGAN has .* GiB of weights"):
        checkpoints.load_model(tmp_path / "huge.json")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_errors_are_recognised(error, expected):
    assert out_of_memory(error) is expected


def test_torchs_out_of_memory_error_is_recognised():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert out_of_memory(error.value)


def test_memory_that_runs_out_in_training_is_one_message(tmp_path, monkeypatch):
    def training_step(self, batch, batch_idx):
        torch.empty(2**50)

    monkeypatch.setattr(WGAN, "training_step", training_step)
    folder = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["fit", "model=wgan", "model.width=4", f"folder={folder}"])
    with pytest.raises(SystemExit, match=r"memory.*A smaller data.batch_size") as stop:
        fit.main()
    assert "\n" not in str(stop.value)
