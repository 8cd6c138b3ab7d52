"""Paths, sums and neighbours against closed forms; latents are found again."""

import pytest
import torch
from scipy.stats import mannwhitneyu
from torch.nn.functional import cosine_similarity

from datamodules.digits import Digits
from zoo.metrics.nearest_neighbours import copying, neighbours
from zoo.plots.latent_paths import arithmetic, linear, neighbourhood, spherical


def angles(points):
    """Angles between the neighbours on paths (N, steps, Z), in degrees."""
    cosines = cosine_similarity(points[:, 1:].double(), points[:, :-1].double(), dim=-1)
    return cosines.clamp(-1, 1).acos().rad2deg()


def test_a_linear_path():
    path = linear(
        torch.tensor([[0.0, 1.0], [4.0, 4.0]]), torch.tensor([[2.0, -1.0], [4.0, 0.0]]), 3
    )
    assert path.tolist() == [[[0, 1], [1, 0], [2, -1]], [[4, 4], [4, 2], [4, 0]]]


def test_a_spherical_path_halves_the_angle_and_the_norm_goes_evenly():
    path = spherical(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 5.0]]), 3)
    torch.testing.assert_close(path[0, 1], torch.tensor([8.0, 8.0]).sqrt())  # of norm 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_spherical_path_has_equal_angles_in_one_plane(dtype):
    start, end = torch.randn(2, 20, 100, dtype=dtype, generator=torch.Generator().manual_seed(0))
    path = spherical(start, end, 7)
    whole = angles(torch.stack([start, end], dim=1))
    torch.testing.assert_close(angles(path), (whole / 6).expand(-1, 6), rtol=0, atol=2e-3)
    norms = path.norm(dim=-1)
    torch.testing.assert_close(norms, linear(norms[:, :1], norms[:, -1:], 7)[..., 0])
    assert torch.linalg.matrix_rank(path[0].double(), rtol=1e-4) == 2


@pytest.mark.parametrize("path", [linear, spherical])
def test_a_paths_ends_are_exact(path):
    start, end = torch.randn(2, 50, 17)
    points = path(start, end, 5)
    assert points.shape == (50, 5, 17)
    assert torch.equal(points[:, 0], start)
    assert torch.equal(points[:, -1], end)
    with pytest.raises(ValueError, match="steps=1 is too few"):
        path(start, end, 1)


@pytest.mark.parametrize("distance", [0.0, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("side", [1, -1], ids=["parallel", "opposite"])
def test_a_spherical_path_between_nearly_parallel_latents(side, distance):
    start, noise = torch.randn(2, 20, 100)
    path = spherical(start, side * start + distance * noise, 5)
    whole = 0 if side == 1 else 180
    torch.testing.assert_close(
        angles(path), torch.full((20, 4), whole / 4, dtype=torch.double), rtol=0, atol=0.1
    )
    assert (path.norm(dim=-1) / start.norm(dim=1, keepdim=True) - 1).abs().max() < 2e-3


def test_opposite_axes_have_a_path():
    path = spherical(torch.eye(3), -torch.eye(3), 3)
    assert path.norm(dim=-1).allclose(torch.ones(3, 3))
    assert (path[:, 1] * torch.eye(3)).sum(dim=1).abs().max() < 1e-6


def test_arithmetic_is_of_the_means():
    base = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]])  # mean (3, 1)
    minus = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 4.0]])  # mean (1, 2)
    plus = torch.tensor([[0.0, 9.0], [0.0, 0.0], [30.0, 0.0]])  # mean (10, 3)
    assert arithmetic(base, minus, plus).tolist() == [12, 2]


def test_the_neighbourhood_has_the_latent_in_its_middle():
    torch.manual_seed(0)
    latent = torch.randn(1000)
    around = neighbourhood(latent)
    assert around.shape == (9, 1000)
    assert torch.equal(around[4], latent)
    noise = (around - latent)[[0, 1, 2, 3, 5, 6, 7, 8]]
    assert noise.abs().max() < 0.2501
    assert noise.max() > 0.24
    assert noise.min() < -0.24
    torch.testing.assert_close(noise.std(dim=1), torch.full((8,), 0.5 / 12**0.5), rtol=0.1, atol=0)
    assert (neighbourhood(latent, 2.0) - latent).abs().max() > 1.9


@pytest.mark.parametrize("block", [1, 7, 10, 23, 1000])
def test_neighbours_are_those_of_brute_force_whatever_the_batches(block):
    generator = torch.Generator().manual_seed(0)
    references = torch.randint(3, (23, 1, 2, 2), generator=generator, dtype=torch.uint8)  # has ties
    queries = torch.randint(3, (9, 1, 2, 2), generator=generator, dtype=torch.uint8)
    distances, indices = neighbours(queries, references.split(block), 12)
    differences = queries[:, None].double() - references.double()
    brute, order = differences.flatten(2).norm(dim=2).sort(dim=1, stable=True)
    torch.testing.assert_close(distances, brute[:, :12])
    assert torch.equal(indices, order[:, :12])
    assert (brute[:, 1:13] == brute[:, :12]).any()


def test_a_copy_is_at_distance_zero_and_the_first_of_two_comes_first():
    images = torch.randint(256, (2500, 3, 16, 16), dtype=torch.uint8)
    images[2400] = images[5]
    distances, indices = neighbours(images[[5, 2000]], images, 2)
    assert distances[0].tolist() == [0, 0]
    assert indices[0].tolist() == [5, 2400]
    assert indices[1, 0] == 2000


def test_neighbours_refuse_what_they_cannot_find():
    images = torch.zeros(4, 1, 2, 2)
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k={k} nearest of 4 images"):
            neighbours(images, images, k)
    with pytest.raises(
        ValueError, match=r"samples of shape \(1, 2, 2\), but images of \(4, 1, 1\)"
    ):
        neighbours(images, torch.zeros(9, 4, 1, 1))


def test_copying_by_hand_and_by_scipy():
    share, z = copying(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]))
    assert share == 3.5 / 4  # 1 < 2, 1 < 3, 2 = 2, 2 < 3
    assert z == pytest.approx(-1.5 / (4 * 5 / 12) ** 0.5)
    generator = torch.Generator().manual_seed(0)
    one = torch.rand(300, generator=generator)
    other = torch.rand(200, generator=generator) + 0.1
    expected = mannwhitneyu(one, other, use_continuity=False, method="asymptotic")
    found = copying(one, other)
    assert found.share == pytest.approx(1 - expected.statistic / 60000)
    assert found.z < 0
    assert torch.special.erfc(torch.tensor(-found.z / 2**0.5)).item() == pytest.approx(
        expected.pvalue, rel=1e-3
    )


def test_a_generator_that_copies_training_images_is_flagged_and_test_images_are_not():
    data = Digits()
    train, test = (data.source(s)[torch.arange(len(data.source(s)))] for s in ("train", "test"))
    train, test = train["image"], test["image"]
    noise = torch.randint(0, 9, train[:300].shape, generator=torch.Generator().manual_seed(0))
    copies = (train[:300].int() + noise).clamp(max=255).to(torch.uint8)
    mixed = torch.cat([copies[:90], test[:90]])  # a half of it is copied
    held_out = neighbours(test[180:], train)[0][:, 0]

    def test_of(images):
        return copying(neighbours(images, train)[0][:, 0], held_out)

    assert test_of(copies).share > 0.99
    assert test_of(copies).z < -10
    assert test_of(mixed).z < -3
    assert abs(test_of(test[:180]).z) < 3
    assert test_of(255 - test[:180]).z > 10
