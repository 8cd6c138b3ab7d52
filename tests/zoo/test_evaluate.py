"""A model or a folder of images is measured, and every number says how."""

import json

import numpy as np
import pytest
import torch

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from datamodules.tones import Tones
from tests import kit
from zoo.adversarial.cgan import CGAN
from zoo.engine.sampling import draw
from zoo.evaluate import evaluate
from zoo.media.images import save_png, to_uint8
from zoo.metrics.compute import evaluation_seed
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.frechet import Moments
from zoo.metrics.statistics import Statistics, write_statistics
from zoo.runs import comparison, real_images, subjects

pytestmark = pytest.mark.filterwarnings("ignore:Fréchet distance")


@pytest.fixture
def digits():
    return next(iter(Digits().loader("test", 360)))["image"]


def write(images, folder):
    for number, image in enumerate(images):
        save_png(image, folder / f"{number:04d}.png")
    return folder


def numbers(call, capsys, *arguments):
    call(evaluate, "accelerator=cpu", *arguments)
    return json.loads(capsys.readouterr().out)["metrics"]


def test_a_checkpoint_against_its_data(run, tmp_path, call, capsys):
    out = tmp_path / "numbers.json"
    call(evaluate, f"checkpoint={run}", "count=300", f"out={out}", "accelerator=cpu")
    printed = capsys.readouterr()
    result = json.loads(out.read_text())
    assert json.loads(printed.out) == result
    assert result["metrics"]["fid_digits_300"] > result["metrics"]["real_fid_digits_300"] > 0
    assert result["protocol"] == {
        "reference": "1300 images of digits, train",
        "extractor": "digits",
        "extractor_settings": {},
        "image_size": [8, 8],
        "count": 300,
        "seed": 0,
    }
    for name in result["metrics"]:
        assert f"  {name}" in printed.err


def test_audio_is_measured_by_its_likelihood_and_by_what_its_data_hear(tmp_path, call, capsys):
    data = Tones(batch_size=4, audio_length=64, count=40, val_count=0)
    model = kit.build("wavenet", audio_length=64, conditional=True, classes=8)
    run = tmp_path / "run"
    kit.fit(model, run, 1, data, callbacks=[Checkpoint(), Metrics()])
    call(evaluate, "accelerator=cpu", f"checkpoint={run}")
    result = json.loads(capsys.readouterr().out)
    assert result["protocol"] == {"reference": "400 test samples of tones", "seed": 0}
    names = [f"{unit}_given_label_levels256_test" for unit in ("nats", "bits_per_dim")]
    assert list(result["metrics"]) == [*names, "accuracy_pitch", "accuracy_pitch_sustained"]
    for name, value in result["metrics"].items():
        assert value == pytest.approx(model.results[f"test/{name}"][1])
    call(evaluate, "accelerator=cpu", f"checkpoint={run}", "count=9")
    printed = capsys.readouterr()
    assert json.loads(printed.out) == result
    assert "count=9 is not used: tones, train has no extractor." in printed.err
    with pytest.raises(
        SystemExit, match=r"tones, train has no default extractor: set extractor=NAME"
    ):
        call(evaluate, "accelerator=cpu", f"checkpoint={run}", "metrics=[fid]")


PIXELS = {"sharpness_60", "spectrum_db_60"}  # of any pictures, by no features
REAL_PIXELS = {"real_sharpness_60", "real_spectrum_db_60"}
OWN = {"accuracy_of_samples_digits_1k", "accuracy_trained_on_samples_1k_test"}


def test_what_only_the_model_has_is_measured_too(conditional, call, capsys):
    found = numbers(call, capsys, f"checkpoint={conditional}", "count=60", "metrics=[fid]")
    assert set(found) == {"fid_digits_60", "real_fid_digits_60"} | PIXELS | REAL_PIXELS | OWN


def test_the_samples_and_the_models_own_numbers_are_of_the_seed(
    conditional, call, capsys, monkeypatch
):
    monkeypatch.setattr(CGAN, "measure", lambda self, data, split: {"drawn": torch.rand(1).item()})
    arguments = [f"checkpoint={conditional}", "count=60", "metrics=[fid]"]
    found = [numbers(call, capsys, *arguments, f"seed={seed}") for seed in (0, 0, 1)]
    for name in ("drawn", "fid_digits_60"):
        one, again, other = (result[name] for result in found)
        assert one == again != other


def test_a_folder_has_no_metrics_of_a_model(conditional, tmp_path, call, capsys, digits):
    folder = write(digits, tmp_path / "one")
    arguments = [f"checkpoint={conditional}", "count=60", "metrics=[fid]"]
    found = numbers(call, capsys, *arguments, f"reference={folder}", "extractor=digits")
    assert set(found) == {"fid_digits_60"} | PIXELS


def test_stored_statistics_give_the_fid_of_their_images(tmp_path, call, capsys, digits):
    one, other = write(digits[:150], tmp_path / "one"), write(digits[150:], tmp_path / "other")
    file = tmp_path / "stored.npz"
    arguments = [f"images={one}"]
    stored = [f"reference={other}", f"statistics={file}", "extractor=digits"]
    found = numbers(call, capsys, *arguments, *stored)
    call(evaluate, "accelerator=cpu", *arguments, f"reference={file}")
    result = json.loads(capsys.readouterr().out)
    assert result["metrics"] == {"fid_digits_150": pytest.approx(found["fid_digits_150"], rel=1e-9)}
    assert result["protocol"]["reference"] == f"statistics of {file}"
    for wrong, message in (
        (["metrics=[fid,kid]"], r"which serve fid, but not kid: set metrics=\[fid\]"),
        (["extractor=pixels"], "statistics are features of digits, not of pixels"),
        ([f"statistics={tmp_path / 'again.npz'}"], "contains statistics already"),
    ):
        with pytest.raises(SystemExit, match=message):
            call(evaluate, "accelerator=cpu", *arguments, f"reference={file}", *wrong)


def test_statistics_of_an_extractor_of_the_users_ask_for_it(tmp_path, call, digits):
    file = tmp_path / "stored.npz"
    write_statistics(file, Moments.of(load_extractor("digits")(digits)), "mine")
    arguments = [f"images={write(digits, tmp_path / 'one')}", f"reference={file}"]
    with pytest.raises(SystemExit, match="features of mine, which is not an extractor of the zoo"):
        call(evaluate, *arguments)


@pytest.mark.parametrize(
    ("stored", "choice"),
    [
        ("inception_torch_resize", "inception"),
        ("clip_vitb32_0a1b2c3d", "clip"),
        ("efficientnet_lite0_1280_96px", "efficientnet_lite0"),
    ],
)
def test_the_name_in_statistics_begins_with_that_of_the_command_line(stored, choice):
    real = real_images.RealImages("it", None, statistics=Statistics(None, stored))
    assert real_images.named_extractor(real, {}) == choice


def test_statistics_of_another_width_are_refused_before_sampling(conditional, tmp_path, call):
    file = tmp_path / "theirs.npz"  # without the extractor's name, like those of pytorch-fid
    np.savez(file, mu=np.zeros(2), sigma=np.eye(2))
    arguments = [f"checkpoint={conditional}", f"reference={file}", "accelerator=cpu"]
    for extractor in ("digits", "pixels"):
        with pytest.raises(SystemExit, match=f"have 2 features, and {extractor} has 64 of these"):
            call(evaluate, *arguments, f"extractor={extractor}")


def test_conditions_come_from_data_and_not_from_a_folder(tmp_path, call, digits):
    arguments = ["checkpoint=pix2pix_textures", f"reference={write(digits, tmp_path / 'one')}"]
    with pytest.raises(SystemExit, match=r"Pix2Pix needs source to sample.* set data=NAME"):
        call(evaluate, *arguments, "extractor=pixels", "accelerator=cpu")


def test_the_path_length_is_measured_on_request(conditional, tmp_path, call, capsys, digits):
    arguments = [f"checkpoint={conditional}", "count=60", "metrics=[fid]"]
    found = numbers(call, capsys, *arguments, "paths=100")
    assert found["ppl_linear_digits_100"] > 0
    again = numbers(call, capsys, *arguments, "paths=100", "extractor=pixels")
    assert again["ppl_linear_pixels_100"] > 0
    folder = write(digits, tmp_path / "one")
    with pytest.raises(SystemExit, match="needs a model with latents, and a folder"):
        call(evaluate, "accelerator=cpu", f"images={folder}", "data=digits", "paths=100")


def test_several_processes_compare_with_stored_statistics(conditional, tmp_path, digits):
    file = str(tmp_path / "stored.npz")
    extractor = load_extractor("digits")
    write_statistics(file, Moments.of(extractor(digits)), extractor.name)

    def work():
        real = real_images.open_real(None, None, file)
        subject = subjects.sampled_images(conditional, 60, 0, real, "cpu")
        return comparison.compare(extractor, real, subject, ("fid",), 0)

    (one,) = kit.in_processes(1, work, tmp_path)
    assert kit.in_processes(2, work, tmp_path) == [pytest.approx(one, rel=1e-6)] * 2
    assert list(one) == ["fid_digits_60"]


def test_several_processes_have_the_models_own_numbers_of_one(conditional, tmp_path):
    """They are computed on the first, in eval mode, and known to all."""

    def work():
        real = real_images.open_real(conditional, None, None)
        network = load_extractor(real_images.choose_extractor(None, real))
        subject = subjects.sampled_images(conditional, 60, 0, real, "cpu")
        model, measured = subject.model, []
        measure = model.measure
        model.measure = lambda *args: measured.append(not model.training) or measure(*args)
        found = comparison.compare(network, real, subject, ("fid",), 0)
        return found, measured

    (one, _), *_ = kit.in_processes(1, work, tmp_path)
    (first, on_rank_zero), (second, on_second) = kit.in_processes(2, work, tmp_path)
    assert first == second == pytest.approx(one, rel=1e-6)
    assert set(one) >= OWN
    assert (on_rank_zero, on_second) == ([True], [])


def test_the_metrics_and_the_count_are_chosen(run, call, capsys):
    found = numbers(call, capsys, f"checkpoint={run}", "count=60", "metrics=[kid]")
    assert {name for name in found if not name.startswith("real")} == {
        "kid_subset60_digits_60",
        "kid_subset60_std_digits_60",
        *PIXELS,
    }


def test_a_folder_of_a_models_samples_has_the_models_numbers(run, tmp_path, call, capsys):
    with zoo.load(run).evaluating() as model:
        samples = to_uint8(torch.cat(list(draw(model, 150, evaluation_seed("test", 0)))))
    folder = write(samples, tmp_path / "drawn")
    model = numbers(call, capsys, f"checkpoint={run}", "count=150")
    folder = numbers(call, capsys, f"images={folder}", "data=digits")
    assert folder == pytest.approx(model, rel=1e-5)


def test_a_folder_against_a_folder_and_against_an_npz(tmp_path, call, capsys, digits):
    one, other = write(digits[:150], tmp_path / "one"), write(digits[150:], tmp_path / "other")
    np.savez(tmp_path / "other.npz", images=digits[150:, 0].numpy())
    np.savez(tmp_path / "color.npz", digits[150:].expand(-1, 3, -1, -1).permute(0, 2, 3, 1))
    choices = ["extractor=digits", "metrics=[fid]"]
    found = [
        numbers(call, capsys, f"images={one}", f"reference={reference}", *choices)
        for reference in (other, tmp_path / "other.npz", tmp_path / "color.npz")
    ]
    assert list(found[0]) == ["fid_digits_150", "sharpness_150", "spectrum_db_150"]
    assert found[0]["fid_digits_150"] == pytest.approx(found[1]["fid_digits_150"], rel=1e-12)
    assert found[0]["fid_digits_150"] == pytest.approx(found[2]["fid_digits_150"], rel=1e-4)


def test_some_of_a_folder(tmp_path, call, capsys, digits):
    folder = write(digits[:80], tmp_path / "one")
    found = numbers(call, capsys, f"images={folder}", "data=digits", "count=50", "metrics=[fid]")
    assert "fid_digits_50" in found


def test_equal_images_are_at_zero(tmp_path, call, capsys, digits):
    folder = write(digits, tmp_path / "one")
    choices = [f"images={folder}", f"reference={folder}", "extractor=digits"]
    found = numbers(call, capsys, *choices)
    assert found["fid_digits_360"] == pytest.approx(0, abs=1e-8)
    assert found["precision_k3_digits_360"] == found["coverage_k5_digits_360"] == 1


def test_data_are_changed_by_their_parameters(run, call, capsys):
    whole = numbers(call, capsys, f"checkpoint={run}", "count=60", "metrics=[fid]")
    fewer = numbers(
        call, capsys, f"checkpoint={run}", "count=60", "metrics=[fid]", "data.val_count=900"
    )
    assert fewer["fid_digits_60"] != whole["fid_digits_60"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Set either checkpoint"),
        (["checkpoint=wgan_digits", "images=x"], "Set either checkpoint"),
        (["images=x"], "Set data=NAME or reference=FOLDER"),
        (["images=x", "data=digits", "reference=y"], "Set either data"),
        (["images=nowhere", "data=digits"], "There is no folder"),
        (["checkpoint=wgan_digits", "count=0"], "count=0 must be at least 1"),
        (["checkpoint=wgan_digits", "metrics=[fdi]"], "no metric fdi. Did you mean fid"),
        (["images=x", "reference=nowhere.npz"], r"There is no file .*nowhere\.npz\.$"),
        (["checkpoint=wgan_digits", "metrics=[]"], "metrics=.. names no metric"),
        (
            ["checkpoint=wgan_digits", "count=1"],
            r"No metric can be measured\. The metric fid needs 2 samples or more, not 1\.",
        ),
        (["checkpoint=wgan_digits", "metrics=fid"], r"metrics='fid' is of the wrong type"),
        (["checkpoint=wgan_digits", "extractor=digit"], "Did you mean digits"),
        (["checkpoint=wgan_digits", "extractor.weights=x"], "no extractor.weights"),
        (["checkpoint=wgan_digits", "extractor=pixels", "metrics=[is]"], "has no classify"),
        (["checkpoint=wgan_digits", "data=digist"], "Did you mean digits"),
        (["checkpoint=wgan_digits", "data.val_cont=3"], "Did you mean val_count"),
        (["checkpoint=wgan_digits", "accelerator=abacus"], "accelerator=abacus"),
        (["checkpoint=wgan_digits", "count=2", "metrics=[is]"], "needs 10 samples"),
        (["checkpoint=wgan_digits", "data=mnist", "data.root=nowhere"], "data.download=true"),
        (
            ["checkpoint=wgan_digits", "data.image_size=16"],
            "metrics compare images of one size only",
        ),
    ],
)
def test_mistakes_are_one_message(arguments, message, call):
    with pytest.raises(SystemExit, match=message):
        call(evaluate, "accelerator=cpu", *arguments)


def test_images_that_cannot_be_measured_are_refused(tmp_path, call, digits):
    def refused(name, message):
        with pytest.raises(SystemExit, match=message):
            call(evaluate, f"images={tmp_path / name}", "data=digits", "accelerator=cpu")

    write(digits[:3], tmp_path / "mixed")
    save_png(torch.zeros(1, 9, 8, dtype=torch.uint8), tmp_path / "mixed/9.png")
    refused("mixed", "images of several sizes")
    write(digits[:3], tmp_path / "broken")
    (tmp_path / "broken/x.png").write_bytes(b"no image")
    refused("broken", "1 of 4 images cannot be read.*\n.*x.png")
    save_png(torch.zeros(1, 16, 16, dtype=torch.uint8), tmp_path / "large/0.png")
    refused("large", "The images are 16x16, those of digits, train 8x8")
    np.savez(tmp_path / "floats.npz", np.zeros((4, 8, 8, 1), dtype=np.float32))
    refused("floats.npz", "float32 .*must be uint8")
    np.savez(tmp_path / "many.npz", a=np.zeros(3), b=np.zeros(3))
    refused("many.npz", "contains a, b: it must contain one array")
    np.savez(tmp_path / "five.npz", np.zeros((4, 5, 8, 8), dtype=np.uint8))
    refused("five.npz", "5 channels: it must have 1 or 3")
    (tmp_path / "text.npz").write_text("no arrays")
    refused("text.npz", "neither a folder nor an .npz")
    np.savez(tmp_path / "empty.npz", np.zeros((0, 8, 8, 1), dtype=np.uint8))
    refused("empty.npz", "contains no images")
    write(digits[:3], tmp_path / "few")
    with pytest.raises(SystemExit, match=r"count=5, but .* holds 3 images"):
        call(evaluate, f"images={tmp_path / 'few'}", "data=digits", "count=5", "accelerator=cpu")
