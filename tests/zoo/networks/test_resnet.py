"""The residual networks of Gulrajani et al. 2017 and Miyato et al. 2018: blocks, counts, shapes."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, relu

from zoo.engine.speed import to_channels_last
from zoo.networks import resnet


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv(before, after, kernel=3):
    return before * after * kernel**2 + after


def test_parameter_counts_at_32_are_those_of_the_papers():
    """CIFAR-10: Gulrajani et al. have 128 channels in both; Miyato et al. 256 in the generator."""

    def generator(width):
        block = 2 * 2 * width + 2 * conv(width, width) + conv(width, width, 1)
        first = 128 * 16 * width + 16 * width
        return first + 3 * block + 2 * width + conv(width, 3)

    first = conv(3, 128) + conv(128, 128) + conv(3, 128, 1)
    down = 2 * conv(128, 128) + conv(128, 128, 1)
    discriminator = first + down + 2 * (2 * conv(128, 128)) + 129
    assert (generator(128), generator(256), discriminator) == (1_204_483, 4_276_739, 1_053_825)
    assert parameters(resnet.generator(32, 3, latent_dim=128, width=128)) == generator(128)
    assert parameters(resnet.generator(32, 3, latent_dim=128, width=256)) == generator(256)
    assert parameters(resnet.discriminator(32, 3, width=128)) == discriminator


def test_labels_add_gains_and_biases_and_a_projection():
    plain, conditional = (resnet.generator(32, 3, 8, 4, classes) for classes in (0, 10))
    assert parameters(conditional) - parameters(plain) == 6 * 2 * 4 * (10 - 1)
    plain, conditional = (resnet.discriminator(32, 3, 4, classes=classes) for classes in (0, 10))
    assert parameters(conditional) - parameters(plain) == 10 * 4


@pytest.mark.parametrize("size", [8, 16, 28, 32, 48, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [0, 3])
def test_any_size_and_channel_count(size, channels, classes):
    label = [torch.tensor([0, 2])] if classes else []
    generator = resnet.generator(size, channels, latent_dim=5, width=4, classes=classes)
    images = generator(torch.randn(2, 5), *label)
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    discriminator = resnet.discriminator(size, channels, width=4, classes=classes)
    assert discriminator(images, *label).shape == (2,)


@pytest.mark.parametrize("settings", [{}, {"down": True}, {"down": True, "first": True}])
def test_a_block_leaves_its_input_as_it_was(settings):
    """An activation in place would change what the shortcut adds."""
    block, maps = resnet.Block(4, 4, norm=False, **settings), torch.randn(2, 4, 8, 8)
    before = maps.clone()
    block(maps)
    assert torch.equal(maps, before)


@pytest.mark.parametrize("classes", [0, 3])
def test_an_up_block_leaves_its_input_as_it_was(classes):
    block, maps = resnet.UpBlock(4, classes), torch.randn(2, 4, 8, 8)
    before = maps.clone()
    block(maps, torch.tensor([0, 1]))
    assert torch.equal(maps, before)


def test_a_block_adds_its_residual_to_its_input():
    maps = torch.randn(2, 4, 8, 8)
    for down, first in ((False, False), (True, False), (True, True)):
        block = resnet.Block(4, 4, norm=False, down=down, first=first)
        residual = block.conv2(relu(block.conv1(maps if first else relu(maps))))
        expected = block.shortcut(maps) + residual  # a convolution of 1x1 and a mean commute
        expected = avg_pool2d(expected, 2) if down else maps + residual
        torch.testing.assert_close(block(maps), expected)


def test_an_up_block_enlarges_by_the_nearest_neighbor():
    block, maps = resnet.UpBlock(4, 0).eval(), torch.randn(2, 4, 4, 4)
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)
    nn.init.dirac_(block.shortcut.weight)
    nn.init.zeros_(block.shortcut.bias)
    doubled = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(block(maps, None), doubled)


def test_32_are_halved_twice_and_then_summed_over_the_places():
    """The score is linear in the sum of 8x8 places, not their mean."""
    discriminator, kept = resnet.discriminator(32, 3, width=4), []
    discriminator.blocks.register_forward_hook(lambda layer, given, maps: kept.append(maps))
    score = discriminator(torch.randn(2, 3, 32, 32))
    assert kept[0].shape == (2, 4, 8, 8)
    summed = relu(kept[0]).sum(dim=(2, 3))
    torch.testing.assert_close(score, discriminator.linear(summed).squeeze(1))


def test_conditional_batch_norm_has_the_gain_and_the_bias_of_the_label():
    norm, maps = resnet.ConditionalBatchNorm(4, classes=3).train(), torch.randn(6, 4, 5, 5)
    label = torch.tensor([0, 1, 2, 2, 1, 0])
    mean = maps.mean(dim=(0, 2, 3), keepdim=True)
    variance = maps.var(dim=(0, 2, 3), keepdim=True, correction=0)
    standard = (maps - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(norm(maps, label), standard)  # at first no label matters
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    gain, bias = norm.gain.weight[label], norm.bias.weight[label]
    expected = gain[:, :, None, None] * standard + bias[:, :, None, None]
    torch.testing.assert_close(norm(maps, label), expected)


def test_the_label_changes_the_image():
    torch.manual_seed(0)
    generator = resnet.generator(8, 1, latent_dim=5, width=8, classes=3).eval()
    for module in generator.modules():
        if isinstance(module, resnet.ConditionalBatchNorm):
            nn.init.normal_(module.gain.weight)
    latent = torch.randn(1, 5).expand(3, 5)
    zero, one, again = generator(latent, torch.tensor([0, 1, 0]))
    torch.testing.assert_close(zero, again)  # not bitwise: threads share out a batch's rows
    assert (zero - one).abs().max() > 1e-3


def test_initialisation():
    """Glorot's uniform, its width times √2 for the convolutions inside residuals."""
    torch.manual_seed(0)
    discriminator = resnet.discriminator(32, 3, width=64)
    block = discriminator.blocks[1]
    inside = (6 / (9 * 64 + 9 * 64)) ** 0.5 * 2**0.5
    assert block.conv1.weight.abs().max().item() == pytest.approx(inside, rel=0.01)
    shortcut = (6 / (64 + 64)) ** 0.5
    assert block.shortcut.weight.abs().max().item() == pytest.approx(shortcut, rel=0.01)
    assert not any(m.bias.any() for m in discriminator.modules() if hasattr(m, "bias"))


def test_batch_norm_switch():
    def norms(network):
        return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())

    assert norms(resnet.discriminator(32, 3, width=4)) == 0
    assert norms(resnet.discriminator(32, 3, width=4, norm=True)) == 6


@pytest.mark.parametrize("build", ["generator", "discriminator"])
def test_channels_stay_last_from_block_to_block(build):
    settings = (16, 3, 8, 8) if build == "generator" else (16, 3, 8)
    network = getattr(resnet, build)(*settings)
    to_channels_last(network)
    layouts = []
    for block in network.blocks:
        block.register_forward_hook(lambda block, given, maps: layouts.append(maps))
    network(torch.randn(2, 8) if build == "generator" else torch.randn(2, 3, 16, 16))
    assert len(layouts) == len(network.blocks)
    assert all(maps.is_contiguous(memory_format=torch.channels_last) for maps in layouts)


@pytest.mark.parametrize("classes", [0, 3])
def test_synchronized_batch_norm_gives_the_same_images(classes):
    """As `trainer.sync_batchnorm=true` converts it: a synchronized layer takes no label."""
    generator = resnet.generator(8, 1, latent_dim=5, width=4, classes=classes)
    generator(torch.randn(16, 5), torch.arange(16) % 3)  # running statistics other than 0 and 1
    generator.eval()
    latent, label = torch.randn(2, 5), torch.tensor([0, 2])
    before, keys = generator(latent, label), generator.state_dict().keys()
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(generator)
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in synced.modules()) == 5
    assert synced.state_dict().keys() == keys
    assert torch.equal(synced(latent, label), before)
