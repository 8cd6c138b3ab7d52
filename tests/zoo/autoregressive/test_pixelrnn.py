import pytest
import torch

from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from tests.zoo.autoregressive.test_causality import dependence
from tests.zoo.autoregressive.test_sampling import naively, sampled
from zoo.autoregressive.pixelrnn import PixelRNN

KINDS = ["row", "diagonal"]


def sees(model):
    """(positions, positions) bool: which sub-pixels, first, some sub-pixel's probability sees.

    Of those before it, that is. For all that two diagonal LSTMs see, the last color at the end of
    the row above is in no state that is moved down or passed on, so only the first convolution sees
    it. A row LSTM has a triangle above, and on the left what the layers' convolutions add up to.
    """
    hp = model.hparams
    size, colors = hp.image_size, hp.image_channels
    place = torch.arange(size**2 * colors)
    row, column, color = place // (size * colors), place // colors % size, place % colors
    up = row[None, :] - row[:, None]
    aside = column[:, None] - column[None, :]
    reach, side = hp.first_kernel // 2, hp.kernel // 2
    if hp.lstm == "row":
        left, right = reach + side * (hp.layers + up), reach + side * (up - 1)
        return (-left <= aside) & ((aside <= right) | (up == 0))
    end = (column == size - 1) & (color == colors - 1)
    return ~((up == 1) & end[:, None] & (aside > reach))


def small(lstm, channels=1, size=8, **settings):
    torch.manual_seed(0)
    model = kit.build("pixelrnn", size, channels, lstm=lstm, first_kernel=3, **settings).double()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lstm", KINDS)
def test_which_pixels_are_seen(lstm, channels, layers):
    """By a small first convolution: 7x7 sees whole small images."""
    model = small(lstm, channels, size=6, num_levels=4, layers=layers)
    expected = sees(model).triu()
    assert torch.equal(dependence(model), expected)
    blind = ~expected[torch.ones_like(expected).triu()]
    if lstm == "diagonal":
        assert blind.sum() == channels * 5 * 4, "of rows 1 to 5, the columns 0 to 3 of 6"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("lstm", KINDS)
def test_the_same_noise_makes_the_same_images(lstm, conditional, channels):
    model = small(lstm, channels, size=5, num_levels=5, layers=3, conditional=conditional)
    given = {
        "image": torch.rand(3, channels, 5, 5).double() * 2 - 1,
        "mask": torch.ones(3, 1, 5, 5),
    }
    given["mask"][:, :, :, 3:] = 0
    given["label"] = torch.tensor([3, 0, 7])
    images = sampled(model, condition=given)
    assert torch.equal(images, naively(model, condition=given))
    assert torch.equal(images, sampled(model, condition=given))
    assert not torch.equal(images, sampled(model, condition=given, seed=1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lstm", KINDS)
def test_steps_equal_the_network(lstm, channels):
    model = small(lstm, channels, num_levels=5, layers=3, conditional=True)
    images = (torch.randint(5, (2, channels, 4, 7)) / 2 - 1).double()
    given = model.condition({"label": torch.tensor([1, 4])})
    with torch.no_grad():
        steps, logits = model.network.steps(images, given), model.network(images, given)
        for r in range(4):
            steps.row(r)
            for c in range(7):
                for color in range(channels):
                    messages, expected = steps.pixel(r, c, color), logits[:, color, :, r, c].T
                    torch.testing.assert_close(messages, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("lstm", KINDS)
def test_no_parameter_is_left_without_a_gradient(lstm):
    model = small(lstm, 3, num_levels=4, layers=2, classes=3, conditional=True)
    batch = {"image": torch.rand(8, 3, 8, 8).double() * 2 - 1, "label": torch.arange(8) % 3}
    model.nll(batch).sum().backward()
    for name, parameter in model.named_parameters():
        mask = getattr(model.get_submodule(name.rpartition(".")[0]), "mask", None)
        if mask is None or name.endswith("bias"):
            mask = torch.ones_like(parameter, dtype=torch.bool)
        if name.startswith("network.layers"):
            assert torch.equal(parameter.grad != 0, mask), name
        else:  # a unit of the head may be dead
            assert parameter.grad[mask].any(), name
            assert not parameter.grad[~mask].any(), name


def test_it_is_updated_by_rmsprop_at_a_rate_that_falls(tmp_path):
    model = kit.build("pixelrnn", lr=1e-2, decay=0.5)
    before = kit.weights(model)
    run = kit.fit(model, tmp_path, 1)
    (optimizer,) = run.optimizers
    assert type(optimizer) is torch.optim.RMSprop
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-3)
    moved = [(value - before[name]).abs() for name, value in kit.weights(model).items()]
    # A first step of RMSprop with a mean square of (1 - 0.99) g^2 is lr / sqrt(0.01) wide.
    assert max(step.max().item() for step in moved) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("lstm", KINDS)
def test_it_learns_real_digits(lstm, tmp_path):
    """Within seconds it needs fewer bits than the frequencies of the gray levels of each pixel."""
    model = PixelRNN(image_size=8, lstm=lstm, num_levels=17, layers=1, first_kernel=5, lr=1e-2)
    kit.fit(model, tmp_path, 60, Digits(), callbacks=[Metrics(0, metrics=("fid",), count=100)])
    bits = model.results["test/bits_per_dim_exact_levels17_test"][60]
    assert bits < 2.25, "2.41 without a look at other pixels, see test_pixelcnn"
