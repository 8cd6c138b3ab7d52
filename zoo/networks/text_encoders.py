"""Encoders of captions: ids (N, T) of zoo/media/text.py, 0 after their end -> embeddings (N, F).

What is after the end of a caption does not matter: an embedding is the same whatever T is.
"""

from itertools import pairwise

from torch import nn
from torch.nn.functional import max_pool1d, one_hot, pad, relu

from zoo.media.text import ALPHABET, from_ids


class CharCNNRNN(nn.Module):
    """Reed, Akata, Schiele, Lee 2016 (arXiv 1605.05395): convolutions of characters, then an RNN.

    384, 512 and 256 maps of four characters for a `width` of 256, the first two pooled by three; an
    RNN of 256 units with ReLU, the mean over its steps, and a linear layer. In the authors'
    HybridCNNLong all captions are 201 characters long, so that what is after their end is seen, and
    weights begin uniform in ±0.08; here by torch's defaults.
    """

    def __init__(self, embedding_dim, width):
        super().__init__()
        widths = len(ALPHABET), max(3 * width // 2, 1), 2 * width, width
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, 4) for before, after in pairwise(widths)
        )
        self.rnn = nn.RNN(width, width, nonlinearity="relu", batch_first=True)
        self.embedding = nn.Linear(width, embedding_dim)

    def forward(self, text):
        present = (text > 0)[:, None].to(self.embedding.weight.dtype)  # (N, 1, T)
        maps = one_hot(text, len(ALPHABET) + 1)[:, :, 1:].mT.to(present.dtype)
        for conv, pooled in zip(self.convs, (3, 3, 1), strict=True):
            maps = relu(conv(pad(maps, (0, 3)))) * present
            maps, present = (max_pool1d(x, pooled, ceil_mode=True) for x in (maps, present))
        return self.embedding(mean(self.rnn(maps.mT)[0], present.mT))


class GRU(nn.Module):
    """A small one: the mean over the steps of a GRU of `width` units, and a linear layer."""

    def __init__(self, embedding_dim, width):
        super().__init__()
        self.characters = nn.Embedding(len(ALPHABET) + 1, width, padding_idx=0)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.embedding = nn.Linear(width, embedding_dim)

    def forward(self, text):
        steps, _ = self.gru(self.characters(text))
        return self.embedding(mean(steps, (text > 0)[:, :, None].to(steps.dtype)))


class Pretrained(nn.Module):
    """A frozen encoder of Hugging Face, by its name or folder: the mean of its last states, (N, F).

    It splits the captions, in the alphabet of zoo/media/text.py, by its own tokenizer, and cuts off
    those that are too long for it. Its weights must be safetensors. ValueError where transformers
    is not installed, or has no such encoder, or one that does not say its hidden_size, F.
    """

    def __init__(self, name):
        super().__init__()
        others = f"model.encoder={name}: there are {', '.join(ENCODERS)}"
        try:
            from transformers import AutoModel, AutoTokenizer

            # Without the argument transformers asks on the terminal whether to run remote code.
            self.tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            safe = {"use_safetensors": True, "trust_remote_code": False}
            self.network = AutoModel.from_pretrained(name, **safe)
        except ImportError as error:
            raise ValueError(f"{others} and, with pip install transformers, others.") from error
        except OSError as error:
            raise ValueError(f"{others} and those of Hugging Face, but: {error}") from error
        self.size = getattr(self.network.config, "hidden_size", None)
        if self.size is None:
            raise ValueError(f"{others} and those of Hugging Face that have a hidden_size.")
        self.requires_grad_(False).eval()

    def train(self, mode=True):
        return super().train(False)

    def forward(self, text):
        split = {"padding": True, "truncation": True, "return_tensors": "pt"}
        tokens = self.tokenizer(from_ids(text), **split).to(text.device)
        states = self.network(**tokens).last_hidden_state
        return mean(states, tokens["attention_mask"][:, :, None].to(states.dtype))


ENCODERS = {"char_cnn_rnn": CharCNNRNN, "gru": GRU}


def mean(steps, present):
    """(N, F) of (N, T, F), over the steps that are there, (N, T, 1)."""
    return (steps * present).sum(dim=1) / present.sum(dim=1)
