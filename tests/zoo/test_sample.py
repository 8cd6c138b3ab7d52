"""Images are drawn alike by any number of processes, and written as asked."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import zoo
from tests import kit
from zoo.sample import draw, sample


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 99, 100, 250])
def test_the_drawn_images_do_not_depend_on_the_processes(processes, count):
    model = kit.build("wgan")
    with model.evaluating():
        whole = torch.cat(list(draw(model, count, seed=3)))
        shards = [list(draw(model, count, 3, None, r, processes)) for r in range(processes)]
    assert whole.shape == (count, 1, 8, 8)
    assert whole.dtype == torch.uint8
    if count > 100:
        assert not torch.equal(whole[:50], whole[100:150]), "each chunk has noise of its own"
    chunks = max(map(len, shards))
    woven = [s[chunk] for chunk in range(chunks) for s in shards if chunk < len(s)]
    assert torch.equal(whole, torch.cat(woven))


def test_draw_passes_each_chunk_its_conditions():
    class Labelled(type(kit.build("wgan"))):
        def sample(self, count, given=None):
            assert len(given["label"]) == count
            return given["label"].view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 200 - 0.5

    model = Labelled(image_size=8, image_channels=1, width=4)
    with model.evaluating():
        images = torch.cat(list(draw(model, 150, given={"label": torch.arange(150)})))
    assert images[:, 0, 0, 0].unique().numel() > 90


def test_sample_writes_a_grid(run, tmp_path, call, capsys):
    call(sample, f"checkpoint={run}", "count=9", f"out={tmp_path / 'grid'}")
    assert Image.open(tmp_path / "grid.png").size[0] >= 3 * 48
    assert f"9 images in {tmp_path / 'grid'}.png" in capsys.readouterr().out


def test_sample_writes_separate_images_that_are_the_drawn_ones(run, tmp_path, call):
    out = tmp_path / "images"
    call(sample, f"checkpoint={run}", "count=120", f"out={out}", "separate=true")
    files = sorted(out.iterdir())
    assert len(files) == 120
    model = zoo.load(run)
    with model.evaluating():
        images = torch.cat(list(draw(model, 120)))
    assert np.array_equal(np.asarray(Image.open(files[110])), images[110, 0].numpy())


def test_seeds_differ(run, tmp_path, call):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        call(sample, f"checkpoint={run}", f"seed={seed}", f"out={tmp_path / name}")
    one, again, other = ((tmp_path / f"{n}.png").read_bytes() for n in ("one", "again", "other"))
    assert one == again != other


def test_a_condition_that_the_model_does_not_take_is_refused(run, tmp_path, call):
    with pytest.raises(SystemExit, match="WGAN takes no label: it is trained on image"):
        call(sample, f"checkpoint={run}", "label=3")
    save_file({"text": torch.zeros(2, 3)}, tmp_path / "batch.safetensors")
    with pytest.raises(SystemExit, match="takes no text"):
        call(sample, f"checkpoint={run}", f"given={tmp_path / 'batch.safetensors'}")
