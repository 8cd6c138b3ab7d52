"""The probe: what it is told, what it refuses, and that a trained network beats an untrained."""

import json
import textwrap

import pytest
import torch
from torch import nn

from callbacks.checkpoint import Checkpoint
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.sngan import SNGAN
from zoo.config.errors import UserError
from zoo.media.images import from_uint8
from zoo.metrics.conv_features import conv_features
from zoo.probe import features_of, find_player, labeled, probe, rebuilt


def test_the_first_player_is_found():
    model = nn.Module()
    model.encoder, model.discriminator = nn.Linear(1, 1), nn.Linear(1, 1)
    assert find_player(model, None) == "discriminator"
    assert find_player(model, "encoder") == "encoder"
    with pytest.raises(UserError, match=r"no player=decoder. Did you mean encoder\?"):
        find_player(model, "decoder")
    del model.encoder, model.discriminator
    model.generator = nn.Linear(1, 1)
    with pytest.raises(UserError, match=r"no discriminator, critic, encoder.*one of generator"):
        find_player(model, None)


def test_a_model_is_rebuilt_with_fresh_weights_of_its_own_seed(tmp_path, monkeypatch):
    code = """
        from zoo.adversarial.wgan import WGAN

        class Deciding(WGAN):
            def __init__(self, **wgan):
                super().__init__(critic_norm=False, **wgan)
    """
    (tmp_path / "deciding.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    model = kit.class_of("deciding.Deciding")(image_size=8, image_channels=1, width=4)
    before, state = kit.weights(model), torch.get_rng_state()
    one, other, third = (kit.weights(rebuilt(model, seed)) for seed in (0, 0, 1))
    kit.assert_same(one, other)
    assert one.keys() == before.keys()
    for states in (before, third):
        assert not torch.equal(one["critic.0.weight"], states["critic.0.weight"])
    assert torch.equal(torch.get_rng_state(), state)


class Unlabeled(kit.Toy):
    classes = 0


class HalfLabeled(kit.Toy):
    def load(self, split):
        images, labels = super().load(split)
        return images, labels.masked_fill(labels > 4, -1)


def test_images_without_labels_are_left_out():
    images, labels = labeled(HalfLabeled(), "test")
    assert labels.unique().tolist() == [0, 1, 2, 3, 4]
    everything, all_labels = HalfLabeled().load("test")
    assert torch.equal(images, everything[all_labels >= 0])


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        (Unlabeled(), "train", "no labeled train images.$"),
        (Digits(val_count=0), "val", "no labeled val images: .*data.val_count"),
    ],
)
def test_data_without_labels_are_refused(data, split, message):
    with pytest.raises(UserError, match=message):
        labeled(data, split)


def test_the_command_prints_three_errors_with_their_protocol(run, tmp_path, call, capsys):
    call(probe, f"checkpoint={run}", "labels=20", "draws=2", f"out={tmp_path / 'probe.json'}")
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result == json.loads((tmp_path / "probe.json").read_text())
    errors = result["test_error"]
    assert [row["features"] for row in errors.values()] == [192, 192, 64]  # 8 * 4 * 4 + 16 * 2 * 2
    assert len({tuple(row["errors"]) for row in errors.values()}) == 3
    for name in ("trained", "untrained", "pixels"):
        assert f"{errors[name]['error']:.2f} ± {errors[name]['std']:.2f} %" in printed.err
    assert set(result["trained_is_better_by"]) == {"untrained", "pixels"}
    assert result["protocol"]["player"] == "critic"
    assert result["protocol"]["trained_on"] == ["image"]
    assert result["protocol"]["test"] == "360 images of digits"
    assert (result["protocol"]["labels"], result["protocol"]["draws"]) == (20, 2)


def test_a_conditional_discriminator_gets_no_label(monkeypatch):
    """A projection leaves the features alone; where the label is a map of the input, it is 0."""
    model = kit.build("sngan", conditional=True)
    images = torch.randint(256, (6, 1, 8, 8), dtype=torch.uint8)
    features = features_of(model, "discriminator")(from_uint8(images))
    blocks = conv_features(model.discriminator.blocks, from_uint8(images))
    assert torch.equal(features, blocks)

    class Told(nn.Sequential):
        def forward(self, images, label):
            return super().forward(images + label.view(-1, 1, 1, 1))

    monkeypatch.setattr(
        SNGAN, "discriminate", lambda m, x, batch: m.discriminator(x, batch["label"])
    )
    model.discriminator = Told(nn.Conv2d(1, 2, 1))
    expected = conv_features(nn.Sequential(*model.discriminator), from_uint8(images))
    assert torch.equal(features_of(model, "discriminator")(from_uint8(images)), expected)


def test_the_heads_of_an_auxiliary_classifier_are_no_features():
    model = kit.build("acgan")
    found = features_of(model, "discriminator")(torch.zeros(3, 1, 8, 8))
    assert found.shape == (3, 8 * 4 * 4 + 16 * 2 * 2)


def test_a_conditional_network_is_probed_and_its_labels_are_reported(tmp_path, call, capsys):
    folder = tmp_path / "projection"
    model = kit.build("sngan", conditional=True)
    kit.fit(model, folder, 2, Digits(), callbacks=[Checkpoint()])
    call(probe, f"checkpoint={folder}", "labels=20", "draws=2")
    assert json.loads(capsys.readouterr().out)["protocol"]["trained_on"] == ["image", "label"]


def test_a_conditional_network_without_convolutions_is_refused(conditional, call):
    with pytest.raises(SystemExit, match="no convolutional layers"):
        call(probe, f"checkpoint={conditional}", "labels=20", "draws=2")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("labels=15", "multiple of the number of classes, 10"),
        ("player=critics", "Did you mean critic"),
        ("data.image_size=16", r"image_size=8, but digits has 16.*data.image_size=8"),
        ("data=cifar10", "image_size=8, but cifar10 has 32"),
    ],
)
def test_mistakes_are_reported(run, call, argument, message):
    with pytest.raises(SystemExit, match=message):
        call(probe, f"checkpoint={run}", argument)


def test_other_channels_are_refused(run, call):
    data = ["data=tests.kit.Toy", "data.image_channels=3"]
    with pytest.raises(SystemExit, match=r"image_channels=1, but kit has 3"):
        call(probe, f"checkpoint={run}", *data)


def test_the_pretrained_critic_has_learned(call, capsys):
    """Measured: 7.69 %, untrained 8.83 %, pixels 9.03 %; better than both in 10 and 9 draws."""
    call(probe, "checkpoint=wgan_digits", "labels=100", "draws=10")
    result = json.loads(capsys.readouterr().out)
    errors, better = result["test_error"], result["trained_is_better_by"]
    assert (
        errors["trained"]["error"]
        < 8.2
        < min(errors[name]["error"] for name in ("untrained", "pixels"))
    )
    assert min(better[name]["wins"] for name in ("untrained", "pixels")) >= 8


def test_networks_of_several_inputs_are_probed_by_judging_or_refused():
    images = torch.zeros(4, 1, 8, 8)
    judged = kit.build("disentangled")
    assert len(features_of(judged, "discriminator")(images)) == 4
    with pytest.raises(UserError, match="player=discriminator0 takes more than images"):
        features_of(kit.build("lapgan"), "discriminator0")
