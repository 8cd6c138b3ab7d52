import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from datamodules.loading.video_files import Timeline
from datamodules.video_folder import VideoFolder

av = pytest.importorskip("av")


def write(path, count=10, base=0, codec="mpeg4", height=32, width=48, rate=25, group=4, times=None):
    """A video whose frame number n is gray, 10 n + base; the left eighth is black.

    times: milliseconds of each frame, instead of a rate.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.bit_rate = group, 2_000_000
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(len(times) if times else count):
            pixels = np.full((height, width, 3), 10 * number + base, dtype=np.uint8)
            pixels[:, : width // 8] = 0
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def folder(root, **given):
    settings = {"image_size": 8, "frames": 3, "workers": 0}
    settings |= {"val_fraction": 0.0, "test_fraction": 0.0}
    return VideoFolder(**settings | {"root": str(root)} | given)


def numbers(video, base=0):
    """The numbers of frames (..., 3, H, W) by their gray."""
    return ((video.float().mean(dim=(-1, -2, -3)) - base) / 10).round().int().tolist()


def everything(data, split="train"):
    source = data.source(split)
    return source[torch.arange(len(source))]


def test_a_file_is_cut_into_clips_and_the_unfinished_one_is_left_out(tmp_path):
    write(tmp_path / "a.avi", 10)
    write(tmp_path / "b.mp4", 7, base=5, codec="libx264")
    write(tmp_path / "c.avi", 2)
    data = folder(tmp_path)
    video = everything(data)["video"]
    assert video.shape == (5, 3, 3, 8, 8)
    assert numbers(video[:3]) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert numbers(video[3:], base=5) == [[0, 1, 2], [3, 4, 5]]
    some = torch.tensor([4, 0])
    assert torch.equal(data.source("train")[some]["video"], video[some])


def test_a_clip_is_the_center_square(tmp_path):
    """The black eighth of the width is outside of it."""
    write(tmp_path / "a.avi", 3, base=100)
    assert everything(folder(tmp_path))["video"].min() > 90


def test_batches_stream_through_workers(tmp_path):
    for number in range(4):
        write(tmp_path / f"{number}.avi", 6, base=number)
    data = folder(tmp_path, batch_size=2, workers=2)
    batches = list(data.train_dataloader())
    assert len(batches) == 4
    order = torch.cat([batch["index"] for batch in batches])
    assert sorted(order.tolist()) == list(range(8))
    samples = torch.cat([batch["video"] for batch in batches])
    assert torch.equal(samples, everything(folder(tmp_path))["video"][order])
    batch = data.on_after_batch_transfer(batches[0], 0)
    assert set(batch) == set(data.provides)
    torch.testing.assert_close(batch["video"], samples[:2] / 127.5 - 1)


def test_subfolders_are_classes(tmp_path):
    write(tmp_path / "Yoyo" / "v_Yoyo_g01_c01.avi", 6)
    write(tmp_path / "Archery" / "v_Archery_g01_c01.avi", 3)
    write(tmp_path / "loose.avi", 3)
    data = folder(tmp_path)
    assert data.classes == 2
    assert everything(data)["label"].tolist() == [0, 1, 1, -1]


def test_clips_of_one_recording_stay_together(tmp_path):
    for recording in range(1, 6):
        for part in range(1, 4):
            write(tmp_path / "Yoyo" / f"v_Yoyo_g{recording:02d}_c{part:02d}.avi", 3, recording)
    data = folder(tmp_path, test_fraction=0.4, val_fraction=0.2)
    files = {split: data.source(split).source.files for split in ("train", "val", "test")}
    recordings = {split: {file.stem[:10] for file in of} for split, of in files.items()}
    assert all(recordings.values())
    assert sum(map(len, recordings.values())) == 5
    assert sum(len(data.source(split)) for split in files) == 15
    other = folder(tmp_path, test_fraction=0.4, split_seed=1).source("test").source.files
    assert other != files["test"]


def test_ucf101s_own_list_says_what_is_for_testing(tmp_path):
    for part in range(3):
        write(tmp_path / "Yoyo" / f"v_Yoyo_g01_c0{part}.avi", 3)
    (tmp_path / "testlist01.txt").write_text("Yoyo/v_Yoyo_g01_c01.avi\r\nYoyo/missing.avi\r\n")
    data = folder(tmp_path)
    assert [file.name for file in data.source("test").source.files] == ["v_Yoyo_g01_c01.avi"]
    assert len(data.source("train")) == 2
    write(tmp_path / "Yoyo" / "v_Yoyo_g02_c00.avi", 3)
    cut = folder(tmp_path, val_fraction=0.1, test_fraction=0.5)
    assert len(cut.source("test")) == 1
    assert sorted(len(cut.source(split)) for split in ("train", "val")) == [1, 2]
    (tmp_path / "Yoyo" / "v_Yoyo_g02_c00.avi").unlink()
    for part in (0, 2):
        (tmp_path / "Yoyo" / f"v_Yoyo_g01_c0{part}.avi").unlink()
    (tmp_path / "testlist01.txt").write_text("v_Yoyo_g01_c01.avi\n")
    with pytest.raises(ValueError, match=r"testlist01\.txt lists no video in"):
        folder(tmp_path).source("test")
    (tmp_path / "testlist01.txt").write_text("Yoyo/v_Yoyo_g01_c01.avi\n")
    with pytest.raises(ValueError, match=r"of 1 video file\(s\) there are 0 for train"):
        folder(tmp_path).source("train")


def test_what_cannot_be_decoded_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video .*data.root=FOLDER"):
        folder(tmp_path).source("train")
    (tmp_path / "broken.avi").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"broken.avi cannot be read as a video"):
        folder(tmp_path).source("train")


def test_without_the_decoder_the_way_out_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="python -m pip install av"):
        folder(tmp_path).source("train")


UNEVEN = [0, 40, 80, 200, 240, 500, 520, 560, 1000, 1040, 1080, 1500]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264")])
def test_each_frame_of_a_variable_rate_is_read_once(name, codec, tmp_path):
    write(tmp_path / name, codec=codec, times=UNEVEN)
    with pytest.warns(
        UserWarning, match=r"1 of 1 videos, such as .*variable frame rate"
    ) as messages:
        video = everything(folder(tmp_path))["video"]
    assert len(messages) == 1
    assert numbers(video) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_frames_can_be_taken_at_even_times(tmp_path, recwarn):
    """At 0, 100, 200, ... milliseconds: the frame that is seen then."""
    write(tmp_path / "a.mp4", codec="libx264", times=UNEVEN)
    write(tmp_path / "b.mkv", 20, codec="libx264", rate=20)
    video = everything(folder(tmp_path, fps=10.0))["video"]
    seen = [0, 2, 3, 4, 4, 5, 7, 7, 7, 7, 8, 10, 10, 10, 10]
    assert [n for clip in numbers(video[:5]) for n in clip] == seen
    assert [n for clip in numbers(video[5:]) for n in clip] == list(range(0, 18, 2))
    assert not [w for w in recwarn.list if "data.fps" in str(w.message)]
    with pytest.raises(ValueError, match=r"data.fps=-1.0 must be at least 0"):
        folder(tmp_path, fps=-1.0)


def test_an_unknown_rate_is_refused_only_where_it_is_needed(tmp_path, monkeypatch):
    write(tmp_path / "a.avi", 6)
    unknown = Timeline(torch.arange(6), counted=True, rate=0.0, regular=True, tick=Fraction(1))
    monkeypatch.setattr("datamodules.video_folder.read_timeline", lambda file: unknown)
    assert len(everything(folder(tmp_path))["video"]) == 2
    with pytest.raises(ValueError, match=r"a\.avi has neither timestamps nor a frame rate"):
        folder(tmp_path, fps=10.0).source("train")


def test_unequal_rates_are_reported(tmp_path):
    write(tmp_path / "a.mp4", 6, rate=25)
    write(tmp_path / "b.mp4", 6, rate=50)
    with pytest.warns(UserWarning, match=r"videos of 25 to 50 frames per second: .*data.fps=N"):
        everything(folder(tmp_path))
