"""Finding a player, and leaving nothing behind: what InstanceNoise, Augment, R1, DRAGAN share."""

import copy
import pickle

import pytest
import torch
from torch import nn

import zoo
from callbacks.augment import Augment
from callbacks.checkpoint import Checkpoint
from callbacks.dragan import DRAGAN
from callbacks.ema import EMA
from callbacks.health import Health
from callbacks.instance_noise import InstanceNoise
from callbacks.network_hooks import ADVERSARIES, find_network, first_output
from callbacks.r1 import R1
from tests import kit
from tests.callbacks.players import Game, Linear
from tests.test_contract import global_draws
from zoo.config.errors import UserError
from zoo.engine.speed import to_default_layout

ALL = {
    "instance_noise": InstanceNoise,
    "augment": Augment,
    "r1": R1,
    "dragan": DRAGAN,
}
MODELS = [
    name
    for name in zoo.models()
    if any(hasattr(kit.build(name), adversary) for adversary in ADVERSARIES)
]
each = pytest.mark.parametrize("callback", ALL.values(), ids=ALL)


def hooks(model):
    """All hooks of the modules, except the one that keeps the memory layout after training."""
    found = [[*m._forward_pre_hooks.values(), *m._forward_hooks.values()] for m in model.modules()]
    return [hook for each in found for hook in each if hook is not to_default_layout]


def test_a_player_is_found_by_its_name_and_the_adversary_without_one():
    game = Game()
    assert find_network(game, None, "callbacks.r1") is game.discriminator
    assert find_network(game, "generator", "callbacks.r1") is game.generator
    game.critics = nn.ModuleList([nn.Linear(1, 1)])
    assert find_network(game, "critics.0", "callbacks.r1") is game.critics[0]
    wgan = kit.build("wgan")
    assert find_network(wgan, None, "callbacks.r1") is wgan.critic


@each
def test_a_model_without_the_player_is_refused_before_it_trains(callback, tmp_path):
    class Other(Game):
        name = "painter"

    model = Other()
    with pytest.raises(ValueError, match=r"no player discriminator or critic in Other. There are"):
        kit.fit(model, tmp_path, 1, callbacks=[callback()])
    with pytest.raises(ValueError, match=r"no player critic in .*: painter, generator"):
        kit.fit(model, tmp_path, 1, callbacks=[callback(player="critic")])
    kit.fit(model, tmp_path, 1, callbacks=[callback(player="painter")])


class ByKeyword(Game):
    """Passes the label by keyword, and the image as well if `all_by_keyword`."""

    all_by_keyword = False

    def __init__(self):
        super().__init__()
        self.discriminator = Curved()

    def discriminate(self, images, batch):
        label = batch["label"].to(images.dtype)
        if self.all_by_keyword:
            return self.discriminator(images=images, label=label, scale=1)
        return self.discriminator(images, label=label, scale=1)


class AllByKeyword(ByKeyword):
    all_by_keyword = True


class Positional(Game):
    def __init__(self):
        super().__init__()
        self.discriminator = Curved()


class Curved(Linear):
    """Its gradient at an image depends on the label."""

    def forward(self, images, label=0, scale=1):
        return scale * super().forward(images, label) ** 2


@pytest.mark.parametrize("model_class", [ByKeyword, AllByKeyword])
@pytest.mark.parametrize("callback", [*ALL.values(), Health])
def test_conditions_by_keyword_count_as_positional_ones(callback, model_class, tmp_path):
    """The penalties are those under the labels, and no callback loses or refuses an argument."""
    models = [Positional(), model_class()]
    for model in models:
        kit.fit(model, tmp_path, 3, callbacks=[callback()], log_every_n_steps=1)
    for position in (0, 1):
        expected, found = (model.gradients[position] for model in models)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert models[0].losses == models[1].losses


@each
@pytest.mark.filterwarnings("ignore:.*batch norm")
def test_it_acts_in_training_and_leaves_nothing_behind(callback, tmp_path):
    """The model is as one that never met it: hooks, terms, checkpoints, and another fit."""
    model = kit.build("gan")
    plain, clean = kit.weights(model), hooks(model)
    kit.fit(model, tmp_path / "one", 2, callbacks=[callback(), EMA(), Checkpoint()])
    acted = kit.weights(model)
    assert hooks(model) == clean
    assert not model.extra_losses
    assert not any(hooks(model.averages["generator"]))
    model.averages, model.trainer = {}, None
    pickle.loads(pickle.dumps(model))
    content = torch.load(tmp_path / "one/checkpoints/last.ckpt", weights_only=True)
    assert content["state_dict"].keys() == plain.keys()
    assert callback.__name__ not in str(content.get("callbacks"))
    model.load_state_dict(plain)
    kit.fit(model, tmp_path / "two", 2)
    without = kit.weights(model)
    model.load_state_dict(plain)
    kit.fit(model, tmp_path / "three", 2, callbacks=[callback()])
    kit.assert_same(kit.weights(model), acted)
    assert any(not torch.equal(without[name], acted[name]) for name in acted)


@each
def test_nothing_is_left_behind_by_a_run_that_breaks(callback, tmp_path):
    class Breaking(Game):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("out of luck")

    model = Breaking()
    with pytest.raises(RuntimeError, match="out of luck"):
        kit.fit(model, tmp_path, 1, callbacks=[callback()])
    assert not hooks(model)
    assert not model.extra_losses


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:.*batch norm")
def test_every_model_with_an_adversary_trains_with_all_of_them(name, tmp_path):
    """But for the penalties where the adversary gives a logit for each class: they are refused."""
    model, outputs = kit.build(name), []
    player, batches = find_network(model, None, ""), 2 + model.hparams.get("encoder_steps", 0)
    hook = player.register_forward_hook(
        lambda player, images, out: outputs.append(first_output(out))
    )
    kit.fit(model, tmp_path, batches, callbacks=[InstanceNoise(), Augment()])
    hook.remove()
    penalties = {"callbacks": [R1(), DRAGAN()], "log_every_n_steps": 1}
    if outputs[0].dim() > 1:
        with pytest.raises(UserError, match="one number per image"):
            kit.fit(model, tmp_path, batches, **penalties)
    else:
        kit.fit(model, tmp_path, batches, **penalties)
        assert {"r1_loss", "dragan_loss"} <= model.losses.keys()


@each
def test_a_resumed_run_equals_an_uninterrupted_one(callback, tmp_path):
    def run(folder, steps, checkpoint=None):
        torch.manual_seed(0)
        model = kit.build("gan")
        kit.fit(
            model, folder, steps, checkpoint=checkpoint, callbacks=[callback(), Checkpoint(every=0)]
        )
        return kit.weights(model)

    straight = run(tmp_path / "straight", 6)
    run(tmp_path / "first", 3)
    resumed = run(tmp_path / "second", 6, tmp_path / "first/checkpoints/last.ckpt")
    kit.assert_same(straight, resumed)


@each
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_equal_one_with_the_doubled_batch(
    callback, accumulate, tmp_path, monkeypatch
):
    torch.manual_seed(0)
    one = kit.build("gan", accumulate=accumulate).double()
    two, begin = copy.deepcopy(one), kit.weights(one)
    with monkeypatch.context() as patch:
        global_draws(patch, 1)
        data = kit.Toy(batch_size=8)
        kit.fit(one, tmp_path, 4, data, precision="64-true", callbacks=[callback()])
    with monkeypatch.context() as patch:
        global_draws(patch, 2)
        data, processes = kit.Toy(batch_size=4), kit.forked(2)
        kit.fit(two, tmp_path, 4, data, precision="64-true", callbacks=[callback()], **processes)
    for key, value in kit.weights(one).items():
        torch.testing.assert_close(value, kit.weights(two)[key], rtol=0, atol=1e-9, msg=key)
    assert any(not torch.equal(value, begin[key]) for key, value in kit.weights(one).items())
