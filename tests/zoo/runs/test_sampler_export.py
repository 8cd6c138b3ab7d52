"""The sampling network of a model for other runtimes."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import zoo
from zoo.config.errors import UserError
from zoo.export import export
from zoo.runs import sampler_export
from zoo.runs.loaded_checkpoint import read


@pytest.mark.parametrize("name", ["cgan_digits", "quadrant_vae_digits"])
def test_an_onnx_file_draws_the_models_samples_for_any_batch(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export(name, str(tmp_path / "sampler"), format="onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "sampler.onnx"))
    (output,) = session.get_outputs()
    assert output.name == "samples"
    assert {part.shape[0] for part in (*session.get_inputs(), output)} == {"batch"}
    model = zoo.load(name)
    for count in (1, 7):
        inputs = sampler_export.example_inputs(model, read(name), count)
        with torch.no_grad():
            expected = model.sample(count, inputs)
        found = session.run(None, {key: value.numpy() for key, value in inputs.items()})[0]
        assert np.abs(found - expected.numpy()).max() < 1e-4


def test_a_torch_file_runs_without_the_package(tmp_path):
    export("wgan_digits", str(tmp_path / "sampler"), format="torch_export")
    model = zoo.load("wgan_digits")
    latent = model.prior(6)
    torch.save(latent, tmp_path / "latent.pt")
    code = """import sys, torch
latent = torch.load("latent.pt")
torch.save(torch.export.load("sampler.pt2").module()(latent), "samples.pt")
assert "zoo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with torch.no_grad():
        expected = model.sample(6, {"latent": latent})
    torch.testing.assert_close(torch.load(tmp_path / "samples.pt"), expected, atol=1e-4, rtol=0)


def test_labels_are_inputs_only_where_they_change_samples():
    inputs = {
        name: sampler_export.example_inputs(zoo.load(name), read(name), 3)
        for name in ("acgan_digits", "improved_gan_digits")
    }
    assert list(inputs["acgan_digits"]) == ["latent", "label"]
    assert list(inputs["improved_gan_digits"]) == ["latent"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pixelcnn_digits", "PixelCNN samples one value after another"),
        ("pix2pix_textures", "Pix2Pix draws random numbers besides source"),
    ],
)
def test_models_without_such_a_network_are_refused(name, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        export(name, str(tmp_path / "sampler"), format="torch_export")
    assert not list(tmp_path.iterdir())


def test_a_graph_with_other_samples_is_refused_and_replaces_no_file(tmp_path, monkeypatch):
    earlier = tmp_path / "sampler.pt2"
    earlier.write_text("an earlier export")
    run = sampler_export.run_pt2
    wrong = {
        "the graph's samples differ": lambda file, inputs: torch.zeros(5, 1, 8, 8),
        r"the graph's samples are \(1, 5, 1, 8, 8\)": lambda *args: run(*args)[None],
    }
    for message, run_wrong in wrong.items():
        monkeypatch.setattr(sampler_export, "run_pt2", run_wrong)
        with pytest.raises(UserError, match=message):
            export("wgan_digits", str(tmp_path / "sampler"), format="torch_export")
        assert [file.read_text() for file in tmp_path.iterdir()] == ["an earlier export"]


def test_wrong_formats_are_refused():
    with pytest.raises(UserError, match="onnx"):
        export("wgan_digits", "out", format="onxx")
    with pytest.raises(UserError, match=r"format=onnx does not accept half\.$"):
        export("wgan_digits", "out", half=True, format="onnx")
