import math

import pytest
import torch
from torch.nn.functional import conv2d, pad

from tests import kit
from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.metrics.compute import likelihood_metrics
from zoo.networks.gated_pixelcnn import GatedConvs
from zoo.networks.gated_pixelcnn_layers import ColorConv, gated_activation


def test_an_untrained_head_of_zeros_gives_every_level_its_share():
    """log K nats a sub-pixel: 8 bits of 256 levels."""
    model = PixelCNN(image_size=8, width=4, layers=2)
    for parameter in model.network.output.parameters():
        parameter.data.zero_()
    nll = model.nll({"image": torch.rand(3, 1, 8, 8) * 2 - 1})
    torch.testing.assert_close(nll, torch.full((3,), 64 * math.log(256)))


def test_the_surprisal_is_that_of_the_level_which_is_there():
    model = PixelCNN(image_size=4, num_levels=3, width=4, layers=2)
    for parameter in model.network.output.parameters():
        parameter.data.zero_()
    model.network.output.bias.data = torch.tensor([0.0, 1.0, 2.0])
    image = torch.tensor([-1.0, 0.0, 1.0, 0.3]).repeat(4).view(1, 1, 4, 4)  # 0.3: to level 1
    total = math.log(1 + math.e + math.e**2)
    expected = torch.tensor([total, total - 1, total - 2, total - 1]).repeat(4).view(1, 1, 4, 4)
    torch.testing.assert_close(model.elementwise_nll({"image": image}), expected)


def test_noise_chooses_the_level_whose_share_it_falls_in():
    model = PixelCNN(num_levels=4, width=4, layers=1)
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()[:, None].expand(-1, 6)
    noise = torch.tensor([[0.0], [0.09], [0.11], [0.59], [0.61], [1.0]])
    chosen = model.choose(logits, noise, slice(0, 1))
    torch.testing.assert_close(chosen[:, 0], torch.tensor([-1, -1, -1 / 3, 1 / 3, 1, 1]))


def test_a_gate_by_hand():
    maps = torch.tensor([0.5, -1.0, 2.0, 0.0]).view(1, 4, 1, 1)
    expected = [math.tanh(0.5) / (1 + math.exp(-2)), math.tanh(-1) / 2]
    torch.testing.assert_close(gated_activation(maps).flatten(), torch.tensor(expected))


def test_a_layer_is_figure_2():
    """Both stacks, the link, the gates, the residual: against masked convolutions written out."""
    torch.manual_seed(0)
    layer = GatedConvs(1, 2, 4, 3, 3, 3).double().layers[1]
    above, left = torch.randn(2, 2, 4, 5, 6, dtype=torch.float64)

    def whole(weight, rows, columns):  # a cropped kernel as a masked one of 3 x 3
        kernel = torch.zeros(*weight.shape[:2], 3, 3, dtype=torch.float64)
        kernel[:, :, rows, columns] = weight
        return kernel

    vertical = whole(layer.vertical.weight, slice(0, 2), slice(0, 3))
    rows = conv2d(above, vertical, layer.vertical.bias, padding=1)
    horizontal = whole(layer.horizontal.weight, slice(1, 2), slice(0, 2))
    row = conv2d(left, horizontal, layer.horizontal.bias, padding=1) + layer.link(rows)
    output = row[:, :4].tanh() * row[:, 4:].sigmoid()
    expected = (
        rows[:, :4].tanh() * rows[:, 4:].sigmoid(),
        left + layer.residual(output),
        layer.skip(output),
    )
    for found, value in zip(layer(above, left, None), expected, strict=True):
        torch.testing.assert_close(found, value)


def test_colors_see_those_before_them_in_the_order_red_green_blue():
    conv = ColorConv(6, 12, 2, 3, parts=2)
    mask = conv.mask[:, :, 0]
    assert mask[:, :, 0].all(), "all colors of the pixel on the left"
    color = torch.arange(6) // 2
    expected = (color[None, :] <= color[:, None]).repeat(2, 1)
    assert torch.equal(mask[:, :, 1], expected)
    strict = ColorConv(3, 6, 1, 3, strict=True).mask[:, :, 0, 0]
    assert torch.equal(strict, torch.arange(3)[None, :] < torch.arange(6)[:, None] // 2)


def test_matrices_are_the_convolution():
    conv = ColorConv(3, 6, 2, 3, parts=2).double()
    maps = torch.randn(2, 3, 1, 7, dtype=torch.float64)
    expected = conv(pad(maps, (1, 0)))[:, :, 0, 4]  # (N, 6)
    window = maps[:, :, 0, 3:5].permute(2, 1, 0).flatten(0, 1)  # (taps * inputs, N)
    for color, (weight, bias) in enumerate(conv.matrices()):
        own = expected.view(2, 2, 3, 1)[:, :, color].flatten(1)
        torch.testing.assert_close((weight @ window + bias).T, own)


@pytest.mark.parametrize("spatial", [False, True])
def test_a_label_affects_both_stacks_of_every_layer(spatial):
    model = PixelCNN(
        image_size=4, classes=3, conditional=True, spatial=spatial, num_levels=2, width=4, layers=3
    )
    batch = {"image": torch.ones(2, 1, 4, 4), "label": torch.tensor([0, 2])}
    model.nll(batch).sum().backward()
    gradients = [layer.condition.weight.grad for layer in model.network.layers]  # (4F, h, 1, 1)
    for gradient in gradients:
        assert gradient.flatten(1).any(dim=1).all(), "both halves of the gates of both stacks"
    of_labels = model.network.place[0].weight.grad.transpose(0, 1) if spatial else gradients[0]
    assert of_labels.transpose(0, 1).flatten(1).any(dim=1).tolist() == [True, False, True]


def test_only_a_spatial_label_means_something_else_at_each_place():
    """By itself a label is the same at each place: on a blank image without a border it shows."""
    for spatial in (False, True):
        torch.manual_seed(0)
        model = PixelCNN(
            image_size=9, classes=2, conditional=True, spatial=spatial, width=4, layers=1
        ).double()
        condition = model.network.place(model.condition({"label": torch.tensor([1])}))
        assert (condition.flatten(2).std(dim=2) > 0).any() == spatial
        assert condition.shape[2:] == ((9, 9) if spatial else (1, 1))


def test_no_parameter_is_left_without_a_gradient():
    for channels in (1, 3):
        model = PixelCNN(image_size=4, image_channels=channels, num_levels=4, width=4, layers=3)
        model.nll({"image": torch.rand(8, channels, 4, 4) * 2 - 1}).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            masked = name.rpartition(".")[0]
            mask = getattr(model.get_submodule(masked), "mask", None)
            if mask is not None and name.endswith("weight"):
                assert not parameter.grad[~mask].any(), name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"conditional": True}, "needs data with labels"),
        ({"spatial": True}, "needs model.conditional=true"),
        ({"num_levels": 1}, "at least 2"),
        ({"num_levels": 300}, "at most 256"),
        ({"kernel": 4}, "odd"),
        ({"first_kernel": 1}, "at least 3"),
        ({"layers": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PixelCNN(**given)


def test_the_rate_falls_by_a_factor_each_step(tmp_path):
    model = PixelCNN(image_size=8, width=4, layers=2, lr=1e-2, decay=0.9)
    run = kit.fit(model, tmp_path, 3)
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2 * 0.9**3)


def test_it_learns_real_digits(tmp_path):
    """Within seconds it needs fewer bits than the frequencies of the gray levels of each pixel."""
    from datamodules.digits import Digits

    torch.manual_seed(0)
    data = Digits(batch_size=32)
    train, test = (data.source(split) for split in ("train", "test"))
    levels = [
        (s[torch.arange(len(s))]["image"].double() / 255 * 16).round().long() for s in (train, test)
    ]
    counts = torch.nn.functional.one_hot(levels[0].flatten(1), 17).sum(dim=0).double() + 1
    shares = (counts / counts.sum(dim=1, keepdim=True)).log2()  # (64, 17)
    independent = -shares.gather(1, levels[1].flatten(1).T).mean().item()
    model = PixelCNN(image_size=8, num_levels=17, width=16, layers=3, first_kernel=5, lr=1e-2)
    kit.fit(model, tmp_path, 200, data)
    bits = likelihood_metrics(model, data, "test")["bits_per_dim_exact_levels17_test"]
    assert independent > 2.4
    assert bits < independent - 0.4


def test_a_conditional_model_is_measured_and_shown_by_its_classes():
    from datamodules.digits import Digits

    model = PixelCNN(image_size=8, classes=10, conditional=True, num_levels=17, width=4, layers=1)
    with model.evaluating():
        numbers, figures = model.measure(Digits(), "test"), model.figures(None)
    assert 0 <= numbers["accuracy_of_samples_digits_1k"] < 0.3
    assert figures["classes"].shape == (3, 15 + 8 * 52, 10 * 52)  # below a line of heads
    plain = PixelCNN(image_size=8, num_levels=17, width=4, layers=1)
    assert plain.measure(Digits(), "test") == plain.figures(None) == {}


def test_a_network_without_steps_is_drawn_from_by_passes():
    """Slower, the same: what a subclass swaps in needs no more than `forward(images, given)`."""

    class Forward(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, images, given=None):
            return self.network(images, given)

    class Swapped(PixelCNN):
        def build_network(self):
            return Forward(super().build_network())

    samples = []
    for cls in (PixelCNN, Swapped):
        torch.manual_seed(0)
        model = cls(image_size=5, image_channels=3, num_levels=4, width=4, layers=2).double()
        samples.append(model.sample(2))
    assert torch.equal(*samples)
