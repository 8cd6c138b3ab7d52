import math

import pytest
import torch
from PIL import Image
from torch import nn

from callbacks.metrics import Metrics
from callbacks.samples import Samples
from datamodules.gaussians import SIDE, Gaussians
from tests import kit
from zoo.adversarial.wgan import WGAN
from zoo.metrics.features import Features
from zoo.metrics.mode_coverage import modes


def modes_of(data, points):
    return modes(points.flatten(1), *data.mixture)


def everything(data, split="train"):
    return data.source(split)[torch.arange(len(data.source(split)))]


@pytest.mark.parametrize(
    ("layout", "classes", "sigma", "scale"), [("ring", 8, 0.02, 0.4), ("grid", 25, 0.05, 0.2)]
)
def test_the_mixture_is_the_papers_scaled_by_one_factor(layout, classes, sigma, scale):
    data = Gaussians(layout, count=50_000, val_count=0)
    batch = everything(data)
    points, labels = batch["image"].flatten(1).double(), batch["label"]
    assert (data.classes, labels.min(), labels.max()) == (classes, 0, classes - 1)
    for mode in range(classes):
        own = points[labels == mode] / scale
        assert len(own) == pytest.approx(50_000 / classes, rel=0.1)
        tolerance = 5 * sigma / math.sqrt(len(own))
        assert torch.allclose(own.mean(dim=0), data.centers[mode] / scale, rtol=0, atol=tolerance)
        assert own.std(dim=0).tolist() == pytest.approx([sigma, sigma], rel=0.1)
    assert points.abs().max() < 1


def test_the_ring_has_radius_2_and_the_grid_steps_of_2():
    ring, grid = Gaussians("ring").centers / 0.4, Gaussians("grid").centers / 0.2
    assert torch.allclose(ring.norm(dim=1), torch.full((8,), 2.0, dtype=torch.float64))
    gaps = (ring - ring.roll(1, dims=0)).norm(dim=1)
    assert gaps.tolist() == pytest.approx([4 * math.sin(math.pi / 8)] * 8)
    expected = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {tuple(round(v, 9) for v in center) for center in grid.tolist()} == expected


def test_models_and_loader_get_the_same_float_points():
    data = Gaussians(batch_size=16, count=1000, val_count=100)
    assert (data.image_channels, data.image_size, data.name) == (2, 1, "gaussians")
    raw = next(iter(data.loader("test", 500)))
    assert raw["image"].shape == (500, 2, 1, 1)
    assert raw["image"].dtype == torch.float32
    assert raw["image"].abs().max() > 0.5
    given = data.on_after_batch_transfer(dict(raw), 0)
    assert torch.equal(given["image"], raw["image"])
    assert torch.equal(data.denormalize(raw["image"]), raw["image"])
    assert set(given) == {"image", "label", "index"}
    train = next(iter(data.train_dataloader()))
    assert torch.equal(train["image"], everything(data)["image"][train["index"]])


def test_the_points_have_the_type_of_the_model(tmp_path):
    seen = []

    class Noting(Points):
        def critic_loss(self, real):
            seen.append(real)
            return super().critic_loss(real)

    data = Gaussians(count=1000, val_count=0)
    kit.fit(points(Noting).double(), tmp_path, 1, data)
    kit.fit(points(Noting), tmp_path, 1, Gaussians(count=1000, val_count=0))
    assert [batch.dtype for batch in seen] == [torch.float64, torch.float32]
    assert seen[0].shape == (256, 2, 1, 1)


def test_splits_depend_only_on_the_split_seed(monkeypatch):
    def drawn(split, split_seed=0):
        data = Gaussians(count=10_000, val_count=10, split_seed=split_seed)
        return everything(data, split)["image"]

    first = {split: drawn(split) for split in ("train", "val", "test")}
    assert [len(part) for part in first.values()] == [9_990, 10, 10_000]
    rows = torch.cat(list(first.values())).flatten(1)
    assert len(rows.unique(dim=0)) == 20_000, "no point is in two splits"
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    torch.manual_seed(7)
    assert torch.equal(drawn("test"), first["test"])
    assert not torch.equal(drawn("test", 1), first["test"])


def test_real_points_are_measured_as_the_mixture():
    for layout, classes in (("ring", 8), ("grid", 25)):
        data = Gaussians(layout)
        numbers = modes_of(data, everything(data, "test")["image"])
        assert numbers["modes_covered_3sigma"] == classes
        assert numbers["high_quality_3sigma"] == pytest.approx(1 - math.exp(-4.5), abs=4e-3)
        assert numbers["reverse_kl_3sigma"] < 5e-3


def test_a_picture_shows_where_the_samples_are():
    data = Gaussians()
    empty = data.figure(torch.zeros(0, 2, 1, 1)).int()
    samples = torch.tensor([[0.5, 0.25]] * 5000 + [[-0.5, -0.25]]).view(-1, 2, 1, 1)
    figure = data.figure(samples)
    assert figure.dtype == torch.uint8
    assert figure.shape == (3, SIDE, SIDE)
    changed = (figure.int() - empty).abs().sum(dim=0).nonzero()  # (row, column)
    many = torch.tensor([SIDE * 0.375, SIDE * 0.75])  # y = 0.25 is above the middle
    one = torch.tensor([SIDE * 0.625, SIDE * 0.25])
    near = [((changed - place).abs() <= 2).all(dim=1) for place in (many, one)]
    assert [int(some.sum()) for some in near] == [9, 9], "dots of 3 x 3"
    assert len(changed) == 18
    darkness = [int(255 * 3 - figure[:, r, c].sum()) for r, c in changed.tolist()]
    darkest, lightest = max(darkness), min(darkness)
    assert darkest > 1.5 * lightest
    assert lightest > 100, "a lone sample is seen"


def test_a_picture_has_a_circle_of_3_sigma_around_each_center():
    data = Gaussians("grid")
    data.centers[0] = torch.tensor([0.5, -0.7])  # or up and down, x and y could be mixed up
    line = (data.figure(torch.zeros(0, 2, 1, 1))[0] < 255).nonzero().double()
    points = (line + 0.5) / SIDE * 2 - 1
    points = torch.stack([points[:, 1], -points[:, 0]], dim=1)
    distance, nearest = torch.cdist(points, data.centers).min(dim=1)
    assert (distance / data.sigma - 3).abs().max() < 0.3
    assert len(nearest.unique()) == 25


def test_samples_from_outside_lie_on_the_border_of_a_picture():
    data = Gaussians()
    samples = torch.tensor([[5.0, 0.0], [0.0, -9.0]]).view(2, 2, 1, 1)
    figure = data.figure(samples).sum(dim=0)
    assert figure[SIDE // 2, -1] < 765
    assert figure[-1, SIDE // 2] < 765
    with pytest.raises(ValueError, match="contain NaN"):
        data.figure(samples * math.nan)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"data.layout='circle': choose ring or grid"):
        Gaussians("circle")
    with pytest.raises(ValueError, match=r"val_count=10000 must be from 0 to 49"):
        Gaussians(count=50).source("train")


def mlp(features, outputs):
    hidden = [nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(128, outputs))


class Points(WGAN):
    """WGAN of points in the plane."""

    def build_generator(self):
        return nn.Sequential(mlp(self.hparams.latent_dim, 2), nn.Unflatten(1, (2, 1, 1)))

    def build_critic(self):
        return nn.Sequential(nn.Flatten(), mlp(2, 1), nn.Flatten(0))


def points(cls, **parameters):
    torch.manual_seed(0)
    return cls(image_size=1, image_channels=2, latent_dim=2, **parameters)


def test_the_callbacks_measure_and_draw_points(tmp_path):
    model, data = points(Points), Gaussians(count=1000, val_count=0)
    callbacks = [Metrics(every=0, count=200, metrics=["fid"]), Samples(every=0, count=100)]
    kit.fit(model, tmp_path, 1, data, callbacks=callbacks)
    test = Features(everything(data, "test")["image"].flatten(1), None).part(200)
    for name, value in modes_of(data, test.values).items():
        assert model.results[f"test/real_{name}_200"] == {1: value}
    assert list(model.results["val/modes_covered_3sigma_200"]) == [0, 1]
    assert list(model.results["val/fid_pixels_200"]) == [0, 1]
    figure = Image.open(tmp_path / "samples/0000001.png")
    assert figure.size == (SIDE, SIDE)


def test_a_wgan_finds_modes_that_it_did_not_know(tmp_path):
    data, model = Gaussians(), points(Points, lr=5e-4, clip=0.1)
    latent = torch.randn(2500, 2, generator=torch.Generator().manual_seed(1))

    def measure():
        with torch.no_grad():
            return modes_of(data, model.sample(2500, {"latent": latent}))

    assert measure()["modes_covered_3sigma"] == 0
    kit.fit(model, tmp_path, 1500, data)
    trained = measure()
    assert trained["modes_covered_3sigma"] >= 4
    assert trained["high_quality_3sigma"] > 0.02
