"""Encoders of captions (N, T), ids of zoo/media/text.py, to embeddings (N, F).

Ids are 0 after the end of a caption. Padding does not change an embedding.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import max_pool1d, one_hot, pad, relu

from zoo.media.text import ALPHABET, from_ids


class CharCNNRNN(nn.Module):
    """Convolutions of characters, then an RNN (Reed, Akata, Schiele, Lee 2016, arXiv 1605.05395).

    For a `width` of 256, three convolutions with kernels of 4 have 384, 512 and 256 channels. Max
    pooling by 3 follows the first two. An RNN of 256 units with ReLU, the mean over its states, and
    a linear layer follow. In the authors' HybridCNNLong, all captions are padded to 201 characters,
    the padding is not masked, and weights are initialized uniformly in ±0.08. This class has
    PyTorch's initialization.

    Args:
        embedding_dim: F.
        width: Units of the RNN.
    """

    def __init__(self, embedding_dim: int, width: int):
        super().__init__()
        widths = len(ALPHABET), max(3 * width // 2, 1), 2 * width, width
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, 4) for before, after in pairwise(widths)
        )
        self.rnn = nn.RNN(width, width, nonlinearity="relu", batch_first=True)
        self.embedding = nn.Linear(width, embedding_dim)

    def forward(self, text: Tensor) -> Tensor:
        present = (text > 0)[:, None].to(self.embedding.weight.dtype)  # (N, 1, T)
        maps = one_hot(text, len(ALPHABET) + 1)[:, :, 1:].mT.to(present.dtype)  # (N, A, T)
        for conv, pooling in zip(self.convs, (3, 3, 1), strict=True):
            maps = relu(conv(pad(maps, (0, 3)))) * present
            maps, present = (max_pool1d(x, pooling, ceil_mode=True) for x in (maps, present))
        return self.embedding(masked_mean(self.rnn(maps.mT)[0], present.mT))


class GRU(nn.Module):
    """A GRU, the mean over its states, and a linear layer.

    Args:
        embedding_dim: F.
        width: Units of the GRU.
    """

    def __init__(self, embedding_dim: int, width: int):
        super().__init__()
        self.characters = nn.Embedding(len(ALPHABET) + 1, width, padding_idx=0)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.embedding = nn.Linear(width, embedding_dim)

    def forward(self, text: Tensor) -> Tensor:
        states, _ = self.gru(self.characters(text))  # (N, T, width)
        return self.embedding(masked_mean(states, (text > 0)[:, :, None].to(states.dtype)))


class Pretrained(nn.Module):
    """A frozen Hugging Face encoder. The embedding is the mean of its last hidden states, (N, F).

    Captions consist of the characters of zoo/media/text.py. The encoder's tokenizer splits them and
    truncates long ones. The weights must be safetensors.

    Args:
        name: Name or folder of the encoder.

    Raises:
        ValueError: transformers is not installed, the encoder does not exist, or its configuration
            has no hidden_size, F.
    """

    def __init__(self, name: str):
        super().__init__()
        choices = f"model.encoder={name}: choose one of {', '.join(ENCODERS)}"
        try:
            from transformers import AutoModel, AutoTokenizer

            # Without this argument, transformers asks in the terminal whether to run remote code.
            self.tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            safe = {"use_safetensors": True, "trust_remote_code": False}
            self.network = AutoModel.from_pretrained(name, **safe)
        except ImportError as error:
            raise ValueError(
                f"{choices}, or install transformers to use an encoder of Hugging Face: "
                "pip install transformers."
            ) from error
        except OSError as error:
            raise ValueError(f"{choices}, or an encoder of Hugging Face: {error}") from error
        self.size = getattr(self.network.config, "hidden_size", None)
        if self.size is None:
            raise ValueError(f"{choices}, or an encoder of Hugging Face that has a hidden_size.")
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Pretrained":
        return super().train(False)  # always in eval mode

    def forward(self, text: Tensor) -> Tensor:
        settings = {"padding": True, "truncation": True, "return_tensors": "pt"}
        tokens = self.tokenizer(from_ids(text), **settings).to(text.device)
        states = self.network(**tokens).last_hidden_state  # (N, T', F)
        return masked_mean(states, tokens["attention_mask"][:, :, None].to(states.dtype))


ENCODERS: dict[str, type[CharCNNRNN] | type[GRU]] = {"char_cnn_rnn": CharCNNRNN, "gru": GRU}


def masked_mean(states: Tensor, present: Tensor) -> Tensor:
    """Average states (N, T, F) over the steps where present (N, T, 1) is 1: (N, F)."""
    return (states * present).sum(dim=1) / present.sum(dim=1)
