"""The pyramid of Denton et al. 2015, section 2.2."""

import pytest
import torch

from zoo.media.laplacian_pyramid import decompose, downsample, reconstruct, upsample

SHAPES = [(1, 8, 1), (1, 8, 3), (1, 28, 2), (3, 32, 2), (3, 32, 0)]


def images(count, channels, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, channels, size, size, generator=generator) - 1


@pytest.mark.parametrize(("channels", "size", "levels"), SHAPES)
def test_a_pyramid_reconstructs_its_images(channels, size, levels):
    real = images(5, channels, size)
    parts = decompose(real, levels)
    assert [len(residual[0, 0]) for residual, _ in parts] == [
        size // 2**k for k in range(levels + 1)
    ]
    again = reconstruct([residual for residual, _ in parts])
    torch.testing.assert_close(again, real, rtol=0, atol=1e-6)


def test_a_level_is_the_residual_of_the_image_half_as_large():
    real = images(2, 1, 8)
    (h0, l0), (h1, l1), (h2, l2) = decompose(real, 2)
    torch.testing.assert_close(l0, upsample(downsample(real)))
    torch.testing.assert_close(h0, real - upsample(downsample(real)))
    torch.testing.assert_close(l1, upsample(downsample(downsample(real))))
    torch.testing.assert_close(h1 + l1, downsample(real))
    torch.testing.assert_close(h2, downsample(downsample(real)))
    assert not l2.any()


def test_halving_and_doubling_by_hand():
    """Means of 2x2 pixels; a pixel is 3/4 of the nearest and 1/4 of the next, the rim repeats."""
    square = torch.tensor([[1.0, 3.0], [5.0, 7.0]])[None, None]
    assert downsample(square).item() == 4
    row = torch.tensor([0.0, 4.0]).expand(1, 1, 2, 2)
    expected = torch.tensor([0.0, 1.0, 3.0, 4.0]).expand(1, 1, 4, 4)
    torch.testing.assert_close(upsample(row), expected)


def test_without_residuals_there_is_only_the_enlarged_image():
    coarsest = images(3, 1, 4)
    enlarged = reconstruct([torch.zeros(3, 1, 16, 16), torch.zeros(3, 1, 8, 8), coarsest])
    assert torch.equal(enlarged, upsample(upsample(coarsest)))
