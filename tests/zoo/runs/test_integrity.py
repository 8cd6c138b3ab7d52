"""A damaged file is noticed, whatever part of it is damaged, in one line."""

import hashlib
import json
import random
import shutil
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.ema import EMA
from tests import kit
from zoo.config.errors import UserError
from zoo.runs.checkpoints import load_data
from zoo.runs.exports import export_model
from zoo.runs.integrity import check_archive
from zoo.runs.loaded_checkpoint import read


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of one batch of WGAN with averaged weights."""
    folder = tmp_path_factory.mktemp("run")
    callbacks = [EMA(decay=0.5), Checkpoint()]
    kit.fit(kit.build("wgan", width=4), folder, 1, callbacks=callbacks)
    return folder


@pytest.fixture
def shared(run, tmp_path):
    """The .json file of an exported model."""
    export_model(run, tmp_path / "wgan")
    return tmp_path / "wgan.json"


def refusal(function, *arguments):
    with pytest.raises(UserError) as error:
        function(*arguments)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def flipped(content, bit):
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def unnoticed(whole, bits, path):
    """The flips after which a checkpoint is read as something else."""
    original, wrong = read(whole).content, []
    for bit in bits:
        path.write_bytes(flipped(whole.read_bytes(), bit))
        try:
            if not same(read(path).content, original):
                wrong.append(bit)
        except UserError:
            continue
    return wrong


def test_a_flipped_bit_is_noticed_or_harmless(run, tmp_path):
    whole = run / "checkpoints/last.ckpt"
    size = 8 * whole.stat().st_size
    bits = random.Random(0).sample(range(size), 100)
    assert not unnoticed(whole, bits, tmp_path / "damaged.ckpt")


def test_a_flipped_bit_in_the_archives_own_words_is_noticed_or_harmless(run, tmp_path):
    """Those at the end, the central directory, and those before each part."""
    whole = run / "checkpoints/last.ckpt"
    with zipfile.ZipFile(whole) as archive:
        start, entries = archive.start_dir, archive.infolist()
    rng = random.Random(0)
    bits = rng.sample(range(8 * start, 8 * whole.stat().st_size), 100)
    bits += [8 * entry.header_offset + rng.randrange(8 * 64) for entry in entries for _ in range(3)]
    assert not unnoticed(whole, bits, tmp_path / "damaged.ckpt")


def test_a_flipped_weight_names_the_part_that_is_damaged(run, tmp_path):
    whole = run / "checkpoints/last.ckpt"
    with zipfile.ZipFile(whole) as archive:
        part = max(archive.infolist(), key=lambda entry: entry.file_size)
        offset = archive.open(part)._orig_compress_start
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(flipped(whole.read_bytes(), 8 * (offset + 5)))
    assert f"the checksum of {part.filename} does not match" in refusal(zoo.load, damaged)


def test_a_cut_off_or_empty_checkpoint_is_refused(run, tmp_path):
    whole = (run / "checkpoints/last.ckpt").read_bytes()
    for content in (b"", whole[:100], whole[:-1], whole[: len(whole) // 2]):
        (tmp_path / "cut.ckpt").write_bytes(content)
        assert "cut.ckpt" in refusal(zoo.load, tmp_path / "cut.ckpt")


def test_an_undamaged_archive_passes(run):
    check_archive(run / "checkpoints/last.ckpt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zoo": {}}, "is not a checkpoint of this zoo"),
        ({"zoo": None}, "is damaged"),
        ({"hyper_parameters": [1]}, "its hyperparameters is of the type list"),
        ({"state_dict": {"generator.0.weight": 3}}, "its weights are not all named tensors"),
        ({"state_dict": {0: torch.zeros(1)}}, "its weights are not all named tensors"),
        ({"state_dict": None}, "its state is of the type NoneType"),
        ({"averages": [1]}, "its averages is of the type list"),
        ({"averages": {"generator": [1]}}, "its weights are not all named tensors"),
        ({"averages": {"generator": None}}, "its weights are not all named tensors"),
        ({"averages": {"generator": {"weight": 1}}}, "its weights are not all named tensors"),
    ],
)
def test_malformed_checkpoints_are_one_line(change, message, run, tmp_path):
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    if "averages" in change:
        change = {"zoo": content["zoo"] | change}
    torch.save(content | change, tmp_path / "wrong.ckpt")
    assert message in refusal(zoo.load, tmp_path / "wrong.ckpt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it has no sha256"),
        ("3", "it has no sha256"),
        ("null", "it has no sha256"),
        ("{}", "it has no sha256"),
        ("", "is not an exported model"),
        ("{", "is not an exported model"),
        ("[" * 100_000, "is not an exported model"),
        ("\xff", "is not an exported model"),
    ],
)
def test_an_invalid_description_is_one_line(text, message, shared):
    shared.write_text(text, encoding="latin-1")
    assert message in refusal(zoo.load, shared)


@pytest.mark.parametrize("name", ["class", "hyperparameters", "data", "results", "sha256"])
@pytest.mark.parametrize("value", ["missing", 3, [1], {"a": [1]}])
def test_malformed_descriptions_are_one_line(name, value, shared):
    description = json.loads(shared.read_text())
    if value == "missing":
        del description[name]
    else:
        description[name] = value
    shared.write_text(json.dumps(description))
    if name in ("results", "hyperparameters") and isinstance(value, dict):
        return  # plain values: what is no parameter any more is left out
    assert str(shared.stem) in refusal(load_data if name == "data" else zoo.load, shared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("state/critic.0.weight"), "the tensor critic.0.weight is missing"),
        (lambda t: t.update(more=torch.zeros(1)), "it has no tensor more"),
        (lambda t: t.update({"artist/0.weight": torch.zeros(1)}), "no tensor artist.0.weight"),
        (
            lambda t: t.update({"state/critic.0.weight": torch.zeros(3)}),
            "the shape of critic.0.weight is (3,), not (",
        ),
    ],
)
def test_other_tensors_than_the_models_are_one_line(change, message, shared):
    weights, description = shared.with_suffix(".safetensors"), json.loads(shared.read_text())
    tensors = load_file(weights)
    change(tensors)
    weights.write_bytes(save(tensors))
    description["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    shared.write_text(json.dumps(description))
    assert message in refusal(zoo.load, shared)


def test_a_file_of_another_kind_names_what_to_choose(tmp_path):
    (tmp_path / "notes.md").write_text("a text")
    message = refusal(zoo.load, tmp_path / "notes.md")
    assert "is not a checkpoint of this zoo" in message
    assert "Choose a run's folder" in message
    assert "zip" not in message


def test_weights_that_are_no_safetensors_are_one_line(shared):
    weights, description = shared.with_suffix(".safetensors"), json.loads(shared.read_text())
    weights.write_bytes(b"not tensors")
    description["sha256"] = hashlib.sha256(b"not tensors").hexdigest()
    shared.write_text(json.dumps(description))
    assert "is damaged" in refusal(zoo.load, shared)


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", "wide"), ("width", None), ("lr", [1]), ("image_size", 9), ("width", 2.5)],
)
def test_hyperparameters_that_make_no_model_are_one_line(name, value, shared):
    description = json.loads(shared.read_text())
    description["hyperparameters"][name] = value
    shared.write_text(json.dumps(description))
    assert name in refusal(zoo.load, shared) or "image" in refusal(zoo.load, shared)


def test_a_copy_of_a_run_loads(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    assert same(dict(zoo.load(tmp_path / "copy").state_dict()), dict(zoo.load(run).state_dict()))
