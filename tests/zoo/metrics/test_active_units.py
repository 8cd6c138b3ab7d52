import warnings
from types import SimpleNamespace

import pytest
import torch

from zoo.metrics.active_units import active_units, count_active


def measured(means, batch=None):
    """active_units of a model whose posterior has these means (N, 20), after `batch` batches."""
    trainer = None if batch is None else SimpleNamespace(global_step=batch)
    model = SimpleNamespace(
        posterior=lambda part: SimpleNamespace(mean=part["image"]),
        hparams=SimpleNamespace(latent_dim=20),
        _trainer=trainer,
    )
    data = SimpleNamespace(
        loader=lambda split: [{"image": part} for part in means.split(30)] if len(means) else [],
        prepare_batch=lambda part, model: part,
    )
    return active_units(model, data, "val")


def test_units_whose_mean_varies_are_active():
    means = torch.randn(100, 20).double()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measured(means, batch=5) == {"active_units_val": 20}
    means[:, 2:] *= 0.01
    with pytest.warns(UserWarning, match="Posterior collapse: 2 of 20"):
        assert measured(means, batch=5) == {"active_units_val": 2}


def test_the_threshold_is_a_variance_of_0_01():
    means = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]) * torch.tensor([0.099, 0.101])
    assert count_active(means) == 1


def test_a_loaded_model_is_warned_of_and_an_untrained_one_is_not():
    means = torch.zeros(9, 20)
    with pytest.warns(UserWarning, match="Posterior collapse: 0 of 20"):
        measured(means)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measured(means, batch=0) == {"active_units_val": 0}
    assert measured(torch.zeros(0, 20)) == {}
