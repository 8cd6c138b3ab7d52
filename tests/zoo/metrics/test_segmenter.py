import pytest
import torch

from zoo.metrics.segmenter import segmentation_scores, train_segmenter


def test_scores_by_hand():
    """Of class 0 three pixels, of which two are seen; of class 1 one, which is seen, as is another.

    IoU 2/3 and 1/2; of all pixels 3/4, of the classes' 2/3 and 1.
    """
    labels, seen = torch.tensor([[[0, 0], [0, 1]]]), torch.tensor([[[0, 0], [1, 1]]])
    scores = segmentation_scores(seen, labels, 2)
    assert scores["iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores["accuracy_pixel"] == pytest.approx(3 / 4)
    assert scores["accuracy_class"] == pytest.approx((2 / 3 + 1) / 2)
    assert set(segmentation_scores(labels, labels, 2).values()) == {1.0}


def stripes(count=40):
    """Halves of light and of dark noise, and which is which."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(count, 16, 16, dtype=torch.int64)
    labels[::2, :8], labels[1::2, :, 8:] = 1, 1
    noise = torch.randint(40, labels.shape, generator=generator)
    return (100 + 60 * labels + noise).to(torch.uint8)[:, None], labels


def test_it_learns_what_pixels_are_of_and_is_the_same_again():
    images, labels = stripes()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    network = train_segmenter(images, labels, 2, batches=40)
    assert torch.equal(torch.get_rng_state(), state)
    assert segmentation_scores(network(images).argmax(dim=1), labels, 2)["iou"] > 0.9
    torch.manual_seed(2)
    with torch.no_grad():  # as in `evaluating`
        again = train_segmenter(images, labels, 2, batches=40)
    assert torch.equal(again(images), network(images))
    assert not network.training
