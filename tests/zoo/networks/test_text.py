import pytest
import torch
from torch import nn

from zoo.networks.text import ENCODERS, mean
from zoo.text import to_ids

CAPTIONS = ["a", "a small red circle", "the left has a square that is green and large"]


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_after_the_end_of_a_caption_does_not_matter(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name](5, 4).double()
    together = encoder(to_ids(CAPTIONS))
    assert together.shape == (3, 5)
    for length in (45, 46, 47, 48, 201):
        torch.testing.assert_close(encoder(to_ids(CAPTIONS, length)), together)
    for caption, embedding in zip(CAPTIONS, together, strict=True):
        torch.testing.assert_close(encoder(to_ids([caption]))[0], embedding)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_character_matters_and_so_does_their_order(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name](5, 8).double()
    caption = "a red dog"
    whole = encoder(to_ids([caption]))
    for place in range(len(caption)):
        other = encoder(to_ids([f"{caption[:place]}z{caption[place + 1 :]}"]))
        assert (other - whole).abs().max() > 1e-6, place
    assert (encoder(to_ids(["dog red a"])) - whole).abs().max() > 1e-6


def test_the_mean_is_over_the_steps_that_are_there():
    steps = torch.tensor([[[1.0], [3.0], [50.0]], [[2.0], [4.0], [9.0]]])
    present = torch.tensor([[[1.0], [1.0], [0.0]], [[1.0], [1.0], [1.0]]])
    assert mean(steps, present).tolist() == [[2.0], [5.0]]


def test_the_char_cnn_rnn_has_the_papers_sizes():
    """384, 512 and 256 maps of 4 characters; 69 of the 70, one of which is there twice."""
    encoder = ENCODERS["char_cnn_rnn"](1024, 256)
    shapes = [tuple(conv.weight.shape) for conv in encoder.convs]
    assert shapes == [(384, 69, 4), (512, 384, 4), (256, 512, 4)]
    assert isinstance(encoder.rnn, nn.RNN)
    assert encoder.rnn.hidden_size == 256
    steps = []
    encoder.rnn.register_forward_hook(lambda _, given, __: steps.append(given[0].shape))
    encoder(to_ids(["x" * 201]))
    assert steps == [(1, 23, 256)], "18 in the authors' code, which does not pad at the end"


@pytest.mark.parametrize("name", ENCODERS)
def test_they_run_in_mixed_precision(name):
    encoder = ENCODERS[name](5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        encoder(to_ids(CAPTIONS)).sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
