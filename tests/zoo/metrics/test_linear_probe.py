"""Draws of labels and the SVM, by hand."""

import pytest
import torch

from zoo.config.errors import UserError
from zoo.metrics.linear_probe import gain, label_draws, svm_errors

LABELS = torch.tensor([2, 0, 1, -1] * 10)


def test_draws_are_balanced_and_without_repetition():
    for draw in label_draws(LABELS, 12, draws=3, seed=0):
        assert LABELS[draw].bincount().tolist() == [4, 4, 4]  # and none of the unlabeled
        assert len(draw.unique()) == 12


def test_draws_are_independent_and_keyed():
    draws = label_draws(LABELS, 12, draws=3, seed=0)
    assert len({tuple(draw.sort().values.tolist()) for draw in draws}) == 3
    assert torch.equal(label_draws(LABELS, 12, draws=2, seed=0), draws[:2])
    assert not torch.equal(label_draws(LABELS, 12, draws=3, seed=1), draws)


def test_a_larger_draw_holds_the_smaller_one():
    small, large = (label_draws(LABELS, count, draws=2, seed=0) for count in (6, 15))
    for few, many in zip(small, large, strict=True):
        assert set(few.tolist()) < set(many.tolist())


@pytest.mark.parametrize(
    ("count", "draws", "message"),
    [
        (10, 3, "multiple of the number of classes, 3"),
        (0, 3, "multiple"),
        (33, 3, "30 at most"),
        (3, 1, "at least 2"),
    ],
)
def test_draws_that_cannot_be_made(count, draws, message):
    with pytest.raises(UserError, match=message):
        label_draws(LABELS, count, draws, seed=0)


def line(*values):
    """Points on a line far from 0, where a small C cannot tell them apart, and their signs."""
    values = torch.tensor(values)
    return 10 + values[:, None], (values > 0).long()


def test_the_svm_finds_a_rule_with_the_c_of_the_validation_images():
    images, labels = line(-0.2, -0.1, 0.1, 0.2, 5.0, -5.0)
    labels[4:] = 1 - labels[4:]  # not drawn
    draws = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 2]])
    images_and_labels = {"train": (images, labels), "val": line(-0.3, 0.3)}
    test_images, test_labels = line(-0.4, -0.3, 0.3, 0.4)
    test_labels[0] = 1
    found = svm_errors(lambda x: x, draws, **images_and_labels, test=(test_images, test_labels))
    assert found["errors"] == [25.0, 25.0]
    assert (found["error"], found["std"], found["features"]) == (25.0, 0.0, 1)
    assert found["val_error"] == 0
    assert found["C"] > 1


def test_errors_and_their_spread_by_hand():
    """The second draw's labels are all wrong."""
    images, labels = line(-2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0)
    labels[4:] = 1 - labels[4:]
    draws = torch.arange(8).view(2, 4)
    test = line(-1.5, 1.5)
    found = svm_errors(lambda x: x - 10, draws, train=(images, labels), val=test, test=test)
    assert found["errors"] == [0.0, 100.0]
    assert (found["error"], found["std"]) == (50.0, pytest.approx(5000**0.5))
    assert found["C"] == 1e-4  # all C are equal: the smallest


@pytest.mark.filterwarnings("error")
def test_the_svm_converges_at_every_c():
    """Features of very different scale, fewer labels than features."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 60, generator=generator) * torch.logspace(-2, 1, 60)
    split = images, torch.arange(40) % 2
    svm_errors(lambda x: x, torch.arange(40).repeat(2, 1), train=split, val=split, test=split)


def test_the_gain_is_counted_draw_by_draw():
    errors = {"trained": {"errors": [1.0, 5.0]}, "pixels": {"errors": [2.0, 8.0]}}
    assert gain(errors, "pixels") == {"mean": 2.0, "std": pytest.approx(2**0.5), "wins": 2}
    errors["pixels"]["errors"] = [1.0, 4.0]
    assert gain(errors, "pixels") == {"mean": -0.5, "std": pytest.approx(0.5**0.5), "wins": 0}
