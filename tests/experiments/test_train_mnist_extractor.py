import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from datamodules.mnist import MNIST
from experiments import train_digits_extractor as digits
from experiments import train_mnist_extractor as script
from tests.datamodules.test_mnist import write_set
from zoo.metrics.extractors.mnist import WEIGHTS, Classifier


def test_shift_moves_each_image_by_at_most_two_pixels():
    image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    image[..., 3, 5] = 200
    image[..., 0, 0] = 100
    moved = digits.shift(image.expand(2000, -1, -1, -1), most=2)
    places = {tuple(place) for place in (moved[:, 0] == 200).nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in range(1, 6) for column in range(3, 8)}
    assert set(moved[:, 0, 10:].flatten().tolist()) == {0}  # what leaves does not come in opposite


def test_the_script_writes_weights_of_the_network_and_prints_accuracies(
    tmp_path, monkeypatch, capsys
):
    write_set(tmp_path, "MNIST")
    data = MNIST(root=str(tmp_path), val_count=4)
    monkeypatch.setattr(script, "MNIST", lambda root: data)
    trained = script.train(*digits.read_split("train", data), epochs=1, batch_size=8)
    assert isinstance(trained, Classifier)
    monkeypatch.setattr(script, "train", lambda images, labels, seed: trained)
    out = tmp_path / "mnist.safetensors"
    monkeypatch.setattr(sys, "argv", ["train", "--out", str(out), "--root", str(tmp_path)])
    script.main()
    printed = capsys.readouterr().out
    for split in ("val", "test"):
        accuracy = digits.accuracy(trained, *digits.read_split(split, data))
        assert f"{split} accuracy {accuracy:.4f}" in printed
    with safe_open(out, "pt") as written:
        images = digits.read_split("train", data)[0]
        assert written.metadata() == {"train_images": digits.fingerprint(images)}
        assert torch.equal(written.get_tensor("head.weight"), trained.head.weight)


@pytest.mark.skipif("ZOO_TEST_DATA" not in os.environ, reason="ZOO_TEST_DATA holds no mnist/")
def test_the_shipped_weights_were_trained_on_this_training_split():
    folder = Path(os.environ["ZOO_TEST_DATA"], "mnist")
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    images = digits.read_split("train", MNIST(root=str(folder)))[0]
    with safe_open(WEIGHTS, "pt") as weights:
        assert weights.metadata()["train_images"] == digits.fingerprint(images)
