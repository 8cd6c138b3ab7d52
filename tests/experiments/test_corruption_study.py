import pytest
import torch

from experiments import corruption_study as script
from experiments.corruption_study import blur, is_monotone, jpeg, mix, noise, study, table
from zoo.config.errors import UserError

LABELS = torch.arange(40) % 4


def random_images(channels=3, side=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (40, channels, side, side), generator=generator, dtype=torch.uint8)


def mean_change(images, damaged):
    assert damaged.shape == images.shape
    assert damaged.dtype == torch.uint8
    return (damaged.float() - images.float()).abs().mean().item()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("corruption", script.CORRUPTIONS)
def test_each_strength_changes_the_images_more(corruption, channels):
    images = random_images(channels)
    strengths = script.CORRUPTIONS[corruption]
    assert len(strengths) == 5
    changes = [mean_change(images, corruption(images, LABELS, at)) for at in strengths]
    assert changes == sorted(changes)
    assert 0 < changes[0] < changes[-1]


def test_noise_has_the_standard_deviation_and_a_fixed_seed():
    images = torch.full((20, 1, 32, 32), 128, dtype=torch.uint8)
    noisy = noise(images, LABELS, 16)
    assert noisy.double().std() == pytest.approx(16, rel=0.02)
    assert torch.equal(noisy, noise(images, LABELS, 16))


def test_blur_keeps_a_constant_image_and_takes_small_images():
    images = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    assert torch.equal(blur(images, LABELS, 2.0), images)


def test_jpeg_takes_the_quality_from_100():
    images = random_images()
    assert mean_change(images, jpeg(images, LABELS, 95)) > mean_change(images, jpeg(images, 0, 5))


def test_mix_blends_with_an_image_of_another_class():
    images = (60 * LABELS)[:, None, None, None].expand(-1, 1, 4, 4).to(torch.uint8)
    order = torch.randperm(40)
    images, labels = images[order], LABELS[order]
    half = mix(images, labels, 0.5).float()
    other = 2 * half - images
    assert (other != images).all()
    assert set(other.unique().tolist()) == {0, 60, 120, 180}
    assert torch.equal(mix(images, labels, 0.0), images)


def test_a_study_of_digits(capsys, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(script, "CORRUPTIONS", {blur: (0.6, 1.2), mix: (0.2, 0.5)})
    file = tmp_path / "figure.png"
    result = study({"_target_": "digits"}, count=100, out=str(file))
    assert result["extractor"] == "digits"
    assert result["count"] == 100
    assert result["floor"]["real_fid_digits_2k_extrapolated"] == pytest.approx(1.6, abs=0.8)
    assert result["unchanged"] < result["blur"]["0.6"] < result["blur"]["1.2"]
    assert is_monotone(result, "mix")
    assert "| mix | 0.2, 0.5 | " in capsys.readouterr().out
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_table_says_where_the_distance_does_not_grow(monkeypatch):
    monkeypatch.setattr(script, "CORRUPTIONS", {noise: (8, 16), jpeg: (20, 40)})
    result = {"unchanged": 1.0, "noise": {"8": 2.0, "16": 1.5}, "jpeg": {"20": 3.0, "40": 4.0}}
    rows = table(result).splitlines()
    assert rows[2] == "| noise | 8, 16 | 1 | 2, 1.5 | no |"
    assert rows[3] == "| jpeg | 20, 40 | 1 | 3, 4 | yes |"


def test_an_extractor_for_gray_images_refuses_images_in_color():
    with pytest.raises(UserError, match="made for gray images of handwritten digits, and these"):
        study({"_target_": "shapes"}, {"_target_": "digits"})
