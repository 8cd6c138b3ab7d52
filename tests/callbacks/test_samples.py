"""Grids on the training clock, on disk and in every logger."""

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.samples import Samples
from tests import kit
from zoo.config.errors import UserError


def test_a_grid_every_n_batches_and_at_the_end(tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 7, callbacks=[Samples(every=3, count=4)])
    files = sorted(file.name for file in (tmp_path / "samples").iterdir())
    assert files == ["0000003.png", "0000006.png", "0000007.png"]
    pixels = np.asarray(Image.open(tmp_path / "samples/0000007.png"))
    assert min(pixels.shape[:2]) >= 2 * 48, "small images are enlarged"
    assert pixels.std() > 0


def test_a_second_run_of_equal_length_is_sampled_as_well(tmp_path):
    samples = Samples(every=0, count=4)
    for name in ("one", "two"):
        kit.fit(kit.build("wgan"), tmp_path / name, 2, callbacks=[samples])
        assert (tmp_path / name / "samples/0000002.png").exists()


def test_the_latents_are_the_same_each_time(tmp_path):
    model = kit.build("wgan", lr=0.0)
    model.generator = kit.generator_without_statistics()
    kit.fit(model, tmp_path, 4, callbacks=[Samples(every=2, count=4)])
    one, other = (tmp_path / f"samples/000000{batch}.png" for batch in (2, 4))
    assert np.asarray(Image.open(one)).std() > 0
    assert one.read_bytes() == other.read_bytes()


def test_a_logger_that_takes_images_gets_them(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    kit.fit(kit.build("wgan"), tmp_path, 3, logger=logger, callbacks=[Samples(every=2, count=4)])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [image.step for image in events.Images("samples")] == [2, 3]


def test_the_models_own_pictures_lie_beside_the_samples(tmp_path):
    model, samples = kit.build("wgan"), []

    def figures(data):
        samples.append((data.name, model.training, torch.rand(1).item()))
        return {"codes": torch.full((3, 2, 2), 7, dtype=torch.uint8)}

    model.figures = figures
    kit.fit(model, tmp_path, 4, callbacks=[Samples(every=2, count=4)])
    assert np.asarray(Image.open(tmp_path / "samples/0000004_codes.png")).max() == 7
    assert samples[0] == samples[1], "the same draws each time"
    assert samples[0][:2] == ("kit", False)
    kit.fit(model, tmp_path / "more", 2, callbacks=[Samples(every=2, count=9)])
    assert samples[-1] == samples[0], "however many samples there are"


def test_a_film_is_a_gif(tmp_path):
    model = kit.build("wgan")
    video = torch.arange(0, 250, 50, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 8, 6)
    model.figures = lambda data: {"video": video}
    kit.fit(model, tmp_path, 1, callbacks=[Samples(every=1, count=4)])
    with Image.open(tmp_path / "samples/0000001_video.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (
            5,
            (6, 8),
            250,
            0,
        )
        for number in range(5):
            gif.seek(number)
            assert np.asarray(gif.convert("L")).flatten().tolist() == [50 * number] * 48
    assert len(list((tmp_path / "samples").iterdir())) == 2


def test_a_model_that_needs_images_is_refused_before_the_first_batch(tmp_path):
    class Untested(kit.Toy):
        def load(self, split):
            images, labels = super().load(split)
            return (images[:0], labels[:0]) if split == "test" else (images, labels)

    model = kit.build("quadrant_vae")
    before = kit.weights(model)
    with pytest.raises(UserError, match="needs image to sample"):
        kit.fit(model, tmp_path, 2, Untested(), callbacks=[Samples(every=1)])
    kit.assert_same(kit.weights(model), before)
