"""Where latents are attributes, arithmetic succeeds always, and without it never."""

import torch

from datamodules.shapes import COLORS, SHAPES
from experiments import arithmetic_shapes as experiment

KINDS = len(SHAPES)


def read(latents):
    """Latents are a shape's and a color's indicator and noise: the largest entries win."""
    return latents[:, :KINDS].argmax(dim=1), latents[:, KINDS : KINDS + len(COLORS)].argmax(dim=1)


def additive(noise):
    shape, color = torch.randint(KINDS, (600,)), torch.randint(len(COLORS), (600,))
    latents = torch.cat([torch.eye(KINDS)[shape], torch.eye(len(COLORS))[color]], dim=1)
    return latents + noise * torch.randn_like(latents)


def test_sums_of_additive_latents_have_the_shape_and_the_color_of_the_target():
    latents = additive(0.0)
    found = experiment.success(latents, experiment.cells_of(*read(latents)), read, 3, 200)
    assert found == {"shape": 1, "color": 1, "base_shape": 1, "base_color": 0, "trials": 200}


def test_with_noise_more_exemplars_succeed_more_often():
    latents = additive(0.5)
    cells = experiment.cells_of(*read(latents))
    found = [experiment.success(latents, cells, read, n, 400)["color"] for n in (1, 3, 10)]
    assert 0.25 < found[0] < found[1] - 0.05 < found[2] - 0.1


def test_trials_without_enough_exemplars_are_left_out():
    latents = additive(0.0)
    cells = experiment.cells_of(*read(latents))
    cells[0, 0] = cells[0, 0][:2]
    assert experiment.success(latents, cells, read, 3, 200)["trials"] < 200


def test_cells_hold_each_sample_once():
    shape, color = read(additive(0.5))
    cells = experiment.cells_of(shape, color)
    assert len(cells) == KINDS * len(COLORS)
    assert sorted(torch.cat(list(cells.values())).tolist()) == list(range(600))
    assert all((shape[places] == s).all() for (s, _), places in cells.items())


def test_samples_that_are_all_alike_serve_no_trial():
    latents = torch.eye(KINDS + len(COLORS))[[0]].repeat(100, 1)
    cells = experiment.cells_of(*read(latents))
    assert experiment.success(latents, cells, read, 3, 200) == {"trials": 0}
