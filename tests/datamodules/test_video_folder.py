import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from datamodules.video_folder import VideoFolder, frame_count, read_frames

av = pytest.importorskip("av")


def write(path, count=10, base=0, codec="mpeg4", height=32, width=48, rate=25, group=4):
    """A video whose frame number n is grey, 10 n + base; the left eighth is black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.bit_rate = group, 2_000_000
        for number in range(count):
            pixels = np.full((height, width, 3), 10 * number + base, dtype=np.uint8)
            pixels[:, : width // 8] = 0
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def folder(root, **given):
    settings = {"image_size": 8, "frames": 3, "workers": 0}
    settings |= {"val_fraction": 0.0, "test_fraction": 0.0}
    return VideoFolder(**settings | {"root": str(root)} | given)


def numbers(video, base=0):
    """The numbers of frames (..., 3, H, W) by their grey."""
    return ((video.float().mean(dim=(-1, -2, -3)) - base) / 10).round().int().tolist()


def everything(data, split="train"):
    source = data.source(split)
    return source[torch.arange(len(source))]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264")])
@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
def test_frames_are_read_from_any_number_on(name, codec, rate, tmp_path):
    file = write(tmp_path / name, 23, codec=codec, rate=rate)
    assert frame_count(file) == 23
    for start, count in ((0, 23), (3, 5), (4, 1), (21, 2)):
        frames = read_frames(file, start, count)
        assert frames.dtype == torch.uint8
        assert frames.shape == (count, 3, 32, 48)
        assert numbers(frames[..., 8:]) == list(range(start, start + count))


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


def test_a_clip_is_the_centre_square(tmp_path):
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
    drawn = torch.cat([batch["video"] for batch in batches])
    assert torch.equal(drawn, everything(folder(tmp_path))["video"][order])
    batch = data.on_after_batch_transfer(batches[0], 0)
    assert set(batch) == set(data.provides)
    torch.testing.assert_close(batch["video"], drawn[:2] / 127.5 - 1)


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
    with pytest.raises(ValueError, match=r"of 1 video file\(s\) there are 0 for train"):
        folder(tmp_path).source("train")


def test_what_cannot_be_decoded_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video .*data.root=FOLDER"):
        folder(tmp_path).source("train")
    (tmp_path / "broken.avi").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"broken.avi cannot be read as a video"):
        folder(tmp_path).source("train")
    file = write(tmp_path / "short.avi", 5)
    with pytest.raises(ValueError, match=r"short.avi ends 2 frame\(s\) earlier"):
        read_frames(file, 4, 3)


def test_without_the_decoder_the_way_out_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="python -m pip install av"):
        folder(tmp_path).source("train")
