import math

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from datamodules.audio import loudness
from datamodules.audio_folder import AudioFolder, read_wav
from tests import kit
from zoo.media.audio import from_int16


def write(path, audio, rate=1000):
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, audio)


def constant(value, length=100):
    """int16 audio of one level."""
    return np.full(length, value, dtype=np.int16)


def folder(root, **given):
    settings = {"audio_length": 40, "sample_rate": 1000, "root": str(root)}
    settings |= {"val_fraction": 0.0, "test_fraction": 0.0}
    return AudioFolder(**settings | given)


def levels_and_labels(data, split):
    batch = data.source(split)[torch.arange(len(data.source(split)))]
    return batch["audio"][:, 0].tolist(), batch["label"].tolist()


def test_files_are_cut_into_pieces_and_16_bits_stay_as_they_are(tmp_path):
    write(tmp_path / "a.wav", np.arange(-50, 50, dtype=np.int16))
    write(tmp_path / "b.WAV", constant(-7, 45))
    data = folder(tmp_path)
    audio = data.source("train")[torch.arange(3)]["audio"]
    assert len(data.source("train")) == 3
    assert audio[0].tolist() == list(range(-50, -10))
    assert audio[1].tolist() == list(range(-10, 30))
    assert audio[2].tolist() == [-7] * 40
    assert (data.classes, data.audio_length, data.sample_rate) == (0, 40, 1000)


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "zebra" / "nested" / "a.wav", constant(1, 80))
    write(tmp_path / "ant" / "b.wav", constant(2))
    write(tmp_path / "c.wav", constant(3, 40))
    data = folder(tmp_path)
    assert data.classes == 2
    assert levels_and_labels(data, "train") == ([2, 2, 3, 1, 1], [0, 0, -1, 1, 1])


def test_the_pieces_of_a_file_are_in_one_split(tmp_path):
    for number in range(10):
        write(tmp_path / f"{number}.wav", constant(number))
    data = folder(tmp_path, test_fraction=0.3, val_fraction=0.2)
    levels = {split: levels_and_labels(data, split)[0] for split in ("train", "val", "test")}
    assert all(levels.values())
    every = levels["train"] + levels["val"] + levels["test"]
    assert sorted(every) == sorted(2 * list(range(10)))
    assert sum(len(set(numbers)) for numbers in levels.values()) == 10
    other = folder(tmp_path, test_fraction=0.3, val_fraction=0.2, split_seed=1)
    assert levels_and_labels(other, "test")[0] != levels["test"]


def test_pcm_of_all_widths_and_floats_mean_the_same(tmp_path):
    wave = np.sin(np.arange(100) / 3) * 0.9
    kinds = {
        "u8": ((wave + 1) * 127.5).round().astype(np.uint8),
        "i16": (wave * 32767).astype(np.int16),
        "i32": (wave * (2**31 - 1)).astype(np.int32),
        "f32": wave.astype(np.float32),
        "f64": wave,
    }
    for name, audio in kinds.items():
        write(tmp_path / f"{name}.wav", audio)
        found = read_wav(tmp_path / f"{name}.wav", 1000)
        assert found == pytest.approx(wave, abs=1 / 127.5 if name == "u8" else 1e-4), name
    write(tmp_path / "ends.wav", np.array([-(2**15), 2**15 - 1], dtype=np.int16))
    assert read_wav(tmp_path / "ends.wav", 1000).tolist() == [-1, 1]


def test_24_bits(tmp_path):
    """scipy writes none: the bytes by hand, three a sample."""
    values = [-(2**23), -1, 0, 2**22, 2**23 - 1]
    data = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt "
    numbers = ((16, 4), (1, 2), (1, 2), (1000, 4), (3000, 4), (3, 2), (24, 2))
    head += b"".join(number.to_bytes(width, "little") for number, width in numbers)
    path = tmp_path / "deep.wav"
    path.write_bytes(head + b"data" + len(data).to_bytes(4, "little") + data + b"\0")
    found = read_wav(path, 1000)
    assert found == pytest.approx([value / 2**23 for value in values], abs=1e-6)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([constant(1000), constant(-400)], axis=1)
    write(tmp_path / "stereo.wav", stereo)
    assert set(levels_and_labels(folder(tmp_path), "train")[0]) == {300}


@pytest.mark.parametrize(("rate", "sample_rate"), [(8000, 4000), (4000, 8000), (6000, 4000)])
def test_another_rate_keeps_the_tone_and_drops_what_it_cannot_hold(tmp_path, rate, sample_rate):
    time = np.arange(rate) / rate
    low = np.sin(2 * math.pi * 500 * time) / 2
    write(
        tmp_path / "tone.wav", low + (np.sin(2 * math.pi * 2900 * time) / 4) * (rate > 5900), rate
    )
    found = read_wav(tmp_path / "tone.wav", sample_rate)
    assert len(found) == sample_rate
    expected = np.sin(2 * math.pi * 500 * np.arange(sample_rate) / sample_rate) / 2
    middle = slice(sample_rate // 4, -sample_rate // 4)
    assert found[middle] == pytest.approx(expected[middle], abs=0.01)


def test_a_batch_holds_floats_and_loudness(tmp_path):
    write(tmp_path / "a.wav", constant(16384, 400))
    data = folder(tmp_path, batch_size=4, hop=20)
    raw = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(raw, 0)
    assert torch.equal(batch["audio"], from_int16(raw["audio"]))
    assert batch["local"].shape == (4, 2, 1)
    assert batch["local"].mean().item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(("length", "hop"), [(40, 20), (41, 20), (7, 20), (16000, 160), (5, 1)])
def test_loudness_is_that_of_each_frame(length, hop):
    torch.manual_seed(0)
    audio = 2 * torch.rand(3, length) - 1
    frames = [frame.square().mean(dim=1).sqrt() for frame in audio.split(hop, dim=1)]
    assert torch.equal(loudness(audio, hop), torch.stack(frames, dim=1)[..., None])


def test_loudness_is_computed_for_models_that_need_it(tmp_path):
    write(tmp_path / "a.wav", constant(16384, 400))
    data = folder(tmp_path, batch_size=4, hop=20)
    raw = next(iter(data.train_dataloader()))
    shape = {"audio_length": 40, "local_features": 1, "hop": 20}
    for local in (False, True):
        batch = data.prepare_batch(raw, kit.build("wavenet", **shape, local=local))
        assert ("local" in batch) == local


def test_mistakes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*data.root=FOLDER says where"):
        folder(tmp_path / "nowhere").source("train")
    with pytest.raises(FileNotFoundError, match=r"no audio \(.wav\)"):
        folder(tmp_path).source("train")
    write(tmp_path / "empty.wav", constant(1, 0))
    with pytest.raises(ValueError, match=r"empty.wav contains no samples"):
        folder(tmp_path).source("train")
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=r"of 1 audio file\(s\) there are 0 for train, 0 for"):
            folder(tmp_path, test_fraction=0.1).source(split)
    (tmp_path / "empty.wav").unlink()
    write(tmp_path / "short.wav", constant(1, 39))
    with pytest.raises(ValueError, match=r"short.wav has 39 samples at 1000 Hz, fewer than"):
        folder(tmp_path).source("train")
    (tmp_path / "broken.wav").write_bytes(b"RIFF, but no more than that")
    with pytest.raises(ValueError, match=r"broken.wav cannot be read as WAV"):
        folder(tmp_path).source("train")
    write(tmp_path / "a.wav", np.full(100, np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match=r"a.wav contains NaN or infinity"):
        folder(tmp_path).source("train")
    write(tmp_path / "a.wav", np.linspace(-32768, 32767, 100, dtype=np.float32))
    with pytest.raises(ValueError, match=r"a.wav contains values up to 32768, but full scale is"):
        read_wav(tmp_path / "a.wav", 1000)
    write(tmp_path / "a.wav", np.full(100, 1.5, dtype=np.float32))
    (tmp_path / "short.wav").unlink()
    (tmp_path / "broken.wav").unlink()
    with pytest.warns(UserWarning, match=r"1 of 1 train files, .*a.wav, .* are clipped"):
        assert (folder(tmp_path).source("train").source.tensors["audio"] == 2**15 - 1).all()
