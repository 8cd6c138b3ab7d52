"""Nearest neighbors against brute force, and the test of data-copying."""

import pytest
import torch
from scipy.stats import mannwhitneyu

from datamodules.digits import Digits
from datamodules.loading.sources import InMemoryImages
from zoo.metrics.nearest_neighbors import MAX_HELD_OUT, copying, held_out_images, neighbors


@pytest.mark.parametrize("block", [1, 7, 10, 23, 1000])
def test_neighbors_are_those_of_brute_force_whatever_the_batches(block):
    generator = torch.Generator().manual_seed(0)
    references = torch.randint(3, (23, 1, 2, 2), generator=generator, dtype=torch.uint8)  # has ties
    queries = torch.randint(3, (9, 1, 2, 2), generator=generator, dtype=torch.uint8)
    distances, indices = neighbors(queries, references.split(block), 12)
    differences = queries[:, None].double() - references.double()
    brute, order = differences.flatten(2).norm(dim=2).sort(dim=1, stable=True)
    torch.testing.assert_close(distances, brute[:, :12])
    assert torch.equal(indices, order[:, :12])
    assert (brute[:, 1:13] == brute[:, :12]).any()


def test_a_copy_is_at_distance_zero_and_the_first_of_two_comes_first():
    images = torch.randint(256, (2500, 3, 16, 16), dtype=torch.uint8)
    images[2400] = images[5]
    distances, indices = neighbors(images[[5, 2000]], images, 2)
    assert distances[0].tolist() == [0, 0]
    assert indices[0].tolist() == [5, 2400]
    assert indices[1, 0] == 2000


def test_neighbors_refuse_what_they_cannot_find():
    images = torch.zeros(4, 1, 2, 2)
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k={k} nearest of 4 images"):
            neighbors(images, images, k)
    with pytest.raises(
        ValueError, match=r"samples of shape \(1, 2, 2\), but images of \(4, 1, 1\)"
    ):
        neighbors(images, torch.zeros(9, 4, 1, 1))


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
    held_out = neighbors(test[180:], train)[0][:, 0]

    def test_of(images):
        return copying(neighbors(images, train)[0][:, 0], held_out)

    assert test_of(copies).share > 0.99
    assert test_of(copies).z < -10
    assert test_of(mixed).z < -3
    assert abs(test_of(test[:180]).z) < 3
    assert test_of(255 - test[:180]).z > 10


def test_held_out_images_are_not_the_first_ones():
    """The first half of the test images of MNIST differs from the second."""
    values = torch.arange(3000).view(-1, 1, 1, 1)

    def source(count):
        return InMemoryImages(values[:count], torch.zeros(count, dtype=torch.int64))

    chosen = held_out_images(source(3000)).flatten()
    assert len(chosen.unique()) == MAX_HELD_OUT
    assert 1300 < chosen.double().mean() < 1700
    assert torch.equal(chosen, held_out_images(source(3000)).flatten()), "a fixed selection"
    assert len(held_out_images(source(7))) == 7
