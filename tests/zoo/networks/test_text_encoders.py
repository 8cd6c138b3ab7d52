import sys

import pytest
import torch
from torch import nn

from zoo.media.text import to_ids
from zoo.networks.text_encoders import ENCODERS, Pretrained, masked_mean

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
    assert masked_mean(steps, present).tolist() == [[2.0], [5.0]]


def test_the_char_cnn_rnn_has_the_papers_sizes():
    """384, 512 and 256 maps of 4 characters; 69 of the 70, one of which is there twice."""
    encoder = ENCODERS["char_cnn_rnn"](1024, 256)
    shapes = [tuple(conv.weight.shape) for conv in encoder.convs]
    assert shapes == [(384, 69, 4), (512, 384, 4), (256, 512, 4)]
    assert isinstance(encoder.rnn, nn.RNN)
    assert encoder.rnn.hidden_size == 256
    with torch.no_grad():  # ReLU has no upper bound, and nothing below 0
        states, _ = encoder.rnn(50 * torch.randn(2, 5, 256))
    assert states.min() == 0
    assert states.max() > 2
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


def tiny_bert(folder):
    """A folder with a BERT of 8 units that has learned nothing, and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *["a", "the", "small", "red", "circle", "left"],
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    vocabulary, length = str(folder / "vocab.txt"), 20
    transformers.BertTokenizerFast(vocabulary, model_max_length=length).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 8, "max_position_embeddings": length}
    config = transformers.BertConfig(vocab_size=len(words), **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def test_an_embedding_of_hugging_face_is_the_mean_of_the_states_of_the_tokens(tmp_path):
    encoder = Pretrained(tiny_bert(tmp_path))
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    embeddings = encoder(to_ids(CAPTIONS))
    ids = torch.tensor([[2, 5, 7, 8, 9, 3]])  # [CLS] a small red circle [SEP]
    expected = encoder.network(ids).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(embeddings[1:2], expected)
    torch.testing.assert_close(encoder(to_ids(CAPTIONS[1:2], 60)), expected)


def test_a_caption_is_cut_off_where_hugging_face_has_no_more_places(tmp_path):
    encoder = Pretrained(tiny_bert(tmp_path))
    long, cut = (encoder(to_ids([" ".join(["red"] * count)])) for count in (90, 18))
    torch.testing.assert_close(long, cut)


def test_weights_that_are_pickled_are_refused(tmp_path):
    folder = tiny_bert(tmp_path)
    state = Pretrained(folder).network.state_dict()
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"those of Hugging Face, but: .*safetensors"):
        Pretrained(folder)


def test_an_encoder_without_a_hidden_size_is_refused(tmp_path):
    folder = tiny_bert(tmp_path)
    transformers = pytest.importorskip("transformers")
    sizes = {"text_config": {"vocab_size": 11, "hidden_size": 8, "intermediate_size": 8}}
    sizes["text_config"] |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    sizes["vision_config"] = sizes["text_config"] | {"image_size": 8, "patch_size": 4}
    del sizes["vision_config"]["vocab_size"]
    clip = transformers.CLIPModel(transformers.CLIPConfig(**sizes, projection_dim=4))
    clip.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"encoder=.*: .*that have a hidden_size"):
        Pretrained(folder)


def test_without_transformers_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ValueError, match=r"char_cnn_rnn, gru, or install transformers .*pip install transformers"
    ):
        Pretrained("some/encoder")


def test_an_encoder_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ValueError, match=r"encoder=.*nothing: choose one of char_cnn_rnn, gru, or"):
        Pretrained(str(tmp_path / "nothing"))
