"""Features, draws of labels and the SVM, by hand; and that a trained network beats an untrained."""

import json
import textwrap

import pytest
import torch
from torch import nn

from callbacks.checkpoint import Checkpoint
from datamodules.digits import Digits
from tests import kit
from zoo.errors import UserError
from zoo.networks import dcgan
from zoo.probe import (
    conv_features,
    features_of,
    find_player,
    gain,
    label_draws,
    labelled,
    probe,
    rebuilt,
    scaled,
    svm_errors,
)


def convolution(weight, **given):
    weight = torch.as_tensor(weight, dtype=torch.float32)
    out_channels, in_channels, size, _ = weight.shape
    layer = nn.Conv2d(in_channels, out_channels, size, bias=False, **given)
    layer.weight.data = weight
    return layer


def by_hand():
    """1x8x8: x and -x, leaky; then of each quarter the first of both, leaky; then a logit."""
    corner = torch.zeros(2, 2, 4, 4)
    corner[0, 0, 0, 0] = corner[1, 1, 0, 0] = 1
    layers = [
        convolution([[[[1]]], [[[-1]]]]),
        nn.LeakyReLU(0.5, inplace=True),
        convolution(corner, stride=4),
        nn.LeakyReLU(0.5, inplace=True),
    ]
    return nn.Sequential(*layers, nn.Conv2d(2, 1, 2), nn.Flatten(0))


def test_features_by_hand():
    """Maxima of the 2x2 windows of a ramp 0..63 are its odd rows and columns; of -x, even ones."""
    ramp = torch.arange(64.0).view(1, 1, 8, 8)
    first = [*ramp[0, 0, 1::2, 1::2].flatten(), *(-0.5 * ramp[0, 0, ::2, ::2].flatten())]
    second = [0, 4, 32, 36, *(-0.25 * torch.tensor([0, 4, 32, 36]))]
    expected = torch.tensor([*first, *second])
    assert torch.equal(conv_features(by_hand(), ramp), expected[None])


def test_the_features_are_as_many_as_the_authors_have_on_svhn():
    network = dcgan.discriminator(32, 3, 64)
    assert conv_features(network, torch.zeros(2, 3, 32, 32)).shape == (2, (64 + 128 + 256) * 16)


class Residual(nn.Module):
    """An activation of a sum, and a function in place, which are no representation of a layer."""

    def __init__(self):
        super().__init__()
        self.conv = convolution([[[[1]]], [[[-1]]]])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images):
        maps = self.conv(images)
        total = self.relu(maps + 1)
        return total + maps.mul_(7)


def test_what_comes_after_a_layer_does_not_change_its_features():
    features = conv_features(Residual(), torch.full((1, 1, 2, 2), 3.0))
    assert features.tolist() == [[3.0] * 4 + [-3.0] * 4]


def test_the_network_is_in_eval_mode_and_left_as_it_was():
    torch.manual_seed(0)
    network = dcgan.discriminator(8, 1, 4)
    network[0].eval()
    before, modes = kit.weights(network), [module.training for module in network.modules()]
    images = torch.randn(5, 1, 8, 8)
    one, other = (conv_features(network, images, batch_size=size) for size in (5, 2))
    assert torch.allclose(one, other, atol=1e-6)  # batch norm in train mode would couple the batch
    assert not one.requires_grad
    kit.assert_same(kit.weights(network), before)
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    "network", [nn.Linear(4, 1), nn.Conv2d(1, 1, 2), dcgan.generator(8, 1, 4, 4)]
)
def test_a_network_without_representations_is_refused(network):
    with pytest.raises(UserError, match="no convolutional layers"):
        conv_features(network, torch.zeros(1, 1, 2, 2))


LABELS = torch.tensor([2, 0, 1, -1] * 10)


def test_draws_are_balanced_and_without_repetition():
    for draw in label_draws(LABELS, 12, draws=3, seed=0):
        assert LABELS[draw].bincount().tolist() == [4, 4, 4]  # and none of the unlabelled
        assert len(draw.unique()) == 12


def test_draws_are_independent_and_keyed():
    draws = label_draws(LABELS, 12, draws=3, seed=0)
    assert len({tuple(draw.sort().values.tolist()) for draw in draws}) == 3
    assert torch.equal(label_draws(LABELS, 12, draws=2, seed=0), draws[:2])
    assert not torch.equal(label_draws(LABELS, 12, draws=3, seed=1), draws)


def test_a_larger_draw_holds_the_smaller_one():
    small, large = (label_draws(LABELS, count, draws=2, seed=0) for count in (6, 15))
    for few, many in zip(small, large, strict=True):
        assert set(few.tolist()) < set(many.tolist())


@pytest.mark.parametrize(
    ("count", "draws", "message"),
    [
        (10, 3, "multiple of the number of classes, 3"),
        (0, 3, "multiple"),
        (33, 3, "30 at most"),
        (3, 1, "at least 2"),
    ],
)
def test_draws_that_cannot_be_made(count, draws, message):
    with pytest.raises(UserError, match=message):
        label_draws(LABELS, count, draws, seed=0)


def line(*values):
    """Points on a line far from 0, where a small C cannot tell them apart, and their signs."""
    values = torch.tensor(values)
    return 10 + values[:, None], (values > 0).long()


def test_the_svm_finds_a_rule_with_the_c_of_the_validation_images():
    images, labels = line(-0.2, -0.1, 0.1, 0.2, 5.0, -5.0)
    labels[4:] = 1 - labels[4:]  # not drawn
    draws = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 2]])
    images_and_labels = {"train": (images, labels), "val": line(-0.3, 0.3)}
    test_images, test_labels = line(-0.4, -0.3, 0.3, 0.4)
    test_labels[0] = 1
    found = svm_errors(lambda x: x, draws, **images_and_labels, test=(test_images, test_labels))
    assert found["errors"] == [25.0, 25.0]
    assert (found["error"], found["std"], found["features"]) == (25.0, 0.0, 1)
    assert found["val_error"] == 0
    assert found["C"] > 1


def test_errors_and_their_spread_by_hand():
    """The second draw's labels are all wrong."""
    images, labels = line(-2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0)
    labels[4:] = 1 - labels[4:]
    draws = torch.arange(8).view(2, 4)
    test = line(-1.5, 1.5)
    found = svm_errors(lambda x: x - 10, draws, train=(images, labels), val=test, test=test)
    assert found["errors"] == [0.0, 100.0]
    assert (found["error"], found["std"]) == (50.0, pytest.approx(5000**0.5))
    assert found["C"] == 1e-4  # all C are equal: the smallest


@pytest.mark.filterwarnings("error")
def test_the_svm_converges_at_every_c():
    """Features of very different scale, fewer labels than features."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 60, generator=generator) * torch.logspace(-2, 1, 60)
    split = images, torch.arange(40) % 2
    svm_errors(lambda x: x, torch.arange(40).repeat(2, 1), train=split, val=split, test=split)


def test_the_gain_is_counted_draw_by_draw():
    errors = {"trained": {"errors": [1.0, 5.0]}, "pixels": {"errors": [2.0, 8.0]}}
    assert gain(errors, "pixels") == {"mean": 2.0, "std": pytest.approx(2**0.5), "wins": 2}
    errors["pixels"]["errors"] = [1.0, 4.0]
    assert gain(errors, "pixels") == {"mean": -0.5, "std": pytest.approx(0.5**0.5), "wins": 0}


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


class Unlabelled(kit.Toy):
    classes = 0


class HalfLabelled(kit.Toy):
    def load(self, split):
        images, labels = super().load(split)
        return images, labels.masked_fill(labels > 4, -1)


def test_images_without_labels_are_left_out():
    images, labels = labelled(HalfLabelled(), "test")
    assert labels.unique().tolist() == [0, 1, 2, 3, 4]
    everything, all_labels = HalfLabelled().load("test")
    assert torch.equal(images, everything[all_labels >= 0])


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        (Unlabelled(), "train", "no labelled train images.$"),
        (Digits(val_count=0), "val", "no labelled val images: .*data.val_count"),
    ],
)
def test_data_without_labels_are_refused(data, split, message):
    with pytest.raises(UserError, match=message):
        labelled(data, split)


def test_the_command_tells_three_errors_with_their_protocol(run, tmp_path, call, capsys):
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


def test_no_label_is_given_to_a_discriminator_that_takes_them():
    """A projection leaves the features alone; where the label is a map of the input, it is 0."""
    model = kit.build("sngan", conditional=True)
    images = torch.randint(256, (6, 1, 8, 8), dtype=torch.uint8)
    features = features_of(model, "discriminator")(images)
    blocks = conv_features(model.discriminator.blocks, scaled(images))
    assert torch.equal(features, blocks)

    class Told(nn.Sequential):
        def forward(self, images, label):
            return super().forward(images + label.view(-1, 1, 1, 1))

    model.discriminator = Told(convolution([[[[1]]], [[[-1]]]]))
    expected = conv_features(nn.Sequential(*model.discriminator), scaled(images))
    assert torch.equal(features_of(model, "discriminator")(images), expected)


def test_the_heads_of_an_auxiliary_classifier_are_no_features():
    model = kit.build("acgan")
    found = features_of(model, "discriminator")(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    assert found.shape == (3, 8 * 4 * 4 + 16 * 2 * 2)


def test_a_conditional_network_is_probed_and_its_labels_are_told(tmp_path, call, capsys):
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
def test_mistakes_are_told(run, call, argument, message):
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
    images = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    judged = kit.build("disentangled")
    assert len(features_of(judged, "discriminator")(images)) == 4
    with pytest.raises(UserError, match="player=discriminator0 takes more than images"):
        features_of(kit.build("lapgan"), "discriminator0")
