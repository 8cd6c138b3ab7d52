import sys

import safetensors.torch
import torch
from safetensors import safe_open

from experiments import train_digits_extractor as script
from experiments.train_digits_extractor import accuracy, fingerprint, read_split, shift, train
from zoo.metrics.extractors.digits import WEIGHTS


def test_a_short_training_learns():
    extractor = train(*read_split("train"), epochs=2)
    assert not extractor.training
    assert accuracy(extractor, *read_split("test")) > 0.8


def test_training_is_a_function_of_the_seed():
    images, labels = (tensor[:256] for tensor in read_split("train"))
    runs = [train(images, labels, epochs=1, seed=seed).head.weight for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_shift_moves_each_image_by_at_most_one_pixel():
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 3, 5] = 200
    image[..., 0, 0] = 100
    moved = shift(image.expand(500, -1, -1, -1))
    places = {tuple(place) for place in (moved[:, 0] == 200).nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in (2, 3, 4) for column in (4, 5, 6)}
    assert set(moved[:, 0, 7].flatten().tolist()) == {0}  # what leaves does not come in opposite


def test_the_shipped_weights_were_trained_on_this_training_split():
    # With another split they would have seen test images, and every accuracy would look better.
    with safe_open(WEIGHTS, "pt") as weights:
        assert weights.metadata()["train_images"] == fingerprint(read_split("train")[0])


def test_accuracy_counts_the_right_ones():
    images, labels = read_split("test")
    extractor = train(images, labels, epochs=1)
    right = extractor.logits(images).argmax(dim=1)
    right[:90] = (right[:90] + 1) % 10
    assert accuracy(extractor, images, right) == 0.75


def test_the_script_writes_its_weights_and_prints_their_hash(tmp_path, monkeypatch, capsys):
    trained = train(*(tensor[:128] for tensor in read_split("train")), epochs=1)
    monkeypatch.setattr(script, "train", lambda images, labels, seed: trained)
    out = tmp_path / "digits.safetensors"
    monkeypatch.setattr(sys, "argv", ["train", "--out", str(out)])
    script.main()
    printed = capsys.readouterr().out
    assert script.hashlib.sha256(out.read_bytes()).hexdigest() in printed
    assert f"test accuracy {accuracy(trained, *read_split('test')):.4f}" in printed
    with safe_open(out, "pt") as written:
        assert written.metadata() == {"train_images": fingerprint(read_split("train")[0])}
    weights = safetensors.torch.load_file(out)
    assert torch.equal(weights["head.weight"], trained.head.weight)
