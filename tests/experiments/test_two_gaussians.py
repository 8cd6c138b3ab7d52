"""Closed forms of the distances of two Gaussians, and networks trained between them."""

import json
import math
import sys

import pytest
import torch

from experiments import two_gaussians
from experiments.two_gaussians import CLIP, FIGURES, POINTS, divergences, scores, slopes, trained
from zoo.config.cli import main

P, Q = (-2.0, 0.5), (2.0, 0.5)
MEANS = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize(("distance", "std"), [(0.5, 1), (3, 1), (1, 0.1)])
def test_kl_and_wasserstein_are_closed_forms(distance, std):
    found = divergences(distance, std)
    assert found["KL"] == pytest.approx(distance**2 / (2 * std**2), rel=1e-6)
    assert found["W1"] == distance
    # The integral of |F - G|, the Wasserstein-1 distance on the line.
    normal = torch.distributions.Normal(0, 1)
    gap = (normal.cdf(POINTS / std) - normal.cdf((POINTS - distance) / std)).abs()
    assert two_gaussians.integral(gap) == pytest.approx(distance, rel=1e-6)


def test_js_is_at_most_ln_2():
    assert divergences(0, 1)["JS"] == pytest.approx(0, abs=1e-12)
    assert divergences(12, 1)["JS"] == pytest.approx(math.log(2), abs=1e-6)
    # Small shifts: JS = distance² / 8 of a unit Gaussian, a quarter of the KL divergence.
    assert divergences(0.01, 1)["JS"] == pytest.approx(0.01**2 / 8, rel=1e-3)


def test_a_trained_discriminator_has_the_optimal_logit():
    torch.manual_seed(0)
    network = trained("gan", (-0.5, 1), (0.5, 1), steps=300)
    points = torch.linspace(-1, 1, 5, dtype=torch.float64)
    assert scores(network, points) == pytest.approx(-points, abs=0.25)  # log p - log q


@pytest.mark.parametrize("name", ["wgan", "wgan_gp", "sngan"])
def test_critics_are_higher_at_the_data(name):
    torch.manual_seed(0)
    at_p, center, at_q = scores(trained(name, P, Q, steps=150), MEANS)
    assert at_p > center > at_q


def test_a_clipped_critic_and_a_spectrally_normalized_one():
    torch.manual_seed(0)
    clipped = trained("wgan", P, Q, steps=20)
    assert max(parameter.abs().max() for parameter in clipped.parameters()) <= CLIP
    assert slopes(trained("sngan", P, Q, steps=100), POINTS).max() < 1.01
    assert slopes(trained("gan", P, Q, steps=100), POINTS).max() > 1.2


def test_slopes_are_derivatives():
    torch.manual_seed(0)
    network = trained("gan", P, Q, steps=1)
    step = 1e-2
    difference = scores(network, MEANS + step) - scores(network, MEANS - step)
    assert slopes(network, MEANS) == pytest.approx(difference.abs() / (2 * step), abs=2e-3)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["two_gaussians", *arguments])
    main(two_gaussians.draw)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure(figure, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    file = tmp_path / "figure.png"
    command(monkeypatch, f"figure={figure}", "steps=2", f"out={file}")
    assert file.read_bytes().startswith(b"\x89PNG")
    numbers = json.loads(capsys.readouterr().out)
    assert all(math.isfinite(value) for row in numbers.values() for value in row.values())


def test_an_unknown_figure_is_one_message(monkeypatch):
    with pytest.raises(SystemExit, match=r"There is no figure=slope\. Did you mean slopes"):
        command(monkeypatch, "figure=slope")
