import pytest
import torch

from datamodules.digits import Digits
from experiments.label_baselines import errors_of, label_baselines, summary


def test_more_labels_make_fewer_errors():
    few, many = errors_of(Digits(labels=20)), errors_of(Digits(labels=500))
    for name, error in few.items():
        assert 10 < error < 60, name
        assert many[name] < 10, name


def test_only_the_labeled_images_are_learned(monkeypatch):
    data = Digits(labels=10)
    error = errors_of(data)
    source = data.source("train").source
    others = torch.ones(len(source), dtype=torch.bool)
    others[data.source("train").chosen[data.labeled_positions()]] = False
    source.images[others] = 0
    assert errors_of(data) == error


def test_each_draw_has_separate_labels(capsys):
    errors = label_baselines(labels=10, draws=3)
    assert len(set(errors["svm_rbf"])) == 3
    assert '"nearest_neighbor"' in capsys.readouterr().out
    result = summary([10.0, 20.0])
    assert (result["error"], result["std"]) == (15.0, pytest.approx(50**0.5))
