"""The paper's tables, and what each scale sees of the others."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from zoo.networks.multiscale import GENERATORS, Discriminator, Generator, downscale, scale_sizes


def generator(scales=3, past=2):
    return Generator(scale_sizes(16, scales), past, channels=1, width=8)


def frames(channels, count=3, size=16, seed=0):
    samples = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, channels, size, size, generator=samples) - 1


def enlarged(images):
    return images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_sizes_are_halved_but_never_too_small_for_a_gradient():
    assert scale_sizes(32, 4) == [4, 8, 16, 32]
    assert scale_sizes(28, 4) == [4, 7, 14, 28]
    assert scale_sizes(8, 4) == [2, 2, 4, 8]
    assert scale_sizes(24, 1) == [24]


def test_a_pyramid_is_of_means():
    images = frames(2)
    coarse, fine = downscale(images, [4, 16])
    torch.testing.assert_close(coarse, avg_pool2d(images, 4))
    assert torch.equal(fine, images)


def test_refinements_of_nothing_leave_the_enlarged_coarse_frame():
    """u repeats pixels, and the residual is added before tanh."""
    network = generator()
    for refinement in network.refinements[1:]:
        nn.init.zeros_(refinement[-1].weight)
        nn.init.zeros_(refinement[-1].bias)
    coarse, middle, fine = network(frames(2))
    assert [frame.shape[2] for frame in (coarse, middle, fine)] == [4, 8, 16]
    torch.testing.assert_close(middle, enlarged(coarse).tanh())
    torch.testing.assert_close(fine, enlarged(middle).tanh())
    assert coarse.std() > 0


def test_a_scale_sees_the_past_at_its_size_and_the_guess_below_it():
    network, past, seen = generator(), frames(2), []
    for refinement in network.refinements:
        refinement.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    coarse, middle, _ = network(past)
    assert [images.shape[1] for images in seen] == [2, 3, 3]
    for images, size in zip(seen, (4, 8, 16), strict=True):
        torch.testing.assert_close(images[:, :2], avg_pool2d(past, 16 // size))
    assert torch.equal(seen[1][:, 2:], enlarged(coarse))
    assert torch.equal(seen[2][:, 2:], enlarged(middle))


def test_generators_are_those_of_the_papers_tables():
    refinements = Generator(scale_sizes(32, 4), 4, channels=3, width=128).refinements
    layers = [
        [(m.out_channels, m.kernel_size[0]) for m in net if isinstance(m, nn.Conv2d)]
        for net in refinements
    ]
    assert layers[0] == [(128, 3), (256, 3), (128, 3), (3, 3)]
    assert layers[1] == [(128, 5), (256, 3), (128, 3), (3, 5)]
    assert layers[2] == [(128, 5), (256, 3), (512, 3), (256, 3), (128, 3), (3, 5)]
    assert layers[3] == [(128, 7), (256, 5), (512, 5), (256, 5), (128, 5), (3, 7)]
    assert [net[0].in_channels for net in refinements] == [12, 15, 15, 15]


def test_one_scale_has_the_finest_network_alone():
    network = generator(scales=1, past=4)
    (refinement,) = network.refinements
    kernels = [m.kernel_size[0] for m in refinement if isinstance(m, nn.Conv2d)]
    assert kernels == [7, 5, 5, 5, 5, 7]
    assert refinement[0].in_channels == 4
    assert [frame.shape[2] for frame in network(frames(4))] == [16]


@pytest.mark.parametrize(
    ("scale", "maps", "hidden", "side"),
    [
        (0, [64], [512, 256], 2),
        (1, [64, 128, 128], [1024, 512], 2),
        (2, [128, 256, 256], [1024, 512], 4),
        (3, [128, 256, 512, 128], [1024, 512], 6),
    ],
)
def test_discriminators_are_those_of_the_papers_tables(scale, maps, hidden, side):
    """side: of the last maps of valid convolutions, the finest ones halved."""
    layers = Discriminator(scale, 4 * 2**scale, 4, channels=3, width=128).layers
    convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
    linear = [m for m in layers if isinstance(m, nn.Linear)]
    assert convolutions[0].in_channels == 15
    assert [m.out_channels for m in convolutions] == maps
    assert [m.out_features for m in linear] == [*hidden, 1]
    assert linear[0].in_features == maps[-1] * side**2


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("size", [2, 7, 24])
def test_discriminators_depend_on_the_past_and_on_the_frame(scale, size):
    discriminator = Discriminator(scale, size, 2, channels=1, width=8).double()
    past, frame = frames(2, size=size).double(), frames(1, size=size, seed=1).double()
    logit = discriminator(frame, past)
    assert logit.shape == (3,)
    assert not torch.equal(logit, discriminator(frame, -past))
    assert not torch.equal(logit, discriminator(-frame, past))


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("size", [6, 24, 32])
def test_discriminators_tell_inputs_apart_at_the_start(scale, size):
    """The spread of the logits of noise; PyTorch's own initialization leaves less than 0.01."""
    spreads = []
    for seed in range(4):
        torch.manual_seed(seed)
        discriminator = Discriminator(scale, size, 4, channels=1, width=8)
        logits = discriminator(torch.randn(64, 1, size, size), torch.randn(64, 4, size, size))
        spreads.append(logits.std().item())
    assert 0.1 < sum(spreads) / len(spreads) < 2


def test_without_bounds_the_enlarged_coarse_map_is_left_as_it_is():
    network = Generator([8, 16], 2, channels=1, width=8, layers=GENERATORS[:2], bounded=False)
    assert [layer.kernel_size[0] for layer in network.refinements[0][::2]] == [3, 3, 3, 3]
    assert [layer.kernel_size[0] for layer in network.refinements[1][::2]] == [5, 3, 3, 5]
    nn.init.zeros_(network.refinements[1][-1].weight)
    nn.init.zeros_(network.refinements[1][-1].bias)
    coarse, fine = network(100 * frames(2))
    assert torch.equal(fine, enlarged(coarse))
    assert coarse.abs().max() > 1
