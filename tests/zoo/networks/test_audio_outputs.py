"""Output distributions of WaveNet: softmax over mu-law levels, mixture of logistics."""

import math

import pytest
import torch

from zoo.networks.audio_outputs import LinearEmbedding, LogisticMixture, MuLaw


def test_mu_law_is_that_of_the_paper():
    """f(x) = sign(x) ln(1 + 255 |x|) / ln 256, quantized to 256 levels."""
    distribution = MuLaw(256, mixtures=0)
    levels = torch.arange(256)
    audio = distribution.decode(levels, torch.float64)
    assert torch.equal(distribution.encode(audio), levels)
    assert audio[[0, 255]].tolist() == pytest.approx([-1, 1])
    assert torch.allclose(audio, -audio.flip(0))
    assert audio[191].item() == pytest.approx((256 ** (127 / 255) - 1) / 255)
    x = torch.tensor([0.0, 0.01, -0.5, 2.0])
    companded = [math.log(1 + 255 * v) / math.log(256) for v in (0.01, 0.5)]
    expected = [128, round(127.5 * (1 + companded[0])), round(127.5 * (1 - companded[1])), 255]
    assert distribution.encode(x).tolist() == expected
    assert distribution.encode(x.double()).tolist() == expected


def outputs(logits, means, log_scales):
    return torch.tensor([*logits, *means, *log_scales], dtype=torch.float64)[None, None]


def test_the_logistics_give_each_level_the_mass_of_its_bin():
    """Compared with differences of the cumulative distribution function."""
    distribution = LogisticMixture(16, mixtures=2)
    out = outputs([0.3, -0.2], [-0.4, 0.5], [0.1, 1.5])
    levels = torch.arange(16)[None]
    nll = distribution.elementwise_nll(out.expand(1, 16, -1), levels)[0]
    shares = torch.tensor([0.3, -0.2], dtype=torch.float64).softmax(dim=0)
    means = (torch.tensor([-0.4, 0.5], dtype=torch.float64) + 1) * 7.5
    scales = (torch.tensor([0.1, 1.5], dtype=torch.float64) - 2).exp() * 7.5
    edges = torch.tensor([-math.inf, *(k + 0.5 for k in range(15)), math.inf]).double()
    below = ((edges[:, None] - means) / scales).sigmoid() @ shares
    torch.testing.assert_close(nll, -below.diff().log())
    assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-14)


def test_the_logistics_are_exact_and_finite_far_from_their_means():
    """The nll of a level in the tail is its distance over the scale; probabilities sum to 1."""
    distribution = LogisticMixture(65536, mixtures=1)
    out = outputs([0.0], [-0.9], [-6.0]).requires_grad_()
    mean, scale = 0.1 * 32767.5, math.exp(-8) * 32767.5
    far = distribution.elementwise_nll(out, torch.tensor([[60000]]))
    mass = math.log(-math.expm1(-1 / scale))
    assert far.item() == pytest.approx((60000 - 0.5 - mean) / scale - mass, rel=1e-12)
    far.sum().backward()
    assert out.grad.isfinite().all()
    single = distribution.elementwise_nll(out.detach().float(), torch.tensor([[60000]]))
    assert single.item() == pytest.approx(far.item(), rel=1e-5)
    for log_scale in (-20.0, -6.0, 3.0):
        every = outputs([0.0], [0.3], [log_scale]).expand(1, 65536, -1)
        nll = distribution.elementwise_nll(every, torch.arange(65536)[None])
        assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("distribution", "out"),
    [
        (MuLaw(8, 0), torch.linspace(-1, 1, 8).double()[None, None]),
        (LogisticMixture(8, 2), outputs([0.3, -0.2], [-0.4, 0.9], [1.0, 0.5])),
    ],
)
def test_levels_are_sampled_with_their_probabilities(distribution, out):
    """Of uniforms on a fine lattice, each level's share is its probability."""
    ticks = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    uniforms = torch.cartesian_prod(ticks, ticks) if distribution.uniforms == 2 else ticks[:, None]
    samples = distribution.choose(out[0].expand(len(uniforms), -1), uniforms)
    shares = samples.bincount(minlength=8).double() / len(uniforms)
    expected = (-distribution.elementwise_nll(out.expand(1, 8, -1), torch.arange(8)[None])[0]).exp()
    torch.testing.assert_close(shares, expected, rtol=0, atol=3e-3)


def test_half_precision_keeps_levels_near_zero_apart():
    """Levels are rounded after scaling to [-1, 1], where small numbers keep their digits."""
    values = LinearEmbedding(65536, 1).bfloat16()
    values.weight.data[:], values.bias.data[:] = 1, 0
    seen = values(torch.tensor([32767, 32768, 32780]))[:, 0].float()
    expected = torch.tensor([-1.0, 1.0, 25.0]) / 65535
    torch.testing.assert_close(seen, expected, rtol=2**-8, atol=0)
