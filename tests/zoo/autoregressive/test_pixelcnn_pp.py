"""PixelCNN++. That it is causal and its samples exact is tested with all that draw pixels."""

import pytest
import torch

from callbacks.ema import EMA
from datamodules.digits import Digits
from tests import kit
from zoo.autoregressive import pixelcnn_pp
from zoo.autoregressive.pixelcnn_pp import PixelCNNPP
from zoo.metrics.compute import likelihood_metrics
from zoo.runs.checkpoints import load_model


def small(**settings):
    torch.manual_seed(0)
    return kit.build("pixelcnn_pp", **settings)


def test_it_has_the_authors_number_of_parameters():
    """53.66 million: 160 filters, 5 resnets at each of 3 resolutions, 10 logistics, CIFAR-10."""
    assert sum(parameter.numel() for parameter in PixelCNNPP().parameters()) == 53_659_080


@pytest.mark.parametrize("name", ["width", "layers", "resolutions", "mixtures"])
def test_there_is_at_least_one_of_each(name):
    with pytest.raises(ValueError, match=f"model.{name}=0 must be at least 1"):
        small(**{name: 0})


def test_likelihoods_are_no_numbers_of_half_precision():
    model = small(channels=3).eval()
    images = 2 * torch.rand(2, 3, 8, 8) - 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.network(images).dtype == torch.float32
        elementwise_nll = model.elementwise_nll({"image": images})
    assert elementwise_nll.dtype == torch.float32
    # What is left is the rounding of maps, none of the levels'.
    torch.testing.assert_close(
        elementwise_nll, model.elementwise_nll({"image": images}), rtol=0, atol=0.1
    )


def test_the_authors_formula_is_a_switch():
    """Where scales are the smallest it is 2.15 nats off, on each of 32 improbable pixels."""
    images = torch.full((1, 1, 8, 8), -1.0)  # edges are the same in both formulas
    images[..., ::2] = 0.5
    nll = []
    for official in (False, True):
        model = small(official=official, mixtures=10, resolutions=3).eval()
        model.network.output.b.data[20:] = -30.0  # log scales
        nll.append(model.nll({"image": images}).item())
    assert nll[1] - nll[0] == pytest.approx(32 * 2.15, abs=0.5)


def test_dropout_is_for_training():
    model = small()
    batch = {"image": torch.zeros(1, 1, 8, 8)}
    assert not torch.equal(model.train().nll(batch), model.nll(batch))
    assert torch.equal(model.eval().nll(batch), model.nll(batch))


def test_rates_and_moments_are_the_papers(tmp_path):
    model = small(lr=2.0**-20)
    run = kit.fit(model, tmp_path, 3)
    (group,) = run.optimizers[0].param_groups
    assert group["betas"] == (0.95, 0.9995)
    assert group["lr"] == pytest.approx(2.0**-20 * 0.999995**3, rel=1e-12)


def test_the_first_batch_decides_where_weights_begin_and_no_other(tmp_path, monkeypatch):
    batches, initialize = [], pixelcnn_pp.init_from_data_
    model = small(lr=0.0)

    def watched(*args):
        batches.append(model.trainer.global_step)
        initialize(*args)

    monkeypatch.setattr(pixelcnn_pp, "init_from_data_", watched)
    begin = kit.weights(model.network)
    run = kit.fit(model, tmp_path, 3)
    assert batches == [1], "before the first update"
    changed = {key.rpartition(".")[2] for key, value in begin.items()
               if not torch.equal(value, model.network.state_dict()[key])}  # fmt: skip
    assert changed == {"g", "b"}
    run.save_checkpoint(tmp_path / "model.ckpt")
    kit.fit(small(lr=0.0), tmp_path, 5, checkpoint=tmp_path / "model.ckpt")
    kit.fit(load_model(tmp_path / "model.ckpt").train(), tmp_path, 1)
    assert batches == [1], "neither a run that goes on nor a trained model begins again"


def test_averages_begin_where_the_weights_do(tmp_path):
    model = small(lr=0.0)
    kit.fit(model, tmp_path, 2, callbacks=[EMA(decay=0.5, players=("network",))])
    kit.assert_same(kit.weights(model.averages["network"]), kit.weights(model.network))


def test_it_learns(tmp_path):
    """Of 17 levels, a histogram of each pixel of the digits by itself needs 2.41 bits."""
    sizes = {"width": 12, "layers": 1, "resolutions": 2, "mixtures": 3}
    model = small(num_levels=17, dropout=0.0, lr=1e-2, **sizes)
    run = kit.fit(model, tmp_path, 60, Digits())
    numbers = likelihood_metrics(model, run.datamodule, "test")
    assert numbers["bits_per_dim_exact_levels17_test"] < 2.25
