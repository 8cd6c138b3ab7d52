"""Samples are written as asked, and each mode's picture shows what it says."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.io import wavfile

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.summary import Summary
from datamodules.digits import Digits
from datamodules.gaussians import Gaussians
from datamodules.image_folder import ImageFolder
from datamodules.tones import Tones
from tests import kit
from zoo.adversarial.wgan import WGAN
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.engine.conditions import draw_labels
from zoo.engine.sampling import draw, latents_of_samples
from zoo.engine.seeds import keyed_permutation, reseed
from zoo.media.audio import spectrograms, to_int16
from zoo.media.images import grid_of, save_png, to_uint8
from zoo.metrics import nearest_neighbors
from zoo.plots import class_grid, grids, latent_paths, sample_modes
from zoo.runs.exports import export_model
from zoo.runs.loaded_checkpoint import read
from zoo.sample import MODES, sample

PRETRAINED = "checkpoint=wgan_digits"
CELL = 48 + 2 * 2  # an 8x8 image, six times as large, and its gutters
HEAD = 15  # the height of a line of heads


def test_sample_writes_a_grid(run, tmp_path, call, capsys):
    call(sample, f"checkpoint={run}", "count=9", f"out={tmp_path / 'grid'}")
    assert Image.open(tmp_path / "grid.png").size[0] >= 3 * 48
    assert f"9 samples in {tmp_path / 'grid'}.png" in capsys.readouterr().out


def test_sample_writes_separate_images(run, tmp_path, call):
    out = tmp_path / "images"
    call(sample, f"checkpoint={run}", "count=120", f"out={out}", "separate=true")
    files = sorted(out.iterdir())
    assert len(files) == 120
    model = zoo.load(run)
    with model.evaluating():
        images = torch.cat(list(draw(model, 120)))
    assert np.array_equal(np.asarray(Image.open(files[110])), to_uint8(images)[110, 0].numpy())
    with pytest.raises(SystemExit, match="is not empty"):
        call(sample, f"checkpoint={run}", "count=1", f"out={out}", "separate=true")


def test_a_class_is_sampled_by_name(tmp_path, call):
    """A folder's classes keep their names in the run, its checkpoint and its export."""
    for level, name in enumerate(["red fox", "10", "9"]):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            image = Image.new("RGB", (8, 8), (100 * level, 10 * number, 0))
            image.save(tmp_path / "data" / name / f"{number}.png")
    settings = {"val_fraction": 0.0, "test_fraction": 0.0, "workers": 0}
    data = ImageFolder(batch_size=2, image_size=8, root=str(tmp_path / "data"), **settings)
    model, run = kit.build("cgan", channels=3, classes=3), tmp_path / "run"
    kit.fit(model, run, 1, data, callbacks=[Checkpoint(), Summary()])
    export_model(str(run), str(tmp_path / "mine"))
    names = ["9", "10", "red fox"]
    assert read(run).class_names == names
    assert json.loads((run / "summary.json").read_text())["class_names"] == names
    assert json.loads((tmp_path / "mine.json").read_text())["class_names"] == names

    def drawn(checkpoint, label):
        call(sample, f"checkpoint={checkpoint}", "count=3", f"label={label}", f"out={tmp_path}/a")
        return (tmp_path / "a.png").read_bytes()

    images = [drawn(run, label) for label in (0, 1, 2)]
    assert len(set(images)) == 3
    for checkpoint in (run, tmp_path / "mine.json"):
        assert [drawn(checkpoint, name) for name in names] == images
    with pytest.raises(SystemExit, match=r"no class label=red wolf\. Did you mean red fox\?"):
        drawn(run, "red wolf")


def test_audio_is_written_beside_its_figure_or_one_by_one(tmp_path, call):
    data = Tones(batch_size=4, audio_length=64, count=40, val_count=0)
    model = kit.build("wavenet", audio_length=64, conditional=True, classes=8)
    kit.fit(model, tmp_path / "run", 1, data, callbacks=[Checkpoint()])
    settings = [f"checkpoint={tmp_path / 'run'}", "count=3", "label=5"]
    call(sample, *settings, f"out={tmp_path / 'tones'}")
    call(sample, *settings, f"out={tmp_path / 'tones'}", "separate=true")
    rate, audio = wavfile.read(tmp_path / "tones.wav")
    each = [wavfile.read(file)[1] for file in sorted((tmp_path / "tones").iterdir())]
    assert (rate, len(audio)) == (4000, 3 * 64)
    assert np.array_equal(np.concatenate(each), audio)
    samples = samples_of(zoo.load(tmp_path / "run"), 3, label=5)
    assert np.array_equal(audio, to_int16(samples).flatten().numpy())
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "tones.png")),
        spectrograms(samples, rate).permute(1, 2, 0).numpy(),
    )


def test_seeds_differ(run, tmp_path, call):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        call(sample, f"checkpoint={run}", f"seed={seed}", f"out={tmp_path / name}")
    one, again, other = ((tmp_path / f"{n}.png").read_bytes() for n in ("one", "again", "other"))
    assert one == again != other


def test_a_condition_that_the_model_does_not_take_is_refused(run, tmp_path, call):
    message = "WGAN does not accept label: it accepts image, latent. Leave label out"
    for label in ("3", "fox"):
        with pytest.raises(SystemExit, match=message):
            call(sample, f"checkpoint={run}", f"label={label}")
    save_file({"text": torch.zeros(2, 3)}, tmp_path / "batch.safetensors")
    with pytest.raises(SystemExit, match="does not accept text"):
        call(sample, f"checkpoint={run}", f"condition={tmp_path / 'batch.safetensors'}")


def test_a_class_is_sampled(conditional, tmp_path, call):
    call(sample, f"checkpoint={conditional}", "label=3", "count=9", f"out={tmp_path / 'threes'}")
    assert torch.equal(
        torch.from_numpy(np.array(Image.open(tmp_path / "threes.png"))),
        grid_of(samples_of(zoo.load(conditional), 9, label=3)).permute(1, 2, 0),
    )


@pytest.mark.parametrize("label", [10, -1])
def test_a_class_that_there_is_not_is_refused(conditional, tmp_path, call, label):
    with pytest.raises(SystemExit, match=rf"label={label}: the model has the classes 0 to 9"):
        call(sample, f"checkpoint={conditional}", f"label={label}", f"out={tmp_path / 'x'}")


@pytest.mark.parametrize("given", [[], ["label=3"]], ids=["any class", "one class"])
def test_a_path_of_a_conditional_model_keeps_the_class_of_its_first_sample(
    conditional, tmp_path, call, given
):
    arguments = [f"checkpoint={conditional}", "mode=interpolate", "rows=4", "path_points=3"]
    call(sample, *arguments, "seed=2", *given, f"out={tmp_path / 'paths'}")
    images = cells(tmp_path / "paths.png", 0, 4, 3)
    model = zoo.load(conditional)
    samples = to_uint8(samples_of(model, 64, 2, 3 if given else None))[:, 0]
    assert torch.equal(images[:, 0], samples[:4])
    reseed(model.device, 2, 0)
    latent, label = model.prior(64), draw_labels(model, 64)
    label = torch.full_like(label, 3) if given else label
    assert given or len(label[:5].unique()) > 1
    with torch.no_grad():
        last = to_uint8(model.sample(4, {"latent": latent[1:5], "label": label[:4]}))[:, 0]
    assert torch.equal(images[:, 2], last)


def test_neighbors_and_arithmetic_of_a_conditional_model(conditional, tmp_path, call):
    model = zoo.load(conditional)
    samples = to_uint8(samples_of(model, 64))[:, 0]
    for mode, count, left in (("neighbors", 8, 6), ("arithmetic", 3, 6)):
        file = tmp_path / f"{mode}.png"
        call(sample, f"checkpoint={conditional}", f"mode={mode}", f"out={file}")
        assert torch.equal(cells(file, left, count, 1, HEAD)[:, 0], samples[:count])


def test_by_class_has_a_column_for_each_class_and_a_row_for_each_latent():
    """An image is of two levels: its class in the upper half, its latent in the lower one."""

    def images(count, given):
        assert count == len(given["label"])
        upper, lower = given["label"] / 10, given["latent"][:, 0] / 10
        halves = torch.stack([upper, lower], dim=1).repeat_interleave(4, dim=1)
        return halves[:, None, :, None].expand(-1, 1, 8, 8)

    model = kit.build("cgan")
    model.sample, model.prior = images, lambda count: torch.arange(count)[:, None] * torch.ones(3)
    figure = class_grid.class_grid(model, rows=4)
    assert figure.shape == (3, HEAD + 4 * CELL, 10 * CELL)
    middle = figure[0, HEAD:].view(4, CELL, 10, CELL)[:, :, :, CELL // 2]
    levels = to_uint8(torch.arange(10) / 10)
    assert torch.equal(middle[:, 10], levels.expand(4, 10))
    assert torch.equal(middle[:, -10], levels[:4, None].expand(4, 10))
    assert class_grid.class_grid(model, rows=2, most=3).shape == (3, HEAD + 2 * CELL, 3 * CELL)
    named, other = ([f"{letter}{n}" for n in range(10)] for letter in "ab")
    heads = [class_grid.class_grid(model, 1, 10, names)[:, :HEAD] for names in (named, other)]
    assert not torch.equal(*heads), "the names are the heads"


def cells(file, left, rows, columns, below=0):
    """The images (rows, columns, 8, 8) of a panel whose upper left corner is at (left, below)."""
    figure = torch.from_numpy(np.array(Image.open(file)))[below:, left:, 0]
    figure = figure[: rows * CELL, : columns * CELL].view(rows, CELL, columns, CELL)
    return figure.permute(0, 2, 1, 3)[:, :, 2:50:6, 2:50:6]


def drawn(count=64, seed=0):
    return to_uint8(samples_of(zoo.load("wgan_digits"), count, seed))[:, 0]


def samples_of(model, count, seed=0, label=None):
    given = None if label is None else {"label": torch.full((count,), label)}
    with model.evaluating():
        return torch.cat(list(draw(model, count, seed, given)))


@pytest.mark.parametrize("count", [9, 130])
def test_the_latents_of_a_seed_are_those_of_its_samples(count):
    model = zoo.load("wgan_digits")
    with model.evaluating():
        samples = torch.cat(list(draw(model, count, seed=3)))
        again = model.sample(count, {"latent": latents_of_samples(model, count, 3, None)[0]})
    torch.testing.assert_close(again, samples)


def test_numbers_are_above_the_images_in_the_order_of_the_samples(tmp_path, call):
    for name, option in (("plain", []), ("numbered", ["numbers=true"])):
        call(sample, PRETRAINED, "count=5", *option, f"out={tmp_path / name}")
    plain, numbered = (
        torch.from_numpy(np.array(Image.open(tmp_path / f"{name}.png")))[..., 0]
        for name in ("plain", "numbered")
    )
    assert numbered.shape == (2 * (HEAD + CELL), 3 * CELL)
    numbered = numbered.view(2, HEAD + CELL, 3 * CELL)
    assert torch.equal(numbered[0, HEAD:], plain[:CELL])
    assert torch.equal(numbered[1, HEAD:, : 2 * CELL], plain[CELL:, : 2 * CELL])
    strips = numbered[:, :HEAD].unfold(2, CELL, CELL)  # (2, HEAD, 3, CELL)
    assert (strips < 128).any(dim=3).any(dim=1).tolist() == [[True] * 3, [True, True, False]]
    assert len(strips.transpose(1, 2).reshape(6, -1).unique(dim=0)) == 6


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolate_leads_from_each_sample_to_the_next(tmp_path, call, capsys, path):
    arguments = [PRETRAINED, "mode=interpolate", f"path={path}", "rows=4", "path_points=6"]
    call(sample, *arguments, "seed=2", f"out={tmp_path / 'paths'}")
    assert Image.open(tmp_path / "paths.png").size == (6 * CELL, 4 * CELL)
    images = cells(tmp_path / "paths.png", 0, 4, 6)
    samples = drawn(seed=2)
    assert torch.equal(images[:, 0], samples[:4])
    assert torch.equal(images[:, 5], samples[1:5])
    model = zoo.load("wgan_digits")
    ends = latents_of_samples(model, 64, 2, None)[0]
    points = getattr(latent_paths, path)(ends[:4], ends[1:5], 6)
    with torch.no_grad():
        middle = to_uint8(model.sample(4, {"latent": points[:, 2]}))[:, 0]
    assert torch.equal(images[:, 2], middle)
    assert f"4 {path} paths of 6 images in {tmp_path}" in capsys.readouterr().out


def test_arithmetic_shows_samples_means_and_the_result_in_the_middle(tmp_path, call):
    numbers = ["base=[10,20,30]", "minus=[1,1,1]", "plus=[63,0,2]"]
    call(sample, PRETRAINED, "mode=arithmetic", *numbers, f"out={tmp_path / 'sum'}")
    step = CELL + CELL // 2 + 4 * 6  # a column, a sign, and the white about both
    file, samples = tmp_path / "sum.png", drawn()
    assert Image.open(file).size == (3 * step + 3 * CELL + 2 * 6, HEAD + 4 * CELL + 16)
    shown = torch.stack([cells(file, 6 + i * step, 3, 1, HEAD)[:, 0] for i in range(3)])
    lowest = HEAD + 3 * CELL + 16
    means = torch.stack([cells(file, 6 + i * step, 1, 1, lowest)[0, 0] for i in range(3)])
    results = cells(file, 6 + 3 * step, 3, 3, HEAD + CELL + 16)
    chosen = torch.tensor([[10, 20, 30], [1, 1, 1], [63, 0, 2]])
    assert torch.equal(shown, samples[chosen])
    points, _ = latents_of_samples(zoo.load("wgan_digits"), 64, 0, None)
    mean = points[chosen].mean(dim=1)
    with torch.no_grad():
        expected = zoo.load("wgan_digits").sample(
            4, {"latent": torch.cat([mean, mean[:1] - mean[1:2] + mean[2:]])}
        )
    assert torch.equal(torch.cat([means, results[1:2, 1]]), to_uint8(expected)[:, 0])
    assert len(results.flatten(0, 1).unique(dim=0)) == 9
    row = np.array(Image.open(file))[-CELL:, :, 0]
    for i, symbol in enumerate("-+="):
        left = 6 + i * step + CELL + 2 * 6
        expected = grids.sign(symbol, CELL)[0].numpy()
        assert np.array_equal(row[:, left : left + CELL // 2], expected)


def test_the_signs_differ():
    minus, plus, equals = (grids.sign(symbol, 52)[0] == 0 for symbol in "-+=")
    assert (minus & plus).equal(minus)
    assert plus[26 - 6 : 26 + 6, 13].all()
    assert equals.sum() == 2 * minus.sum()
    assert not (equals & minus).any()


def test_neighbors_shows_the_nearest_training_images_and_tests_for_copies(tmp_path, call, capsys):
    file = tmp_path / "near.png"
    arguments = ["mode=neighbors", "count=30", "rows=5", "k=3", f"out={file}"]
    call(sample, PRETRAINED, *arguments)
    assert Image.open(file).size == (4 * CELL + 4 * 6, HEAD + 5 * CELL)
    train = Digits().source("train")[torch.arange(1300)]["image"]
    samples = drawn(30)
    _, indices = nearest_neighbors.neighbors(samples[:5], train[:, 0], 3)
    assert torch.equal(cells(file, 6, 5, 1, HEAD)[:, 0], samples[:5])
    assert torch.equal(cells(file, CELL + 3 * 6, 5, 3, HEAD), train[indices, 0])
    printed = capsys.readouterr().out
    assert f"5 samples and their 3 nearest training images of digits in {file}\n" in printed
    test = Digits().source("test")[torch.arange(360)]["image"][:, 0]
    near = [nearest_neighbors.neighbors(images, train[:, 0])[0][:, 0] for images in (samples, test)]
    assert f"Z_U = {nearest_neighbors.copying(*near).z:.1f}" in printed
    assert "30 samples, 360 test images" in printed


def test_a_model_that_copies_is_reported(tmp_path, call, capsys, monkeypatch):
    train = Digits().source("train")[torch.arange(1300)]["image"] / 127.5 - 1
    monkeypatch.setattr(WGAN, "sample", lambda self, count, condition=None: train[:count])
    call(sample, PRETRAINED, "mode=neighbors", f"out={tmp_path / 'near'}")
    printed = capsys.readouterr().out
    assert "In 100.0% of pairs" in printed
    assert "Z_U = -1" in printed


def test_recover_shows_images_and_what_was_found_for_them(tmp_path, call, capsys):
    file = tmp_path / "found.png"
    arguments = ["mode=recover", "count=12", "rows=7", "iterations=60", "restarts=2"]
    call(sample, PRETRAINED, *arguments, f"out={file}")
    assert Image.open(file).size == (
        4 * CELL + 4 * 6,
        2 * HEAD - 3 + 7 * CELL,
    )  # two lines of heads
    printed = capsys.readouterr().out
    numbers = r"error (.*) of training images, (.*) of test images, gap (.*)% \(before"
    error, test_error, gap = map(float, re.search(numbers, printed).groups())
    assert gap / 100 == pytest.approx(1 - error / test_error, abs=0.02)
    for left, split in ((6, "train"), (6 + 2 * CELL + 12, "test")):
        real, found = cells(file, left, 7, 2, 2 * HEAD - 3).unbind(dim=1)
        source = Digits().source(split)
        images = source[torch.arange(len(source))]["image"][:, 0]
        assert torch.equal(real, images[keyed_permutation(len(source), 0, "recover")[:7]])
        levels = (real.float() - found.float()) / 127.5
        assert levels.square().mean() < 0.08
        assert 0.3 < levels.square().mean() / error < 3


def test_recover_needs_test_images():
    model = kit.build("gan").eval()
    with pytest.raises(UserError, match="has no test images"):
        sample_modes.recover(model, 2, 0, EmptyTest(), 2, 1, 1)


def test_recover_without_errors_has_no_gap(monkeypatch):
    def perfect(model, batch, *rest):
        return sample_modes.as_images(model, batch["image"]), 0.0, 0.0

    monkeypatch.setattr(sample_modes, "recovery", perfect)
    *_, finding = sample_modes.recover(kit.build("gan").eval(), 2, 0, kit.Toy(), 2, 1, 1)
    assert "0.0000 of test images (before" in finding


class EmptyTest(kit.Toy):
    def load(self, split):
        images, labels = super().load(split)
        return (images, labels) if split == "train" else (images[:0], labels[:0])


def test_recover_refuses_conditions_that_are_not_the_images(tmp_path, call):
    save_file({"latent": torch.zeros(2, 100)}, tmp_path / "given.safetensors")
    given = f"condition={tmp_path / 'given.safetensors'}"
    with pytest.raises(SystemExit, match="mode=recover uses the conditions of the real images"):
        call(sample, PRETRAINED, "mode=recover", given)


@pytest.mark.parametrize("mode", ["interpolate", "arithmetic", "neighbors", "recover"])
def test_a_mode_is_a_function_of_the_seed(tmp_path, call, mode, capsys):
    written = []
    quick = ["iterations=3"] if mode == "recover" else []
    for seed in (0, 0, 1):
        short = [*quick, "count=9", f"out={tmp_path / 'one'}", f"seed={seed}"]
        torch.rand(3)
        call(sample, PRETRAINED, f"mode={mode}", *short)
        written.append((tmp_path / "one.png").read_bytes() + capsys.readouterr().out.encode())
    assert written[0] == written[1] != written[2]


def test_images_are_completed(tmp_path, call):
    """Test images, their upper halves, and wholes that differ in their lower halves alone; or those
    of a file."""
    model = kit.build("pixelcnn", num_levels=17)
    kit.fit(model, tmp_path / "run", 1, Digits(), callbacks=[Checkpoint()])
    settings = [f"checkpoint={tmp_path / 'run'}", f"out={tmp_path / 'whole'}"]
    call(sample, *settings, "mode=complete", "rows=3")
    figure = torch.from_numpy(np.array(Image.open(tmp_path / "whole.png")))[..., 0]
    cells = figure[HEAD:].unflatten(0, (3, CELL)).unflatten(2, (8, CELL)).transpose(1, 2)
    cells = cells[:, :, 2:-2:6, 2:-2:6]  # (3, 8, 8, 8)
    real, half, wholes = cells[:, 0], cells[:, 1], cells[:, 2:]
    assert torch.equal(half[:, :4], real[:, :4])
    assert (half[:, 4:] == 127).all()
    assert torch.equal(wholes[:, :, :4], real[:, None, :4].expand(-1, 6, -1, -1))
    assert len(wholes[0, :, 4:].flatten(1).unique(dim=0)) == 6
    call(sample, settings[0], f"out={tmp_path / 'other'}", "mode=complete", "rows=3", "seed=1")
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "whole.png").read_bytes()

    image, mask = torch.full((2, 1, 8, 8), 1.0), torch.zeros(2, 1, 8, 8)
    mask[:, :, 6:] = 1
    save_file({"image": image, "mask": mask}, tmp_path / "given.safetensors")
    given = f"condition={tmp_path / 'given.safetensors'}"
    call(sample, settings[0], given, f"out={tmp_path / 'each'}", "separate=true")
    samples = np.asarray(Image.open(tmp_path / "each/000001.png"))
    assert (samples[:6] == 255).all()
    assert (samples[6:] < 255).any()
    with pytest.raises(SystemExit, match="mode=complete uses the conditions of the real images"):
        call(sample, settings[0], given, "mode=complete")
    with pytest.raises(
        SystemExit, match="mode=complete needs a model that samples pixel by pixel, not WGAN"
    ):
        call(sample, PRETRAINED, "mode=complete")


def test_a_label_is_combined_with_the_condition(tmp_path, call):
    model = kit.build("pixelcnn", num_levels=4, conditional=True)
    for parameter in model.parameters():  # so that the label shows
        parameter.data *= 3
    kit.fit(model, tmp_path / "run", 1, Digits(), callbacks=[Checkpoint()])
    batch = {"image": torch.ones(2, 1, 8, 8), "mask": torch.ones(2, 1, 8, 8)}
    save_file(batch, tmp_path / "given")
    settings = [f"checkpoint={tmp_path / 'run'}", f"condition={tmp_path / 'given'}"]
    written = []
    for label in (3, 3, 8):
        call(sample, *settings, f"label={label}", f"out={tmp_path / 'one'}")
        written.append((tmp_path / "one.png").read_bytes())
    assert written[0] == written[1] != written[2]
    for wrong, message in (
        ({"image": batch["image"]}, "image needs a mask"),
        (batch | {"image": 16 * batch["image"]}, r"image must be .* float in \[-1, 1\]"),
        (batch | {"image": batch["image"] * float("nan")}, r"image must be .* float in \[-1, 1\]"),
        (batch | {"mask": batch["mask"][:1]}, "all must have the same length"),
    ):
        save_file(wrong, tmp_path / "given")
        with pytest.raises(SystemExit, match=message):
            call(sample, *settings)
    (tmp_path / "given").write_text("no tensors, but text")
    for given in (tmp_path / "given", tmp_path):
        with pytest.raises(SystemExit, match="is not a safetensors file"):
            call(sample, settings[0], f"condition={given}")


def test_other_noise_than_the_latents_depends_on_the_seed(tmp_path, call):
    save_file({"latent": torch.randn(9, 100)}, tmp_path / "batch.safetensors")
    written = []
    for seed in (0, 0, 1):
        given = f"condition={tmp_path / 'batch.safetensors'}"
        out = f"out={tmp_path / 'sum'}"
        call(sample, PRETRAINED, "mode=arithmetic", given, f"seed={seed}", out)
        written.append((tmp_path / "sum.png").read_bytes())
    assert written[0] == written[1] != written[2]


@pytest.mark.parametrize("mode", ["images", "interpolate", "arithmetic", "neighbors"])
def test_latents_and_conditions_can_be_read_from_files(tmp_path, call, mode, monkeypatch):
    seen = []

    def labeled(self, count, given=None):
        assert {len(values) for values in given.values()} == {count}
        seen.append(given)
        return original(self, count, given)

    original = WGAN.sample
    monkeypatch.setattr(WGAN, "sample", labeled)
    monkeypatch.setattr(WGAN, "needs", ("image", "label"))
    file = tmp_path / "batch.safetensors"
    save_file({"latent": torch.randn(20, 100), "label": torch.arange(20)}, file)
    out = f"out={tmp_path / 'given'}"
    call(sample, PRETRAINED, f"mode={mode}", f"condition={file}", out)
    labels = torch.cat([given["label"] for given in seen]).tolist()
    means = [0, 3, 6]
    assert labels == {
        "interpolate": [row for row in range(8) for _ in range(10)],
        "arithmetic": [*range(9), *means, *[0] * 9],
    }.get(mode, list(range(20)))
    call(sample, PRETRAINED, f"mode={mode}", "label=7", out)
    assert (seen[-1]["label"] == 7).all()


@pytest.fixture(scope="module")
def disentangled(tmp_path_factory):
    """The folder of a run whose statistics tell labels apart."""
    folder = tmp_path_factory.mktemp("disentangled")
    model = kit.build("disentangled")
    kit.fit(model, folder, 1, kit.Toy(batch_size=32), callbacks=[Checkpoint()])
    return folder


def test_a_label_decides_the_latents_of_modes(disentangled, tmp_path, call):
    """Where the prior draws labels of its own."""
    labeled, out = [f"checkpoint={disentangled}", "label=3"], f"out={tmp_path / 'paths'}"
    call(sample, *labeled, "mode=interpolate", "rows=4", "path_points=3", out)
    images = cells(tmp_path / "paths.png", 0, 4, 3)
    samples = to_uint8(samples_of(zoo.load(disentangled), 64, label=3))[:, 0]
    assert torch.equal(images[:, 0], samples[:4])
    assert torch.equal(images[:, 2], samples[1:5])


def test_a_label_beside_latents_that_contain_one_is_refused(disentangled, tmp_path, call):
    save_file({"latent": zoo.load(disentangled).prior(4)}, tmp_path / "latents.safetensors")
    given = f"condition={tmp_path / 'latents.safetensors'}"
    with pytest.raises(SystemExit, match="leave out label or latent, which contains it"):
        call(sample, f"checkpoint={disentangled}", given, "label=3", f"out={tmp_path / 'one'}")


def test_recover_leaves_out_conditions_that_latents_replace(disentangled, tmp_path, call):
    settings = ["mode=recover", "count=4", "rows=2", "iterations=1", "restarts=1"]
    call(sample, f"checkpoint={disentangled}", *settings, "data=digits", f"out={tmp_path / 'one'}")


def test_recover_takes_the_conditions_of_the_images(tmp_path, call, monkeypatch):
    def labeled(self, count, given=None):
        assert "image" not in given
        assert len(given["label"]) == count
        seen.append(given["label"])
        return original(self, count, given)

    original, seen = WGAN.sample, []
    monkeypatch.setattr(WGAN, "sample", labeled)
    monkeypatch.setattr(WGAN, "needs", ("image", "label"))
    short = ["iterations=1", "count=30", f"out={tmp_path / 'one'}"]
    call(sample, PRETRAINED, "mode=recover", *short)
    assert len(seen[0].unique()) > 5


def test_the_data_lay_out_the_samples(tmp_path, call, monkeypatch):
    def figure(samples):
        return torch.full((3, 5, len(samples)), 7, dtype=torch.uint8)

    monkeypatch.setattr(Digits, "figure", staticmethod(figure))
    call(sample, PRETRAINED, f"out={tmp_path / 'one'}")
    assert Image.open(tmp_path / "one.png").size == (64, 5)


@pytest.mark.parametrize("data", [None, {"_target_": "elsewhere.Data"}])
def test_without_its_data_a_checkpoint_is_sampled_as_a_grid(tmp_path, call, data):
    file = tmp_path / "exported.json"
    export_model("wgan_digits", file.with_suffix(""))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"data": data}))
    call(sample, f"checkpoint={file}", "count=9", f"out={tmp_path / 'one'}")
    assert Image.open(tmp_path / "one.png").size == (3 * CELL, 3 * CELL)
    with pytest.raises(SystemExit, match=r"set data=NAME|found at elsewhere\.Data"):
        call(sample, f"checkpoint={file}", "mode=neighbors")
    out = f"out={tmp_path / 'near'}"
    call(sample, f"checkpoint={file}", "mode=neighbors", "data=digits", "data.val_count=0", out)
    assert (tmp_path / "near.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mode=interpolat"], "There is no mode=interpolat. Did you mean interpolate"),
        (["mode=interpolate", "path=sperical"], "no path=sperical. Did you mean spherical"),
        (["mode=interpolate", "path_points=1"], "path_points=1 must be at least 2"),
        (["mode=interpolate", "count=8"], r"rows=8 paths connect rows \+ 1 samples: count=8"),
        (["mode=interpolate", "rows=0"], "rows=0 must be at least 1"),
        (["mode=interpolate", "separate=true"], "mode=interpolate does not accept separate"),
        (["k=9"], "mode=images does not accept k: it accepts separate"),
        (["mode=arithmetic", "base=[0,1,64]"], "numbers of samples, from 0 to 63"),
        (["mode=arithmetic", "minus=[0,-1,4]"], r"minus=.* must be at least 0"),
        (["mode=arithmetic", "base=[0,1]"], r"base=\[0, 1\] is of the wrong type"),
        (["mode=arithmetic", "base=1"], r"Write 3 numbers, such as base=\[1,2,3\]\."),
        (["mode=neighbors", "k=0"], "k=0 must be at least 1"),
        (["mode=neighbors", "data=digit"], "no data=digit. Did you mean digits"),
        (["mode=recover", "restarts=0"], "restarts=0 must be at least 1"),
    ],
)
def test_mistakes_are_one_message(call, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call(sample, PRETRAINED, *arguments)


@pytest.mark.parametrize("mode", ["interpolate", "arithmetic", "recover"])
def test_a_model_without_latents_is_refused(call, mode, monkeypatch):
    monkeypatch.delattr(WGAN, "prior")
    with pytest.raises(SystemExit, match=f"mode={mode} needs latents, and WGAN has no prior"):
        call(sample, PRETRAINED, f"mode={mode}")


def test_a_model_without_latents_takes_none(tmp_path, call, monkeypatch):
    monkeypatch.delattr(WGAN, "prior")
    save_file({"latent": torch.zeros(2, 100)}, tmp_path / "batch.safetensors")
    with pytest.raises(SystemExit, match="does not accept latent"):
        call(sample, PRETRAINED, f"condition={tmp_path / 'batch.safetensors'}")


@pytest.mark.parametrize("mode", ["interpolate", "arithmetic", "neighbors", "images"])
def test_modes_that_plot_images_refuse_other_samples(call, monkeypatch, mode):
    monkeypatch.setattr(WGAN, "sample", lambda self, count, condition=None: torch.zeros(count, 2))
    separate = f"separate={str(mode == 'images').lower()}"
    with pytest.raises(SystemExit, match=r"WGAN generates samples of shape \(2,\), not images"):
        call(sample, PRETRAINED, f"mode={mode}", separate)


def test_data_are_fetched_before_they_are_read(tmp_path, call, monkeypatch):
    monkeypatch.setattr(Digits, "prepare_data", lambda self: setattr(self, "fetched", True))
    load = Digits.load
    monkeypatch.setattr(Digits, "load", lambda self, split: self.fetched and load(self, split))
    call(sample, PRETRAINED, "mode=neighbors", "count=2", f"out={tmp_path / 'near'}")


@pytest.mark.parametrize("mode", ["neighbors", "recover"])
def test_data_without_images_or_with_others_are_refused(call, monkeypatch, mode):
    large = r"samples of shape \(1, 8, 8\), but images of \(1, 16, 16\)"
    with pytest.raises(SystemExit, match=large):
        call(sample, PRETRAINED, f"mode={mode}", "data.image_size=16", "count=2")
    monkeypatch.setattr(Digits, "provides", ("text",))
    with pytest.raises(SystemExit, match="digits has no images: it provides text"):
        call(sample, PRETRAINED, f"mode={mode}")


def test_the_commands_in_the_docs_work(tmp_path, call):
    page = (ROOT / "docs/latents.md").read_text().replace("\\\n", "")
    commands = re.findall(r"python -m zoo\.sample (checkpoint.*)", page)
    assert len(commands) == len(MODES) - 2  # those of models that have latents
    for command in commands:
        quick = ["iterations=1"] if "recover" in command else []
        call(sample, *command.split(), *quick, f"out={tmp_path / 'picture'}")
        shown = Image.open(ROOT / "docs/images" / f"{command.partition('out=')[2]}.png")
        assert shown.size == Image.open(tmp_path / "picture.png").size


@pytest.mark.parametrize("mode", ["interpolate", "neighbors", "recover"])
def test_points_are_not_plotted_as_images(mode, tmp_path, call):
    """Toy data have a figure in mode=images only."""
    model = kit.build("wgan")
    for builder in ("generator", "critic"):
        setattr(model, builder, torch.nn.Sequential(torch.nn.Linear(8, 2), Points()))
    data = Gaussians(count=100, val_count=0)
    arguments = {
        "interpolate": (9, 0, None, 2, 3, "linear"),
        "neighbors": (9, 0, None, data, 2, 1),
        "recover": (2, 0, data, 2, 1, 1),
    }
    with pytest.raises(UserError, match=r"not images|needs uint8"), torch.no_grad():
        getattr(sample_modes, mode)(model, *arguments[mode])


class Points(torch.nn.Module):
    def forward(self, values):
        return values[:, :, None, None]


def test_a_caption_is_sampled_count_times(tmp_path, call):
    model = kit.build("text_to_image")
    kit.fit(model, tmp_path / "run", 1, callbacks=[Checkpoint()])
    settings = f"checkpoint={tmp_path / 'run'}", f"out={tmp_path / 'drawn'}"
    call(sample, *settings, "separate=true", "count=3", "caption=a red circle")
    assert len(list((tmp_path / "drawn").iterdir())) == 3
    with pytest.raises(SystemExit, match="has no characters of a to z"):
        call(sample, *settings, "caption=\u65e5\u672c")
    with pytest.raises(SystemExit, match="WGAN does not accept text"):
        call(sample, PRETRAINED, "caption=a red circle")


def test_generate_draws_what_the_command_draws(tmp_path, call):
    file = tmp_path / "samples.png"
    call(sample, "checkpoint=wgan_digits", "count=150", "seed=3", f"out={file}")
    state = torch.get_rng_state()
    samples = zoo.generate("wgan_digits", 150, seed=3)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are untouched"
    assert samples.shape == (150, 1, 8, 8)
    assert not samples.requires_grad
    expected = tmp_path / "expected.png"
    save_png(grid_of(samples), expected)
    assert expected.read_bytes() == file.read_bytes()
    model = zoo.load("wgan_digits")
    assert not torch.equal(zoo.generate(model, 4, seed=3), zoo.generate(model, 4, seed=4))
    halves = zoo.generate(model, 150, 3, batch_size=50)
    torch.testing.assert_close(halves[:49], samples[:49], rtol=0, atol=1e-5)
    assert (halves[50:100] - samples[50:100]).abs().max() > 0.1, "the second chunk is another"
    with pytest.raises(ValueError, match="has 3 samples"):
        zoo.generate(model, 2, condition={"latent": model.prior(3)})
