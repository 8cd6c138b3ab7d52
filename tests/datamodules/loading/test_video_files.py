"""Which frames a video has, and how they are seen."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from datamodules.loading.video_files import (
    Timeline,
    apply_display_matrix,
    frames_at_rate,
    read_square,
    read_timeline,
)
from tests.datamodules.test_video_folder import UNEVEN, numbers, write

av = pytest.importorskip("av")


def square(file, start, count, size=8):
    line = read_timeline(file)
    return read_square(file, line.times[start : start + count].tolist(), line.counted, size)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mpg", "mpeg2video")],
)
@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
def test_frames_are_read_from_any_number_on(name, codec, rate, tmp_path):
    file = write(tmp_path / name, 23, codec=codec, rate=rate)
    line = read_timeline(file)
    assert len(line.times) == 23
    assert line.regular
    assert line.rate == pytest.approx(float(rate), rel=0.01)
    for start, count in ((0, 23), (3, 5), (4, 1), (21, 2)):
        frames = square(file, start, count)
        assert frames.dtype == torch.uint8
        assert frames.shape == (count, 3, 8, 8)
        assert numbers(frames) == list(range(start, start + count))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "mpeg4")])
def test_uneven_frames_are_read_from_any_number_on(name, codec, tmp_path):
    file = write(tmp_path / name, codec=codec, times=UNEVEN)
    line = read_timeline(file)
    assert not line.regular
    assert [round(1000 * float(t * line.tick)) for t in line.times.tolist()] == UNEVEN
    for start, count in ((0, 12), (3, 5), (4, 1), (10, 2)):
        assert numbers(square(file, start, count)) == list(range(start, start + count))


def test_frames_without_timestamps_of_their_own_are_counted(tmp_path):
    """B-frames in AVI: two of them are at one time."""
    file = write(tmp_path / "a.avi", codec="libx264", times=list(range(0, 480, 40)))
    line = read_timeline(file)
    assert line.counted
    assert len(line.times) == 12
    for start, count in ((0, 12), (3, 5), (10, 2)):
        assert numbers(square(file, start, count)) == list(range(start, start + count))


def timeline(*times, counted=False, rate=10.0, tick=Fraction(1, 1000)):
    return Timeline(torch.tensor(times), counted, rate, True, tick)


def test_a_rate_shows_the_frame_that_is_seen_at_each_time():
    thirds = timeline(0, 33, 67, 100, 133, 167)  # 30 a second, rounded
    assert frames_at_rate(thirds, 30.0).tolist() == [0, 33, 67, 100, 133, 167]
    assert frames_at_rate(thirds, 10.0).tolist() == [0, 100]
    assert (
        frames_at_rate(thirds, 60.0).tolist()
        == [t for t in thirds.times.tolist() for _ in "ab"][:11]
    )
    late = timeline(5000, 5500, 5600)
    assert frames_at_rate(late, 10.0).tolist() == [5000] * 5 + [5500, 5600]
    frames = timeline(0, 1, 2, 3, tick=Fraction(1, 25))
    assert frames_at_rate(frames, 25.0).tolist() == [0, 1, 2, 3]
    assert frames_at_rate(frames, 12.5).tolist() == [0, 2]
    counted = timeline(0, 1, 2, 3, counted=True, rate=20.0)
    assert frames_at_rate(counted, 10.0).tolist() == [0, 2]
    assert frames_at_rate(timeline(7), 10.0).tolist() == [7]


def rotated(file, matrix):
    """The file with the display matrix [a b; c d] in its track header, as cameras write it."""
    content = file.read_bytes()
    at = content.index(b"tkhd") + 44
    (a, b), (c, d) = matrix
    numbers = [a * 2**16, b * 2**16, 0, c * 2**16, d * 2**16, 0, 32 * 2**16, 0, 2**30]
    entries = np.array([round(number) for number in numbers], dtype=">i4").tobytes()
    file.write_bytes(content[:at] + entries + content[at + 36 :])
    return file


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        (((1, 0), (0, 1)), lambda x: x),
        (((0, 1), (-1, 0)), lambda x: x.rot90(-1, (-2, -1))),  # a telephone held upright
        (((-1, 0), (0, -1)), lambda x: x.rot90(2, (-2, -1))),
        (((0, -1), (1, 0)), lambda x: x.rot90(1, (-2, -1))),
        (((-1, 0), (0, 1)), lambda x: x.flip(-1)),  # a camera at the front
        (((0, 1), (1, 0)), lambda x: x.mT),
    ],
)
def test_videos_are_upright(matrix, seen, tmp_path):
    plain = write(tmp_path / "plain.mp4", 3, base=100, codec="libx264", height=48, width=48)
    file = rotated(
        write(tmp_path / "a.mp4", 3, base=100, codec="libx264", height=48, width=48), matrix
    )
    stored = square(plain, 0, 3, size=16)
    assert stored[..., :2].max() < 60, "the left eighth is black"
    assert torch.equal(square(file, 0, 3, size=16), seen(stored))
    assert torch.equal(apply_display_matrix(stored, sum(matrix, ())), seen(stored))


def test_a_pixel_goes_where_the_matrix_says():
    """(x, y) is seen at (a x + c y, b x + d y), here up to the shift that keeps all in view."""
    image = torch.arange(6).view(1, 1, 2, 3)  # (0, 0) holds 0, (1, 0) holds 1
    shown = apply_display_matrix(image, (0, 1, -1, 0))[
        0, 0
    ]  # (1, 0) is seen at (0, 1), (0, 1) at (-1, 0)
    assert shown.tolist() == [[3, 0], [4, 1], [5, 2]]


def test_other_rotations_are_refused(tmp_path):
    half = 0.5**0.5
    file = rotated(write(tmp_path / "a.mp4", 3), ((half, half), (-half, half)))
    with pytest.raises(ValueError, match=r"a.mp4 is rotated, but not by a multiple of 90"):
        square(file, 0, 1)


@pytest.mark.parametrize(
    ("aspect", "dark"), [(Fraction(1), 4 / 48), (Fraction(2, 3), 16 / 72), (Fraction(2), 0.0)]
)
def test_pixels_that_are_not_square(aspect, dark, tmp_path):
    """72x48, of which 16 columns are dark: the center square has 48 columns, all 72, or 24."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 72, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        pixels = np.full((48, 72, 3), 200, dtype=np.uint8)
        pixels[:, :16] = 0
        for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
            container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    row = square(path, 0, 1, size=36)[0, 0, 18]
    assert (row < 100).sum() == pytest.approx(36 * dark, abs=1)


def test_a_damaged_file_is_named(tmp_path):
    file = write(tmp_path / "a.mp4", 5)
    with pytest.raises(ValueError, match=r"a.mp4 is damaged: 1 of 2 frames cannot be decoded"):
        read_square(file, [0, 1], False, 8)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"b.mp4 cannot be read as a video"):
        read_timeline(tmp_path / "b.mp4")
