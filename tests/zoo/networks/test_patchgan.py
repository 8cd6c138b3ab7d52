"""What a logit sees, by autograd, and how many weights it takes (Isola et al. 2017)."""

import pytest
import torch
from torch import nn

from zoo.networks.patchgan import FIELDS, PatchGAN

# Halvings of 256 but for what the two last layers of 4x4 kernels cut off at the edges.
MAPS = {1: 256, 16: 126, 34: 62, 70: 30, 142: 14, 286: 6}


@pytest.mark.parametrize("field", FIELDS)
def test_a_logit_depends_on_a_patch_of_n_pixels(field):
    network = PatchGAN(512, 1, 2, field).eval()
    images = torch.randn(1, 1, 512, 512, requires_grad=True)
    logits = network(images)
    middle = logits.shape[1] // 2
    logits[0, middle, middle].backward()
    rows, columns = images.grad[0, 0].nonzero().T
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (field, field)
    assert len(rows) == field**2


@pytest.mark.parametrize("field", FIELDS)
def test_the_map_of_logits(field):
    logits = PatchGAN(256, 6, 2, field)(torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 256, 256))
    assert logits.shape == (1, MAPS[field], MAPS[field])


# With batch norm, as the authors' code: weights of convolutions, biases of the first and the last,
# two numbers a channel of batch norm.
COUNTS = {
    1: 6 * 64 + 64 + 64 * 128 + 2 * 128 + 128 + 1,
    16: 16 * (6 * 64 + 64 * 128 + 128) + 64 + 1 + 2 * 128,
    34: 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256) + 64 + 1 + 2 * (128 + 256),
    70: 2_768_705,
    286: 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512 + 512)
    + 64
    + 1
    + 2 * (128 + 256 + 3 * 512),
}


@pytest.mark.parametrize("field", COUNTS)
def test_the_number_of_parameters(field):
    assert (
        sum(p.numel() for p in PatchGAN(256, 6, 64, field, "batch").parameters()) == COUNTS[field]
    )


@pytest.mark.parametrize(
    ("norm", "layer"), [("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d)]
)
def test_no_norm_is_at_the_first_and_the_last_layer(norm, layer):
    kinds = [type(module) for module in PatchGAN(256, 6, 2, 70, norm).layers]
    assert kinds[:3] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d]
    assert kinds[-1] is nn.Conv2d
    assert kinds.count(layer) == 3


@pytest.mark.parametrize("field", [1, 34])
def test_a_convolution_has_a_bias_where_no_norm_follows(field):
    plain, normed = (PatchGAN(64, 2, 4, field, norm).layers for norm in ("none", "batch"))
    assert not any(isinstance(m, (nn.BatchNorm2d, nn.InstanceNorm2d)) for m in plain)
    assert all(m.bias is not None for m in plain if isinstance(m, nn.Conv2d))
    biases = [m.bias is not None for m in normed if isinstance(m, nn.Conv2d)]
    assert biases == [True, *[False] * (len(biases) - 2), True]


def means_apart(norm, seeds=8):
    """How far the mean logits of a batch and of a darker, flatter one are apart, at the start.

    In units of the spread of the logits of the first, the mean over seeds.
    """
    found = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        network = PatchGAN(32, 2, 16, 16, norm).train()
        images, source = torch.randn(2, 16, 1, 32, 32)
        with torch.no_grad():
            one, other = network(images, source), network(0.5 * images - 0.5, source)
        found.append((one.mean() - other.mean()).abs() / one.std())
    return torch.stack(found).mean().item()


def test_batch_norm_hides_what_tells_two_batches_apart():
    """Why there is none by default: real and generated images are two batches."""
    assert means_apart("none") > 10 * means_apart("batch")
    assert means_apart("none") > 10 * means_apart("instance")


def test_logits_start_with_a_spread_without_a_norm():
    """N(0, 0.02), which is for layers before a norm, left a spread of 0.01 at this width."""
    for field in (1, 16, 70):
        torch.manual_seed(0)
        network = PatchGAN(32, 2, 16, field)
        assert 0.2 < network(torch.randn(16, 2, 32, 32)).std().item() < 3


def test_it_sees_the_source_beside_the_image_in_each_patch():
    network = PatchGAN(32, 2, 2, 1).eval()
    images, source = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    source[..., 5, 7] = 1
    changed = (network(images, source) != network(images, torch.zeros_like(source))).nonzero()
    assert changed.tolist() == [[0, 5, 7]]


def test_wrong_settings_are_refused():
    with pytest.raises(
        ValueError, match=r"receptive_field=50: choose one of 1, 16, 34, 70, 142, 286"
    ):
        PatchGAN(256, 6, 64, 50)
    with pytest.raises(ValueError, match="norm=layer: choose one of none, instance, batch"):
        PatchGAN(256, 6, 64, 70, "layer")
    with pytest.raises(ValueError, match="needs images of at least 24 pixels, not 16"):
        PatchGAN(16, 6, 64, 70)
    assert PatchGAN(24, 2, 2, 70)(torch.zeros(2, 2, 24, 24)).shape == (2, 1, 1)
    assert PatchGAN(6, 2, 2, 16)(torch.zeros(2, 2, 6, 6)).shape == (2, 1, 1)
