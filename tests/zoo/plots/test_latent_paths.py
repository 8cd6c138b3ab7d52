"""Paths between latents, and sums of them, against closed forms."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from zoo.plots.latent_paths import arithmetic, linear, neighborhood, spherical


def angles(points):
    """Angles between the neighbors on paths (N, path_points, Z), in degrees."""
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
    with pytest.raises(ValueError, match="path_points=1 must be at least 2"):
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


def test_the_neighborhood_has_the_latent_in_its_middle():
    torch.manual_seed(0)
    latent = torch.randn(1000)
    around = neighborhood(latent)
    assert around.shape == (9, 1000)
    assert torch.equal(around[4], latent)
    noise = (around - latent)[[0, 1, 2, 3, 5, 6, 7, 8]]
    assert noise.abs().max() < 0.2501
    assert noise.max() > 0.24
    assert noise.min() < -0.24
    torch.testing.assert_close(noise.std(dim=1), torch.full((8,), 0.5 / 12**0.5), rtol=0.1, atol=0)
    assert (neighborhood(latent, 2.0) - latent).abs().max() > 1.9
