"""What is faster is the same step."""

import copy
import os

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from callbacks.r1 import R1
from tests import kit
from zoo.engine.speed import (
    compile_players,
    disable_nvml_lookup,
    to_channels_last,
    use_first_order_relu,
    use_fused,
)
from zoo.losses import r1_penalty
from zoo.networks import spectral_norm as spectral
from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


def test_weights_of_convolutions_are_laid_out_with_channels_last(tmp_path):
    model = kit.build("wgan")
    kit.fit(model, tmp_path, 1)
    kinds = nn.Conv2d, nn.ConvTranspose2d
    laid = [layer.weight for layer in model.modules() if type(layer) in kinds]
    assert len(laid) >= 2
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in laid)


@pytest.mark.parametrize("layer", [nn.Conv2d(1, 8, 3), nn.ConvTranspose2d(1, 8, 3)])
def test_convolutions_of_one_channel_return_channels_last(layer):
    network = nn.Sequential(layer)
    images = torch.randn(2, layer.in_channels, 6, 6)
    weight, expected = layer.weight.clone(), network(images)
    to_channels_last(network)
    outputs = network(images)
    assert outputs.stride(1) == 1
    assert torch.equal(layer.weight, weight)
    torch.testing.assert_close(outputs, expected)


class Flattened(nn.Module):
    """A critic of another package that needs torch's default layout."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(4, 4, 3), nn.Linear(4 * 16, 1)

    def forward(self, maps):
        maps = self.conv(maps.view(len(maps), 4, -1).view_as(maps))
        return self.linear(maps.view(len(maps), -1))


def test_modules_of_other_packages_keep_the_default_layout():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), Flattened())
    images = torch.randn(2, 1, 8, 8)
    expected = network(images)
    to_channels_last(network)
    assert network[0].weight.stride(1) == 1
    assert network[1].conv.weight.is_contiguous()
    torch.testing.assert_close(network(images), expected)
    torch.testing.assert_close(network[1](maps=network[0](images)), expected)
    to_channels_last(network)
    assert len(network[1]._forward_pre_hooks) == 1


def test_a_class_attribute_converts_a_module_of_another_package():
    network = nn.Sequential(Flattened())
    network[0].channels_last = True
    to_channels_last(network)
    assert not network[0].conv.weight.is_contiguous()


def test_matrices_stay_as_they_are():
    network = nn.Sequential(ConvTransposeFrom1x1(3, 4, 2), nn.Conv2d(4, 4, 2), ConvTo1x1(4, 2, 1))
    to_channels_last(spectral.add_spectral_norm_(network))
    originals = [layer.parametrizations.weight.original for layer in network]
    assert [weight.is_contiguous() for weight in originals] == [True, False, True]


def test_a_convolution_that_is_laid_out_is_the_same():
    network, images = nn.Conv2d(3, 5, 3), torch.randn(2, 3, 6, 6)
    weight, expected = network.weight.clone(), network(images)
    to_channels_last(network)
    assert not network.weight.is_contiguous()
    assert torch.equal(network.weight, weight)
    torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_a_fused_step_of_what_is_laid_out_is_the_same_step(kind):
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 8, 3), nn.Tanh(), ConvTo1x1(8, 4, 2), nn.Flatten(), nn.Linear(4, 1)
    network = nn.Sequential(*layers)
    other = copy.deepcopy(network)
    plain, fused = (kind(n.parameters(), lr=0.01) for n in (network, other))
    to_channels_last(other)
    use_fused(fused)
    assert fused.param_groups[0].get("fused") or fused.param_groups[0]["foreach"]
    for _ in range(5):
        inputs = torch.randn(16, 2, 4, 4)
        for player, optimizer in ((network, plain), (other, fused)):
            optimizer.zero_grad()
            player(inputs).square().mean().backward()
            optimizer.step()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_a_state_of_another_layout_is_taken_for_what_it_is():
    torch.manual_seed(0)
    plain, fused = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)
    fused.load_state_dict(plain.state_dict())
    to_channels_last(fused)
    one, two = (torch.optim.Adam(n.parameters(), lr=0.01) for n in (plain, fused))
    use_fused(two)
    images = torch.randn(2, 8, 2, 5, 5)
    plain(images[0]).square().mean().backward()
    one.step()  # its moments are not laid out
    fused.load_state_dict(plain.state_dict())
    state = copy.deepcopy(one.state_dict())
    two.load_state_dict(state | {"param_groups": two.state_dict()["param_groups"]})
    for network, optimizer in ((plain, one), (fused, two)):
        optimizer.zero_grad()
        network(images[1]).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(plain.weight, fused.weight, rtol=1e-5, atol=1e-6)


def test_moments_of_another_layout_are_taken_for_what_they_are_when_a_run_continues(tmp_path):
    torch.manual_seed(0)
    run = kit.fit(kit.build("dcgan"), tmp_path, 2)
    run.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    for optimizer in content["optimizer_states"]:
        for kept in optimizer["state"].values():
            kept |= {name: values.contiguous() for name, values in kept.items()}
    torch.save(content, tmp_path / "b.ckpt")
    models = []
    for name in "ab":
        models.append(kit.build("dcgan"))
        kit.fit(models[-1], tmp_path, 3, checkpoint=tmp_path / f"{name}.ckpt")
    kit.assert_same(*map(kit.weights, models))


def test_what_the_maker_of_an_optimizer_chose_stays():
    weights = [nn.Parameter(torch.zeros(2))]
    optimizer = torch.optim.Adam(weights, foreach=False)
    use_fused(optimizer)
    assert not optimizer.param_groups[0]["fused"]
    assert optimizer.param_groups[0]["foreach"] is False


def test_every_optimizer_of_a_run_is_fused(tmp_path):
    run = kit.fit(kit.build("wgan_gp"), tmp_path, 1)
    assert [o.param_groups[0]["fused"] for o in run.optimizers] == [True, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_steps_do_not_look_for_a_gpu_that_is_not_there(tmp_path, monkeypatch):
    found, original = [], torch.cuda.device_count
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found.append(0) or original())
    counts = []
    for batches in (1, 5):
        monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning sets it
        kit.fit(kit.build("gan"), tmp_path / str(batches), batches)
        counts.append(len(found))
        found.clear()
    assert counts[0] == counts[1]


def test_a_gpu_is_looked_for_as_before_where_there_is_one(monkeypatch):
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    disable_nvml_lookup()
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"


def compiled(monkeypatch):
    """Lets torch.compile trace, but not generate code, and returns the networks it is asked for."""
    asked, original = [], nn.Module.compile

    def compile(module, **settings):
        asked.append(module)
        original(module, backend="eager", **settings)

    monkeypatch.setattr(nn.Module, "compile", compile)
    return asked


@pytest.mark.parametrize(("name", "count"), [("gan", 2), ("wgan_gp", 1)])
def test_compiled_players_train_alike(name, count, tmp_path, monkeypatch):
    asked, weights = compiled(monkeypatch), []
    for choice in (False, True):
        torch.manual_seed(0)
        model = kit.build(name, compile=choice)
        kit.fit(model, tmp_path, 5)
        weights.append(kit.weights(model))
    assert len(asked) == count
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, msg=key)


def test_the_networks_of_a_list_are_compiled_one_by_one(monkeypatch):
    asked = compiled(monkeypatch)
    model = kit.build("gan")
    model.discriminator = nn.ModuleList([model.discriminator, nn.Linear(1, 1)])
    compile_players(model)
    assert asked == [model.generator, *model.discriminator]


def test_a_penalty_of_a_callback_is_not_compiled(tmp_path, monkeypatch):
    compiled(monkeypatch)
    with pytest.raises(ValueError, match=r"callbacks\.r1: .* model\.compile=false"):
        kit.fit(kit.build("gan", compile=True), tmp_path, 1, callbacks=[R1()])


def critics(**settings):
    """One with ReLUs of both sorts, and its straightened copy; float64."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 8, 2), nn.LeakyReLU(0.2, **settings), nn.Conv2d(8, 8, 1)
    layers += nn.ReLU(**settings), nn.Flatten(), nn.Linear(8, 1), nn.Flatten(0)
    plain = nn.Sequential(*layers).double()
    other = copy.deepcopy(plain)
    use_first_order_relu(other)
    return plain, other


@pytest.mark.parametrize("inplace", [False, True])
def test_a_straightened_critic_has_the_same_values_and_gradients_of_both_orders(inplace):
    plain, other = critics(inplace=inplace)
    images = torch.randn(16, 1, 2, 2, dtype=torch.float64)
    images[0] = 0
    assert torch.equal(plain(images), other(images))
    for critic in (plain, other):
        (critic(images).mean() + r1_penalty(critic, images)).backward()
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


def test_the_kinks_are_those_of_torch():
    values = torch.tensor([-1.0, -0.0, 0.0, 2.0], requires_grad=True)
    for module in (nn.ReLU(), nn.LeakyReLU(0.3)):
        expected = torch.autograd.grad(module(values).sum(), values)
        use_first_order_relu(module)
        assert torch.equal(torch.autograd.grad(module(values).sum(), values)[0], expected[0])


def test_a_straightened_critic_has_functional_gradients_of_each_sample():
    plain, other = critics()
    images = torch.randn(5, 1, 2, 2, dtype=torch.float64)

    def gradients(critic):
        return vmap(grad(lambda image: critic(image[None])[0]))(images)

    torch.testing.assert_close(gradients(other), gradients(plain))


def test_a_penalty_does_not_go_through_a_straightened_critic_once_more():
    """A bias is no part of the gradient at an image: there is no gradient, not one of zeros."""
    plain, other = critics()
    images = torch.randn(16, 1, 2, 2, dtype=torch.float64)
    for critic in (plain, other):
        r1_penalty(critic, images).backward()
    assert torch.equal(plain[0].bias.grad, torch.zeros_like(plain[0].bias))
    assert other[0].bias.grad is None
    assert other[0].weight.grad.abs().min() > 0


def test_players_that_are_differentiated_twice_are_straightened(tmp_path):
    model, other = kit.build("wgan_gp"), kit.build("dcgan")
    kit.fit(model, tmp_path, 1)
    kit.fit(other, tmp_path, 1)
    assert straightened(model.critic)
    assert not straightened(model.generator)
    assert not straightened(other.discriminator)
    kit.fit(other, tmp_path, 1, callbacks=[R1()])
    assert straightened(other.discriminator)


def straightened(player):
    return any("forward" in vars(module) for module in player.modules())
