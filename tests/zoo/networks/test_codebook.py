"""The codebook of a VQ-VAE: nearest vectors, averages by hand, the order of codes."""

import pytest
import torch

from zoo.networks.codebook import Codebook, straight_through


def codebook(*vectors):
    made = Codebook(len(vectors), len(vectors[0]))
    made.vectors.copy_(torch.tensor(vectors))
    return made


def maps(*outputs):
    """(1, Z, 1, M) of M outputs (Z,)."""
    return torch.tensor(outputs).T[None, :, None]


def test_the_gradient_is_copied_exactly():
    encoded = torch.randn(2, 3, 4, 4, requires_grad=True)
    quantized = torch.randn(2, 3, 4, 4)
    result = straight_through(encoded, quantized)
    torch.testing.assert_close(result, quantized)
    wanted = torch.randn_like(quantized)
    result.backward(wanted)
    assert torch.equal(encoded.grad, wanted)


def test_codes_are_those_of_the_nearest_vectors():
    book = codebook([0.0, 0.0], [10.0, 0.0], [0.0, -1.0])
    codes = book.nearest(maps([4.9, 0.0], [5.1, 0.0], [0.1, -0.6], [0.1, -0.4]))
    assert codes.tolist() == [[[0, 1, 2, 0]]]
    assert book(codes)[0, :, 0].T.tolist() == [[0, 0], [10, 0], [0, -1], [0, 0]]


def test_the_distance_is_exact_under_autocast():
    """In bfloat16, 100.25 and 100 would be equal."""
    book = codebook([100.0, 0.0], [100.5, 0.0])
    with torch.autocast("cpu", torch.bfloat16):
        assert book.nearest(maps([100.3, 0.0], [100.2, 0.0])).tolist() == [[[1, 0]]]


def test_averages_by_hand():
    """Two outputs on code 0, none on code 1, which keeps its vector, and loses usage."""
    book = codebook([1.0, 0.0], [5.0, 5.0], [7.0, 7.0])
    book.usage.copy_(torch.tensor([4.0, 2.0, 0.0]))
    encoded = maps([0.0, 1.0], [2.0, 3.0])
    sums = book.sums(encoded, torch.tensor([[[0, 0]]]))
    assert sums.tolist() == [[2, 2, 4], [0, 0, 0], [0, 0, 0]]
    book.update_(sums, decay=0.75)
    # usage 0.75 * 4 + 0.25 * 2; vector (0.75 * 4 * (1, 0) + 0.25 * (2, 4)) / 3.5
    torch.testing.assert_close(book.usage, torch.tensor([3.5, 1.5, 0.0]))
    torch.testing.assert_close(book.vectors[0], torch.tensor([1.0, 2 / 7]))
    assert book.vectors[1:].tolist() == [[5, 5], [7, 7]]


def test_a_replaced_code_begins_anew():
    """Its old average has no effect on the next update."""
    book = codebook([1.0], [5.0])
    book.usage.copy_(torch.tensor([8.0, 0.1]))
    book.replace_(torch.tensor([False, True]), torch.tensor([[3.0]]), 2.0)
    assert book.vectors.tolist() == [[1], [3]]
    assert book.usage.tolist() == [8, 2]
    book.update_(torch.tensor([[0.0, 0.0], [2.0, 10.0]]), decay=0.5)
    torch.testing.assert_close(book.vectors[1], torch.tensor([4.0]))


def test_averages_stay_precise_in_half_precision():
    book = Codebook(4, 2).to(torch.bfloat16)
    assert book.vectors.dtype == book.usage.dtype == torch.float32


def test_standardized_vectors():
    book = codebook([1.0, 5.0], [3.0, 5.0], [5.0, 11.0])
    standardized = book.standardized()
    assert standardized.mean(dim=0).abs().max() < 1e-6
    assert standardized.square().mean().item() == pytest.approx(1)
    assert codebook([2.0], [2.0]).standardized().tolist() == [[0], [0]]


@pytest.mark.parametrize("direction", [(2.0, 1.0), (-1.0, 3.0)])
def test_codes_are_sorted_along_the_principal_component(direction):
    places = torch.tensor([3.0, -2.0, 0.5, 1.0])
    across = torch.tensor([-direction[1], direction[0]])
    noise = torch.tensor([0.1, -0.1, 0.1, -0.1])
    vectors = places[:, None] * torch.tensor(direction) + noise[:, None] * across
    book = codebook(*vectors.tolist())
    order = book.order()
    assert order.tolist() == [1, 2, 3, 0], "the largest component is positive"
    book.vectors.copy_(-vectors)
    assert book.order().tolist() == [0, 3, 2, 1]
