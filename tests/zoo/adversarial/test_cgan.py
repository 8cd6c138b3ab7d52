"""Both players of Mirza, Osindero 2014 know the class, and the layers are the paper's."""

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot, softplus

from tests import kit
from zoo.adversarial.cgan import CGAN, Maxout


class As(nn.Module):
    """A network that is a function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def small(**parameters):
    shape = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 48, "dropout": 0.0}
    torch.manual_seed(0)
    return CGAN(**shape | parameters)


def batch_of(count=6):
    image = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return {"image": image, "label": torch.arange(count) % 10}


def test_a_layer_of_maxout_by_hand():
    """Unit 0 is max(x, -x, 0), unit 1 max(1, 2x, 2)."""
    layer = Maxout(1, 2, 3)
    layer.linear.weight.data = torch.tensor([1.0, -1, 0, 0, 2, 0])[:, None]
    layer.linear.bias.data = torch.tensor([0.0, 0, 0, 1, 0, 2])
    found = layer(torch.tensor([[-3.0], [0.5], [4.0]]))
    assert found.tolist() == [[3, 2], [0.5, 2], [4, 8]]


def test_the_layers_are_the_papers():
    """MNIST: noise to 200, class to 1000, both to 1200; 240 and 50 units of 5, 240 of 4 pieces."""
    model = CGAN()
    shapes = {
        player: [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Linear)]
        for player, network in model.named_children()
    }
    assert shapes["generator"] == [(200, 100), (1000, 10), (1200, 1200), (784, 1200)]
    assert shapes["discriminator"] == [(240 * 5, 784), (50 * 5, 10), (240 * 4, 290), (1, 240)]
    pieces = [m.pieces for m in model.discriminator.modules() if isinstance(m, Maxout)]
    assert pieces == [5, 5, 4]
    counts = [sum(p.numel() for p in player.parameters()) for player in model.children()]
    assert counts == [2_413_984, 1_224_351]
    dropout = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert dropout == [0.5] * 6


def test_a_label_changes_the_image_of_a_latent():
    model = small().eval()
    latent = model.prior(1).expand(10, -1)
    images = model.sample(10, {"latent": latent, "label": torch.arange(10)})
    assert len(images.flatten(1).unique(dim=0)) == 10
    again = model.sample(10, {"latent": latent, "label": torch.arange(10).flip(0)})
    assert torch.equal(again, images.flip(0))


def test_labels_are_sampled_evenly_by_default():
    model = small()
    model.generator = As(lambda latent, label: label)
    samples = model.sample(5000)
    assert samples.bincount(minlength=10).float().sub(500).abs().max() < 100
    assert model.sample(2, {"label": torch.tensor([7, 7])}).tolist() == [7, 7]


def test_the_discriminator_is_conditioned():
    model, batch = small().eval(), batch_of()
    logit = model.discriminate(batch["image"], batch)
    swapped = model.discriminate(batch["image"], batch | {"label": batch["label"].flip(0)})
    assert logit.shape == (6,)
    assert (logit - swapped).abs().min() > 1e-4


def used(weight):
    """The classes of whose column in a layer (units, K) the gradient is not zero."""
    return weight.grad.abs().sum(dim=0).nonzero().flatten().tolist()


def test_gradients_reach_the_weights_of_the_batchs_classes_in_both_players():
    model, batch = small(), batch_of(3)
    model.generator_loss(batch).backward()
    assert used(model.generator.label[0].weight) == [0, 1, 2]
    model.zero_grad()
    model.discriminator_loss(batch).backward()
    assert used(model.discriminator.label[0].linear.weight) == [0, 1, 2]
    assert all(p.grad is None for p in model.generator.parameters())


def constant(values):
    return values.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


class Says(nn.Module):
    """Logit = 3 where the image is the label's, -1 else; images are constant, of label / 10."""

    def forward(self, images, label):
        return torch.where((images.mean(dim=(1, 2, 3)) * 10).round() == label, 3.0, -1.0)


@pytest.mark.parametrize("shift", [0, 1])
def test_fakes_are_of_the_batchs_classes_and_scored_as_such(shift):
    """A generator that follows the label is judged as real images are, another is not."""
    model, batch = small(), batch_of()
    model.discriminator = Says()
    model.generator = As(lambda latent, label: constant((label + shift) / 10))
    batch["image"] = constant(batch["label"] / 10)
    fake = torch.tensor(-1.0 if shift else 3.0)
    expected = softplus(torch.tensor(-3.0)) + softplus(fake)
    torch.testing.assert_close(model.discriminator_loss(batch), expected)
    torch.testing.assert_close(model.generator_loss(batch), softplus(-fake))


def test_the_label_is_one_hot():
    model = small().eval()
    weight, bias = model.generator.label[0].weight, model.generator.label[0].bias
    latent, label = model.prior(3), torch.tensor([4, 0, 9])
    hidden = torch.relu(one_hot(label, 10).float() @ weight.T + bias)
    both = torch.cat([model.generator.latent(latent), hidden], dim=1)
    expected = model.generator.image(model.generator.joint(both))
    torch.testing.assert_close(model.generator(latent, label), expected)


def test_data_without_labels_are_refused():
    with pytest.raises(ValueError, match=r"CGAN needs data with labels: `classes`.* is 0"):
        CGAN(classes=0)


def test_what_all_descendants_have_reaches_it():
    model = small(spectral_norm=True, discriminator_lr=0.25, label_smoothing=0.1)
    assert hasattr(model.discriminator.joint[0].linear, "parametrizations")
    assert [o.defaults["lr"] for o in model.configure_optimizers()] == [0.25, 2e-4]
    model.discriminate = lambda images, batch: torch.full((len(images),), 2.0)
    expected = 0.9 * softplus(torch.tensor(-2.0)) + 1.1 * softplus(torch.tensor(2.0))
    torch.testing.assert_close(model.discriminator_loss(batch_of()), expected)


class Shades(kit.Toy):
    """Class 0 is dark, class 1 bright, each with its noise."""

    classes = 2

    def load(self, split):
        images, _ = super().load(split)
        label = torch.arange(len(images)) % 2
        return images // 4 + (192 * label).to(torch.uint8).view(-1, 1, 1, 1), label


def test_it_learns_what_a_label_asks_for(tmp_path):
    """Within seconds; trained without the labels in the discriminator, both are alike."""
    model = small(classes=2, width=96, lr=1e-3, discriminator_lr=3e-4)
    kit.fit(model, tmp_path, 400, Shades(batch_size=64, count=256))
    with model.evaluating():
        label = torch.tensor([0, 1]).repeat(100)
        shades = model.sample(200, {"label": label}).mean(dim=(1, 2, 3))
    assert shades[label == 0].max() < -0.3
    assert shades[label == 1].min() > 0.3


def test_points_have_no_columns_of_classes():
    model = CGAN(image_size=1, image_channels=2, classes=8, width=48, latent_dim=4)
    assert model.figures(None) == {}
    assert list(small().figures(None)) == ["classes"]
