"""The encoder of captions: its loss, what it learns, and when it stands still."""

import pytest
import torch
from pytorch_lightning import Callback

from datamodules.captioned_shapes import CaptionedShapes
from tests import kit
from tests.zoo.conditional.test_text_to_image import small
from tests.zoo.networks.test_text_encoders import tiny_bert
from zoo.conditional.text_to_image import TextToImage
from zoo.losses import joint_embedding_loss


def test_the_joint_embedding_loss_by_hand():
    """F is 2 and -1 of the right pairs, 3 and 0 of image 0 with text 1 and the other way round."""
    image, text = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [3.0, -1.0]])
    of_image = [1 + 3 - 2, 1 + 0 + 1]  # its own caption against the other
    of_text = [1 + 0 - 2, 1 + 3 + 1]
    expected = sum(max(hinge, 0) for hinge in of_image + of_text) / 4
    loss = joint_embedding_loss(image, text, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(expected)
    assert joint_embedding_loss(image, text, torch.tensor([5, 5])).item() == 0
    assert joint_embedding_loss(image, text, torch.tensor([-1, -1])).item() == loss.item()
    alike = torch.ones(4, 2)
    of_two_classes = joint_embedding_loss(alike, alike, torch.tensor([0, 0, 1, 1]))
    assert of_two_classes.item() == 2 * 8 / 16, "twice the margin, for 8 of 16 pairs"


def test_the_encoder_is_trained_first_and_then_frozen(tmp_path):
    model = small(encoder_steps=3)
    moved, before = [], kit.weights(model)

    class Noting(Callback):
        def on_train_batch_end(self, trainer, model, *rest):
            now = kit.weights(model)
            changed = {n.split(".")[0] for n, v in now.items() if not torch.equal(v, before[n])}
            before.update(now)
            moved.append(changed)

    kit.fit(model, tmp_path, 5, callbacks=[Noting()])
    encoders = {"image_encoder", "text_encoder"}
    assert moved == [encoders] * 3 + [{"discriminator", "generator", "style_encoder"}] * 2


def test_the_encoder_learns_which_caption_an_image_has(tmp_path):
    """Of an image's own caption and one of another class, seconds of training find the own one."""
    data = CaptionedShapes(count=2000, val_count=0, batch_size=32)
    shape = {"image_size": 16, "image_channels": 3, "encoder_width": 16, "embedding_dim": 16}
    model = small(**shape | {"width": 16, "encoder": "gru", "encoder_lr": 3e-3})
    kit.fit(model, tmp_path, 80, data)
    source = data.source("test")
    given = source[torch.arange(400)]
    with model.evaluating():
        image = model.image_encoder(given["image"] / 127.5 - 1)
        text = model.embed(given["text"])
    other = given["label"] != given["label"].roll(1)
    right, wrong = (image * text).sum(dim=1), (image * text.roll(1, 0)).sum(dim=1)
    assert (right > wrong)[other].double().mean() > 0.85


def test_an_encoder_of_hugging_face_is_frozen_from_the_start(tmp_path):
    folder = tiny_bert(tmp_path)
    with pytest.raises(ValueError, match=r"needs model\.embedding_dim=8"):
        small(encoder=folder, encoder_steps=0)
    settings = {"encoder": folder, "encoder_steps": 0, "embedding_dim": 8}
    model, before = small(**settings), small(**settings)
    assert not model.text_encoder.training
    run = kit.fit(model, tmp_path, 2)
    kit.assert_same(kit.weights(model.text_encoder), kit.weights(before.text_encoder))
    assert not torch.equal(*(next(m.generator.parameters()) for m in (model, before)))
    run.save_checkpoint(tmp_path / "c.ckpt")
    loaded = TextToImage.load_from_checkpoint(tmp_path / "c.ckpt", weights_only=True)
    kit.assert_same(kit.weights(model), kit.weights(loaded))
