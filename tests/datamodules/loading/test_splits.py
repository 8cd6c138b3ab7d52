"""Which split a name belongs to depends on the name alone; folders of every medium follow it."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from datamodules.audio_folder import AudioFolder
from datamodules.captioned_folder import CaptionedFolder
from datamodules.edges import Edges
from datamodules.image_folder import ImageFolder
from datamodules.loading.folder import FolderData
from datamodules.loading.splits import assign_splits, check_fractions, hash_fraction
from datamodules.paired_folder import PairedFolder
from datamodules.video_folder import VideoFolder
from zoo.config import catalog
from zoo.runs.resume import fingerprint

NAMES = [f"class_{n % 7}/{n}.png" for n in range(4000)]


def test_the_value_of_a_name_is_for_ever():
    """These may never change, or every folder of every user would be split anew."""
    assert hash_fraction("a.png", 0) == pytest.approx(0.2190354825756233, abs=1e-15)
    assert hash_fraction("cats/1.jpg", 7) == pytest.approx(0.9869933472647963, abs=1e-15)
    assert hash_fraction("josé/ü.png", 3) == hash_fraction("jose\u0301/u\u0308.png", 3)


def test_fractions_are_met_on_average():
    splits = list(assign_splits(NAMES, 0, 0.1, 0.2).values())
    counts = {split: splits.count(split) / len(NAMES) for split in ("train", "val", "test")}
    assert counts == pytest.approx({"train": 0.7, "val": 0.1, "test": 0.2}, abs=0.02)


def test_names_that_come_and_go_move_no_others():
    whole = assign_splits(NAMES, 5, 0.1, 0.2)
    some = assign_splits(NAMES[::3], 5, 0.1, 0.2)
    assert some == {name: whole[name] for name in NAMES[::3]}
    assert assign_splits(NAMES, 6, 0.1, 0.2) != whole


def test_another_fraction_of_one_split_leaves_the_other():
    def held_out(split, val_fraction, test_fraction):
        found = assign_splits(NAMES, 0, val_fraction, test_fraction)
        return {name for name, of in found.items() if of == split}

    assert held_out("val", 0.1, 0.1) == held_out("val", 0.1, 0.3)
    assert held_out("test", 0.1, 0.1) == held_out("test", 0.4, 0.1) < held_out("test", 0.4, 0.2)


@pytest.mark.parametrize("seed", range(20))
def test_small_folders_have_each_split_and_training_loses_none_to_new_names(seed):
    before = {}
    for count in range(3, 40):
        splits = assign_splits(NAMES[:count], seed, 0.05, 0.05)
        assert {"train", "val", "test"} == set(splits.values())
        moved = {name for name, split in before.items() if splits[name] != split}
        assert not [name for name in moved if before[name] == "train"]
        before = splits
    none = assign_splits(NAMES[:3], seed, 0.0, 0.0)
    assert set(none.values()) == {"train"}


@pytest.mark.parametrize("fractions", [(-0.1, 0.1), (0.1, 1.0), (1.5, 0.0), (float("nan"), 0)])
def test_fractions_outside_their_range_are_refused(fractions):
    with pytest.raises(ValueError, match=r"_fraction=\S+ must be .* range is \[0, 1\)"):
        check_fractions(*fractions)
    for module in (ImageFolder, PairedFolder, AudioFolder, VideoFolder, CaptionedFolder):
        with pytest.raises(ValueError, match=r"must be .* range is \[0, 1\)"):
            module(val_fraction=fractions[0], test_fraction=fractions[1])


def test_fractions_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match=r"val_fraction=0.5 and data.test_fraction=0.5 leave"):
        ImageFolder(val_fraction=0.5, test_fraction=0.5)


def image(path, size=(8, 8)):
    Image.new("RGB", size).save(path.with_suffix(".png"))


def captioned(path):
    image(path)
    path.with_suffix(".txt").write_text("a bird")


def audio(path):
    wavfile.write(path.with_suffix(".wav"), 1000, np.zeros(8, dtype=np.int16))


def video(path):
    av = pytest.importorskip("av")
    with av.open(str(path.with_suffix(".avi")), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), dtype=np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)


FOLDERS = {
    ImageFolder: (image, {"image_size": 8}),
    CaptionedFolder: (captioned, {"image_size": 8}),
    PairedFolder: (lambda path: image(path, (16, 8)), {"image_size": 8, "load_size": 8}),
    AudioFolder: (audio, {"audio_length": 8, "sample_rate": 1000}),
    VideoFolder: (video, {"image_size": 8, "frames": 1, "workers": 0}),
}


def folder_classes():
    """Every data module of the catalog that reads a folder of the user's."""
    components = [catalog.describe("data", name) for name in catalog.names("data")]
    return {c.target for c in components if {"root", "test_fraction"} <= c.parameters.keys()}


def test_every_folder_is_known_here():
    assert {f"{m.__module__}.{m.__name__}" for m in FOLDERS} == folder_classes()


@pytest.mark.parametrize("module", FOLDERS)
def test_a_new_file_changes_no_other_split(module, tmp_path):
    write, settings = FOLDERS[module]
    assert issubclass(module, FolderData)

    def splits():
        data = module(root=str(tmp_path), split_seed=1, **settings)
        found = {split: data.files(split) for split in ("train", "val", "test")}
        for split, files in found.items():
            assert len(data.source(split)) == len(files), "a sample of each file"
            assert len(next(iter(data.loader(split)))["index"]) == len(files)
        return {file: split for split, files in found.items() for file in files}

    for number in range(24):
        write(tmp_path / f"{number:02}")
    before = splits()
    assert set(before.values()) == {"train", "val", "test"}
    write(tmp_path / "007")
    after = splits()
    assert len(after) == 25
    assert {file: after[file] for file in before} == before


def test_data_made_of_a_folder_have_its_splits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # all in the default folder
    (tmp_path / "data/images").mkdir(parents=True)
    for number in range(24):
        image(tmp_path / "data/images" / f"{number:02}")
    origin = ImageFolder(image_size=8, workers=0)
    made = Edges(of="image_folder", image_size=8)
    assert torch.equal(fingerprint(made), fingerprint(origin))
    for split in ("train", "val", "test"):
        assert len(made.source(split)) == len(origin.source(split)) > 0
        assert made.source_files(split) == origin.source_files(split)
        assert torch.equal(made.source(split).chosen, origin.source(split).chosen)
