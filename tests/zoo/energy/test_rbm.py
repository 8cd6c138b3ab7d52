"""RBM: free energy, log Z, gradients and chains against sums over all states of small machines."""

import copy
import math
from itertools import product

import pytest
import torch
from pytorch_lightning import Callback
from torch.nn.functional import cosine_similarity

from datamodules.digits import Digits
from tests import kit
from tests.test_contract import global_draws
from zoo.config.errors import UserError
from zoo.networks.rbm import Units

DOUBLE = torch.float64


def states(count):
    return torch.tensor(list(product([0.0, 1.0], repeat=count)), dtype=DOUBLE)


def perturbed(**settings):
    """An RBM of 4 pixels and 3 hidden units with large weights, in float64."""
    torch.manual_seed(0)
    model = kit.build("rbm", 2, width=3, **settings).double()
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter)
    model.base_logits += torch.tensor([0.5, -0.5, 1.0, 0.0])
    return model


def images(visible):
    return {"image": 2 * visible.view(-1, 1, 2, 2) - 1}


def energies(units):
    """-E(v, h) of all pairs, (16, 8), by the definition."""
    visible, hidden = states(4), states(3)
    pairs = hidden @ units.weight @ visible.T
    return (pairs + (hidden @ units.hidden_bias)[:, None] + visible @ units.visible_bias).T


def test_free_energy_and_conditionals_are_sums_over_hidden_units():
    units = perturbed().units
    joint = energies(units)
    torch.testing.assert_close(units(states(4)), -joint.logsumexp(dim=1))
    given_visible = joint.softmax(dim=1) @ states(3)  # p(h_j = 1 | v)
    torch.testing.assert_close(units.hidden_logits(states(4)).sigmoid(), given_visible)
    given_hidden = joint.softmax(dim=0).T @ states(4)
    torch.testing.assert_close(units.visible_logits(states(3)).sigmoid(), given_hidden)


def test_log_z_is_exact_and_probabilities_sum_to_one():
    model = perturbed()
    expected = energies(model.units).flatten().logsumexp(dim=0)
    torch.testing.assert_close(model.units.exact_log_z(), expected)
    nll = model.estimates()["exact"](images(states(4)))
    torch.testing.assert_close((-nll).exp().sum().item(), 1.0)
    torch.testing.assert_close(nll, model.nll(images(states(4))))


def test_log_z_of_sixteen_hidden_units_in_chunks():
    torch.manual_seed(0)
    units = Units(3, 16).double()
    for parameter in units.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    expected = (-units(states(3))).logsumexp(dim=0)  # over visible units
    torch.testing.assert_close(units.exact_log_z(), expected)


def test_both_estimates_of_log_z_are_near_the_exact_one():
    model = perturbed(ais_steps=100, sampling_steps=100)
    found = model.log_zs()
    assert list(found) == ["exact", "ais_forward_100", "ais_reverse_100"]
    for value in found.values():
        torch.testing.assert_close(value, found["exact"], rtol=0, atol=0.06)


def test_the_densities_of_annealing_end_at_the_base_rates_and_at_the_model():
    model, visible = perturbed(), states(4)
    forward, _ = model.anneal(visible, 0.0, 1.0)
    base = visible @ model.base_logits + 3 * math.log(2)
    torch.testing.assert_close(forward, -model.units(visible) - base)
    back = model.anneal(visible, 1.0, 0.3)[0] + model.anneal(visible, 0.3, 0.0)[0]
    torch.testing.assert_close(back, -forward)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_a_transition_of_annealing_leaves_its_density_invariant(beta):
    model = perturbed()
    log_density, _ = model.anneal(states(4), 0.0, beta)
    density = (log_density + states(4) @ model.base_logits).softmax(dim=0)
    start = states(4)[density.multinomial(40_000, replacement=True)]
    _, moved = model.anneal(start, 0.9, beta)
    code = (moved @ 2.0 ** torch.arange(3, -1, -1, dtype=DOUBLE)).long()
    frequency = code.bincount(minlength=16) / len(code)
    assert ((frequency - density).abs() < 5 * (density / len(code)).sqrt()).all()


def test_samples_have_the_density_of_the_model():
    model = perturbed(sampling_steps=50)
    samples = (model.sample(20_000).flatten(1) + 1) / 2
    code = (samples @ 2.0 ** torch.arange(3, -1, -1, dtype=DOUBLE)).long()
    probability = (-model.nll(images(states(4)))).exp()
    frequency = code.bincount(minlength=16) / len(code)
    assert ((frequency - probability).abs() < 5 * (probability / len(code)).sqrt()).all()


def gradient(model, loss):
    gradients = torch.autograd.grad(loss, list(model.units.parameters()))
    return torch.cat([g.flatten() for g in gradients])


def exact_nll(model, data):
    """Differentiable -log p(v), with Z summed over all visible states."""
    return model.units(data).mean() + (-model.units(states(4))).logsumexp(dim=0)


def test_contrastive_divergence_approaches_the_gradient_of_the_likelihood(monkeypatch):
    model = perturbed()
    data = states(4)[[1, 2, 4, 7, 15]].repeat(4000, 1)
    expected = gradient(model, exact_nll(model, data))
    found = {}
    for steps in (1, 50):
        fantasy = model.gibbs(data, steps)
        loss = model.units(data).mean() - model.units(fantasy).mean()
        found[steps] = gradient(model, loss)
    assert cosine_similarity(found[1], expected, dim=0) > 0.5
    torch.testing.assert_close(found[50], expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("persistent", [False, True])
def test_a_step_descends_the_gap_of_free_energies(persistent, tmp_path, monkeypatch):
    """The first batch, by hand: SGD on F(data) - F(chain), chains from the batch or stored."""
    model = kit.build("rbm", 2, width=3, persistent=persistent, lr=0.1, cd_steps=2)
    starts, ends, first = [], [], {}

    def gibbs(self, visible, steps):
        starts.append(visible.clone())
        assert steps == 2
        ends.append((torch.rand(visible.shape) < 0.5).to(self.dtype))
        return ends[-1]

    monkeypatch.setattr(type(model), "gibbs", gibbs)
    before = {}
    step = type(model).training_step

    def watched(self, batch, batch_idx):
        before.update(units=copy.deepcopy(self.units), chains=self.chains.clone())
        first["data"] = (batch["image"].flatten(1) > 0).to(self.dtype)
        step(self, batch, batch_idx)

    monkeypatch.setattr(type(model), "training_step", watched)
    kit.fit(model, tmp_path, 1, kit.Toy(image_size=2))
    old = before["units"]
    gap = old(first["data"]).mean() - old(ends[0]).mean()
    gap.backward()
    for name, parameter in old.named_parameters():
        new = dict(model.units.named_parameters())[name]
        torch.testing.assert_close(new, parameter - 0.1 * parameter.grad)
    expected = before["chains"].float() if persistent else first["data"]
    assert torch.equal(starts[0].float(), expected)
    if persistent:
        assert torch.equal(model.chains.float(), ends[0])
        assert before["chains"].float().mean() > 0, "chains start at the base rates"


def test_visible_biases_start_at_the_log_odds_of_the_pixels(tmp_path):
    data = kit.Toy()
    model = kit.build("rbm", lr=0.0)
    kit.fit(model, tmp_path, 1, data)
    white = (data.source("train")[torch.arange(64)]["image"] > 127).flatten(1).sum(dim=0)
    expected = ((white + 1) / 66).logit()
    torch.testing.assert_close(model.base_logits, expected)
    torch.testing.assert_close(model.units.visible_bias.data, expected)
    model.units.visible_bias.data.zero_()
    kit.fit(model, tmp_path, 1, data)
    assert not model.units.visible_bias.any(), "a model that was trained keeps its biases"


def test_weight_decay_acts_on_the_weights_alone(tmp_path):
    model = kit.build("rbm", weight_decay=0.5)
    kit.fit(model, tmp_path, 1)
    decays = {
        id(p): group["weight_decay"]
        for group in model.trainer.optimizers[0].param_groups
        for p in group["params"]
    }
    assert decays[id(model.units.weight)] == 0.5
    assert decays[id(model.units.visible_bias)] == decays[id(model.units.hidden_bias)] == 0


def test_pseudo_likelihood():
    model = perturbed()
    data = states(4)[[1, 6, 7]].repeat(20_000, 1)
    free = model.units(states(4))
    for row in (1, 6, 7):
        others = [row ^ 2**bit for bit in range(4)]
        expected = sum((free[row] - free[other]).exp().log1p() for other in others)
        found = model.pseudo_nll(states(4)[[row]].repeat(20_000, 1)).mean()
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0)
    assert model.pseudo_nll(data).shape == (60_000,)


def persistent_chains():
    """An RBM with persistent chains whose states matter, because its weights are large."""
    torch.manual_seed(0)
    model = kit.build("rbm", persistent=True)
    model.units.weight.data += torch.randn_like(model.units.weight)
    return model


def test_persistent_chains_resume_exactly(tmp_path):
    def run(folder, steps, checkpoint=None):
        model = persistent_chains()
        trainer = kit.fit(model, tmp_path / folder, steps, checkpoint=checkpoint)
        trainer.save_checkpoint(tmp_path / folder / "last.ckpt")
        return model

    straight = run("straight", 7)
    part = run("part", 3)
    assert not torch.equal(part.chains, straight.chains)
    resumed = run("resumed", 7, tmp_path / "part" / "last.ckpt")
    assert torch.equal(resumed.chains, straight.chains)
    kit.assert_same(kit.weights(resumed), kit.weights(straight))


def test_two_processes_share_the_persistent_chains(tmp_path, monkeypatch):
    new = persistent_chains().double()
    one, two = copy.deepcopy(new), copy.deepcopy(new)
    with monkeypatch.context() as patch:
        global_draws(patch, 1)
        kit.fit(one, tmp_path, 4, kit.Toy(batch_size=8), precision="64-true")
    with monkeypatch.context() as patch:
        global_draws(patch, 2)
        data, several = kit.Toy(batch_size=4), kit.forked(2)
        kit.fit(two, tmp_path, 4, data, precision="64-true", **several)
    for name, value in kit.weights(one).items():
        torch.testing.assert_close(kit.weights(two)[name], value, rtol=0, atol=1e-9, msg=name)


def test_a_number_of_chains_that_processes_cannot_share_is_refused(tmp_path, monkeypatch):
    model = kit.build("rbm", persistent=True, chains=7)
    model._trainer = kit.trainer(tmp_path, 1)
    monkeypatch.setattr(type(model._trainer), "world_size", 2)
    with pytest.raises(UserError, match="chains=7 must be a multiple of the number of processes"):
        model.setup("fit")


def test_filters_are_scaled_weights():
    model = perturbed()
    figure = model.figures(None)["filters"]
    assert figure.shape[0] == 3
    assert figure.max() == 255 or figure.min() == 0


def test_it_learns_real_digits(tmp_path):
    """Its exact likelihood is below 26.8 nats, the likelihood of independent pixels."""
    from datamodules.digits import Digits
    from zoo.metrics.compute import likelihood_metrics

    data = Digits(binarize=True)
    model = kit.build("rbm", width=16, lr=0.05, ais_steps=300, sampling_steps=300)
    kit.fit(model, tmp_path, 600, data)
    found = likelihood_metrics(model, data, "test")
    exact = found["nats_exact_levels2_test"]
    assert exact < 25.5
    for direction in ("forward", "reverse"):
        assert abs(found[f"nats_ais_{direction}_300_levels2_test"] - exact) < 0.1


def test_chains_are_drawn_if_other_weights_come_without_them(tmp_path):
    """As with init= of a model that was trained by CD."""
    torch.manual_seed(0)
    trained, model = kit.build("rbm"), kit.build("rbm", persistent=True, chains=4)
    kit.fit(trained, tmp_path / "cd", 1, Digits())
    own = {name: value for name, value in trained.state_dict().items() if name != "chains"}
    model.load_state_dict(own, strict=False)
    drawn = []

    class Watch(Callback):
        def on_train_start(self, trainer, model):
            drawn.append(model.chains.clone())

    kit.fit(model, tmp_path / "pcd", 1, Digits(), callbacks=[Watch()])
    assert drawn[0].any()
    torch.testing.assert_close(model.base_logits, trained.base_logits)


def test_log_z_is_estimated_in_half_precision():
    """Chains start with the base rates whose log Z is known, in at least float32."""
    torch.manual_seed(0)
    model = perturbed()
    exact = model.log_zs()["exact"]
    found = model.to(torch.bfloat16).log_zs()
    for log_z in found.values():
        assert log_z.item() == pytest.approx(exact.item(), abs=0.3)
