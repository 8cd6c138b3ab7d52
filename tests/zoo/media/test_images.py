import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from zoo.media.images import (
    GUTTER,
    dequantize,
    from_levels,
    from_uint8,
    grid,
    log_image,
    save_gif,
    save_png,
    to_levels,
    to_uint8,
)


@pytest.fixture(params=[1, 3], ids=["grey", "color"])
def image(request):
    """A uint8 image of uneven sides in which every value from 0 to 119 occurs, none stretched."""
    values = torch.arange(request.param * 10 * 12) % 120
    return values.to(torch.uint8).view(request.param, 10, 12)


def rgb(image):
    return image.expand(3, -1, -1).permute(1, 2, 0).numpy()


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_to_uint8_inverts_the_scaling_of_all_256_levels():
    levels = torch.arange(256)
    assert to_uint8(levels / 127.5 - 1).tolist() == levels.tolist()
    assert to_uint8(levels / 255 * 2 - 1).tolist() == levels.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_from_uint8_is_of_the_type_asked_for_and_from_minus_one_to_one(dtype):
    levels = torch.arange(256, dtype=torch.uint8)
    floats = from_uint8(levels, dtype)
    assert floats.dtype == dtype
    assert (floats[0], floats[255]) == (-1, 1)
    if dtype != torch.bfloat16:
        assert torch.equal(to_uint8(floats), levels)


@pytest.mark.parametrize("count", [2, 3, 17, 256])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_levels_survive_every_dtype(count, dtype):
    levels = torch.arange(count)
    values = from_levels(levels, count)
    assert values[[0, -1]].tolist() == [-1, 1]
    assert torch.equal(to_levels(values.to(dtype), count), levels)


def test_a_float_goes_to_the_nearest_level():
    values = torch.tensor([-3.0, -0.51, -0.49, 0.49, 0.51, 3.0])
    assert to_levels(values, 3).tolist() == [0, 0, 1, 1, 2, 2]


def test_to_uint8_rounds_to_nearest_and_clamps():
    assert to_uint8(torch.tensor([0.4, 0.6, 254.4, 254.6]) / 127.5 - 1).tolist() == [0, 1, 254, 255]
    assert to_uint8(torch.tensor([-9.0, 9.0, torch.inf])).tolist() == [0, 255, 255]
    assert to_uint8(torch.zeros(1)).dtype == torch.uint8


def test_to_uint8_computes_in_float32():
    coarse = torch.linspace(-1, 1, 999).bfloat16()
    assert torch.equal(to_uint8(coarse), to_uint8(coarse.float()))


def test_to_uint8_names_nan():
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(torch.tensor([0.0, torch.nan]))


@pytest.mark.parametrize(
    ("count", "side", "columns", "shape"),
    [
        (16, 8, None, (4 * 52, 4 * 52)),
        (7, 8, None, (3 * 52, 3 * 52)),
        (6, 28, 2, (3 * 60, 2 * 60)),
        (4, 64, None, (2 * 68, 2 * 68)),
    ],
)
def test_grid_enlarges_small_images_and_is_near_square(count, side, columns, shape):
    laid = grid(torch.zeros(count, 1, side, side, dtype=torch.uint8), columns)
    assert laid.shape == (3, *shape)
    assert laid.dtype == torch.uint8


def test_light_gutters_separate_images_of_any_color():
    for color in (0, 255):
        figure = grid(torch.full((4, 1, 8, 8), color, dtype=torch.uint8), columns=2)
        assert (figure[:, :, 50:54] == GUTTER).all()
        assert (figure[:, 50:54] == GUTTER).all()
        assert (figure[:, 2:50, 2:50] == color).all()
    assert 190 < GUTTER < 230


def test_grid_keeps_pixels_and_order():
    images = torch.randint(256, (4, 3, 8, 8)).to(torch.uint8)
    second = grid(images, columns=2, min_side=20)[:, 2:26, 30:54]
    assert torch.equal(second[:, ::3, ::3], images[1])
    assert torch.equal(second[:, 2::3, 2::3], images[1])


def test_save_png_writes_the_pixels_and_leaves_nothing_else(tmp_path, image):
    path = tmp_path / "new" / "image.png"
    for figure in (255 - image, image):
        save_png(figure, path)
        assert np.array_equal(pixels(path), rgb(figure))
    assert list(path.parent.iterdir()) == [path]


def test_a_png_that_cannot_be_written_leaves_the_old_one(tmp_path, image):
    path = tmp_path / "image.png"
    save_png(image, path)
    with pytest.raises(TypeError, match="uint8"):
        save_png(image.float(), path)
    assert np.array_equal(pixels(path), rgb(image))
    assert list(tmp_path.iterdir()) == [path]


def test_a_png_appears_by_renaming_a_file_of_its_folder(tmp_path, image, monkeypatch):
    moves = []
    monkeypatch.setattr("zoo.atomic_files.os.replace", lambda *paths: moves.append(paths))
    save_png(image, tmp_path / "image.png")
    ((source, target),) = moves
    assert (source.parent, target) == (tmp_path, tmp_path / "image.png")
    assert np.array_equal(pixels(source), rgb(image))
    assert not target.exists()


def test_tensorboard_stores_the_pixels(tmp_path, image):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    log_image(logger, "samples/grid", image, step=7)
    logger.experiment.close()
    events = EventAccumulator(logger.log_dir).Reload()
    (event,) = events.Images("samples/grid")
    (tmp_path / "logged.png").write_bytes(event.encoded_image_string)
    assert event.step == 7
    assert np.array_equal(pixels(tmp_path / "logged.png"), rgb(image))


def test_wandb_stores_the_pixels(tmp_path, image):
    logger = WandbLogger(offline=True, save_dir=tmp_path)
    log_image(logger, "samples/grid", image, step=7)
    logger.experiment.finish()
    (written,) = tmp_path.rglob("media/images/**/*.png")
    assert np.array_equal(pixels(written), rgb(image))


def test_floats_are_not_logged(tmp_path):
    with pytest.raises(TypeError, match="uint8"):
        log_image(TensorBoardLogger(tmp_path), "samples/grid", torch.zeros(3, 8, 8), step=7)


def test_loggers_without_images_are_left_alone(tmp_path, image):
    log_image(CSVLogger(tmp_path), "samples/grid", image, step=7)
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (2, 3, 5, 7)])
def test_dequantized_images_have_separate_noise_in_each_pixel(shape):
    images = torch.zeros(shape)
    noise = dequantize(images)
    assert (noise.shape, noise.dtype) == (images.shape, images.dtype)
    assert len(noise.unique()) > 0.99 * noise.numel()
    assert not images.any()


def test_dequantisation_covers_the_bin_of_each_level_and_no_other():
    """Level k is at 2k / 255 - 1; its bin goes half way to its neighbors, 1 / 255 on each side."""
    levels = torch.arange(256, dtype=torch.float64)
    images = (levels / 127.5 - 1).expand(4000, 256)
    spread = dequantize(images)
    offsets = (spread - images) * 255  # in halves of a bin
    assert offsets.abs().max() <= 1
    assert (offsets.amax(dim=0) > 0.99).all()
    assert (offsets.amin(dim=0) < -0.99).all()
    assert offsets.mean().abs() < 0.01
    assert offsets.square().mean().item() == pytest.approx(1 / 3, rel=0.01)
    inside = offsets.abs() < 0.999  # on the edge, float32 decides
    same = to_uint8(spread) == levels.to(torch.uint8)
    assert same[inside].all()


def test_a_gif_keeps_its_frames_and_refuses_floats(tmp_path, image):
    path, video = tmp_path / "new" / "video.gif", torch.stack([image, 255 - image])
    save_gif(video, path, milliseconds=70)
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (2, 70, 0)
        for number, expected in enumerate(video):
            gif.seek(number)
            found = np.asarray(gif.convert("RGB")).astype(int)
            assert np.abs(found - rgb(expected)).max() <= (0 if len(image) == 1 else 40)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(TypeError, match="uint8"):
        save_gif(video.float(), path)
