"""The baselines beside which context encoders stand: each exact where it should be."""

import pytest
import torch

from datamodules.photos import Photos
from experiments import inpaint_photos as baselines
from tests import kit
from zoo.config.errors import UserError
from zoo.media import masks
from zoo.metrics.inpainting import scores


def ramps(count=3, size=16):
    """Grey levels that rise by 4 from column to column."""
    rows = torch.arange(size) * 4 + 60
    return rows.expand(count, 1, size, size).to(torch.uint8)


def hidden(images):
    return masks.center(len(images), images.shape[-1], 0)


def test_the_mean_is_of_the_visible_pixels():
    images = ramps()
    images[0, 0, :, 8:] = 0
    images[0, 0, 4:12, 4:12] = 255
    known = images[0][~hidden(images)[0]].double()
    filled = baselines.mean(images.double(), hidden(images), None)
    assert filled[0, 0, 5, 5].item() == known.mean().item()
    assert filled[1, 0, 5, 5].item() == 90, "the ramp's middle"


def test_the_biharmonic_surface_of_a_ramp_is_the_ramp():
    images = ramps()
    filled = baselines.biharmonic(images.double().where(~hidden(images), 0), hidden(images), None)
    assert (filled - images).abs().max() < 0.01


def test_on_photographs_each_beats_the_mean_and_none_sees_the_hole():
    data = Photos(stride=8)
    images = baselines.all_images(data, "test")[::11]
    mask = hidden(images)
    filled = baselines.fill_with_baselines(images, mask, data)
    psnr = {name: scores(images, found, mask)["psnr"] for name, found in filled.items()}
    assert psnr["ridge"] > psnr["mean"] + 2
    assert psnr["biharmonic"] > psnr["mean"] + 2
    blind = baselines.fill_with_baselines(images.masked_fill(mask, 77), mask, data)
    for name, found in filled.items():
        assert torch.equal(found[mask], blind[name][mask]), name
        assert torch.equal(found[~mask], images[~mask]), name


def test_a_model_fills_the_hole_alone():
    images = ramps()
    model = kit.build("context_encoder", 16, masks="center", overlap=0)
    found = baselines.fill_with_model(model, images, hidden(images), kit.Toy(image_size=16))
    assert found.dtype == torch.uint8
    known = ~hidden(images)
    assert torch.equal(found[known], images[known])


def test_checkpoints_are_called_as_asked_or_as_their_run(tmp_path):
    assert baselines.named_checkpoints(["l2 + adversarial=a/b/checkpoints/last.ckpt"]) == {
        "l2 + adversarial": "a/b/checkpoints/last.ckpt"
    }
    folder = tmp_path / "lr=1"
    (folder / "checkpoints").mkdir(parents=True)
    file = folder / "checkpoints/last.ckpt"
    file.touch()
    assert baselines.named_checkpoints([str(file)]) == {"lr=1": str(file)}
    assert baselines.named_checkpoints([str(folder), "wgan_digits"]) == {
        "lr=1": str(folder),
        "wgan_digits": "wgan_digits",
    }
    with pytest.raises(UserError, match="Two checkpoints are called lr=1"):
        baselines.named_checkpoints([str(file), str(folder)])


def test_models_of_other_masks_are_refused():
    images = ramps()
    center, narrow, random = (
        kit.build("context_encoder", 16, **settings)
        for settings in (
            {"masks": "center", "overlap": 0},
            {"masks": "center", "overlap": 1},
            {"masks": "block"},
        )
    )
    assert torch.equal(baselines.common_mask({"a": center, "b": center}, images), hidden(images))
    with pytest.raises(UserError, match=r"b is not a context encoder with model\.masks=center"):
        baselines.common_mask({"a": center, "b": random}, images)
    with pytest.raises(UserError, match="wgan is not a context encoder"):
        baselines.common_mask({"wgan": kit.build("wgan", 16)}, images)
    with pytest.raises(UserError, match=r"model\.overlap must be the same"):
        baselines.common_mask({"a": center, "b": narrow}, images)
