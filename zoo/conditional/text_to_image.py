"""Text to image by a GAN (Reed et al. 2016, arXiv 1605.05396): GAN-CLS, GAN-INT, GAN-INT-CLS."""

from typing import Annotated

import torch
from torch import nn
from torch.nn.functional import relu, softplus

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.engine.stepping import warn_of_early_end
from zoo.losses import gan_discriminator_loss, mse_loss, nonsaturating_generator_loss
from zoo.media.text import ALPHABET
from zoo.metrics.caption_accuracy import caption_scores
from zoo.networks import autoencoder as coders
from zoo.networks.text_encoders import ENCODERS, Pretrained
from zoo.networks.text_to_image import Discriminator, Generator
from zoo.plots.captions import caption_figures
from zoo.precision import full_precision

LOSSES = ("vanilla", "cls", "int", "int_cls")


class TextToImage(GenerativeModule):
    """G(z, φ(t)) looks real, and as the caption t says, to a discriminator that is told t.

    loss: vanilla is that; cls (GAN-CLS) has the discriminator tell images of another class, too,
    from those that fit the caption, with the weight cls_weight (1 - cls_weight are for G's); int
    (GAN-INT) has half as many captions again for the generator alone, which lie between two,
    beta φ(t) + (1 - beta) φ(t'); int_cls has both.

    encoder: of the text, φ, char_cnn_rnn or gru, of `encoder_width`. It is trained by the first
    encoder_steps batches, together with one of images, to tell a caption and an image of one class
    from those of two; then it stands still, and the others begin. The name or folder of an encoder
    of Hugging Face is one that stands still from the start, with encoder_steps=0. The style encoder
    S, which finds the z of an image, is trained on samples and moves none of the others.

    projection_dim: of φ as both players see it. width: channels of the generator's last layer, and
    twice those of the encoders' and the discriminator's first.

    Deviations: the image encoder of φ is small and begins at random, where the paper's is a trained
    GoogLeNet; an image has one caption at a time, where the authors' code takes the mean of four
    embeddings; t' is the caption of the wrong image, where theirs is of another right one. Learning
    rates are constant, where the authors halve those of the players every 100 epochs; φ is trained
    by Adam, where the authors use RMSprop at 7e-4, multiplied by 0.98 after each epoch.
    """

    needs = ("image", "text", "label")
    conditions = ("text",)

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        loss: str = "int_cls",
        encoder: str = "char_cnn_rnn",
        encoder_width: int = 256,
        encoder_steps: Annotated[int, "[0, inf)"] = 5000,
        embedding_dim: int = 1024,
        projection_dim: int = 128,
        latent_dim: int = 100,
        width: int = 128,
        cls_weight: Annotated[float, "[0, 1]"] = 0.5,
        beta: Annotated[float, "[0, 1]"] = 0.5,
        lr: float = 2e-4,
        encoder_lr: float = 7e-4,
        beta1: float = 0.5,
        beta2: float = 0.999,
        **shared,
    ):
        if loss not in LOSSES:
            raise ValueError(f"model.loss={loss}: there are {', '.join(LOSSES)}.")
        if encoder not in ENCODERS and encoder_steps:
            raise ValueError(
                f"model.encoder={encoder} is none of {', '.join(ENCODERS)}: one of Hugging Face is "
                "not trained, and needs model.encoder_steps=0."
            )
        super().__init__(**shared)
        hp = self.hparams
        wrong_image, wrong_text = hp.loss.endswith("cls"), hp.loss.startswith("int")
        self.needs += ("wrong_image",) * wrong_image + ("wrong_text",) * wrong_text
        self.image_encoder = self.build_image_encoder()
        self.text_encoder = self.build_text_encoder()
        self.discriminator = self.build_discriminator()
        self.generator = self.build_generator()
        self.style_encoder = self.build_style_encoder()

    def build_image_encoder(self):
        """(N, C, H, W) -> (N, F)"""
        return self._encoder(self.hparams.embedding_dim)

    def build_text_encoder(self):
        """(N, T) -> (N, F)"""
        hp = self.hparams
        if hp.encoder in ENCODERS:
            return ENCODERS[hp.encoder](hp.embedding_dim, hp.encoder_width)
        encoder = Pretrained(hp.encoder)
        if encoder.size != hp.embedding_dim:
            raise ValueError(
                f"model.encoder={hp.encoder} needs model.embedding_dim={encoder.size}."
            )
        return encoder

    def build_discriminator(self):
        """(N, C, H, W), (N, F) -> (N,)"""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.embedding_dim, hp.projection_dim
        return Discriminator(*shape, max(hp.width // 2, 1))

    def build_generator(self):
        """(N, Z), (N, F) -> (N, C, H, W)"""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.latent_dim, hp.embedding_dim
        return Generator(*shape, hp.projection_dim, hp.width)

    def build_style_encoder(self):
        """(N, C, H, W) -> (N, Z)"""
        return self._encoder(self.hparams.latent_dim)

    def _encoder(self, outputs):
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, outputs, max(hp.width // 2, 1)
        return coders.Encoder("conv", *shape)

    def prior(self, count):
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    @torch.no_grad()
    def embed(self, text):
        """φ (N, F) of texts (N, T)."""
        return self.text_encoder(text)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        text = condition["text"]
        if not text.any(dim=1).all() or text.min() < 0 or text.max() > len(ALPHABET):
            raise ValueError(
                "text: ids of zoo.media.text.to_ids are needed, and a caption in each row"
            )
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        return self.generator(latent, self.embed(text))

    def discriminate(self, images, batch):
        """Logits (N,) of images under the captions of a batch."""
        return self.discriminator(images, self.embed(batch["text"]))

    def training_step(self, batch, batch_idx):
        encoder_optimizer, *optimizers = self.optimizers()
        if self.clock <= self.hparams.encoder_steps:
            with self.turn(encoder_optimizer):
                losses = {"encoder_loss": self.encoder_loss(batch)}
                self.manual_backward(losses["encoder_loss"])
        else:
            losses = self.play(batch, *optimizers)
        self.log_losses(**losses)

    def encoder_loss(self, batch):
        """The joint embedding loss of the whole batch, whatever processes share it."""
        image, text = self.image_encoder(batch["image"]), self.text_encoder(batch["text"])
        parts = [image, text, batch["label"]]
        if self.trainer.world_size > 1:
            parts = [self.all_gather(part, sync_grads=True).flatten(0, 1) for part in parts]
        return joint_embedding_loss(*parts)

    def play(self, batch, discriminator_optimizer, generator_optimizer, style_optimizer):
        """Algorithm 1 of the paper, and a turn of the style encoder: the losses."""
        embedding = self.embed(batch["text"])
        with self.turn(discriminator_optimizer):
            discriminator_loss = self.discriminator_loss(batch, embedding)
            self.manual_backward(discriminator_loss)
        with self.turn(generator_optimizer):
            told = torch.cat([embedding, self.interpolated(embedding, batch)])
            latent = self.prior(len(told))
            fake = self.generator(latent, told)
            generator_loss = nonsaturating_generator_loss(self.discriminator(fake, told))
            self.manual_backward(generator_loss)
        with self.turn(style_optimizer):
            style_loss = mse_loss(self.style_encoder(fake.detach()), latent)  # eq. 6, by its Z
            self.manual_backward(style_loss)
        return {
            "discriminator_loss": discriminator_loss,
            "generator_loss": generator_loss,
            "style_loss": style_loss,
        }

    def discriminator_loss(self, batch, embedding):
        """Of right, generated and, where the loss has them, wrong pairs."""
        with torch.no_grad():
            fake = self.generator(self.prior(len(embedding)), embedding)
        real_logit = self.discriminator(batch["image"], embedding)
        fake_logit = self.discriminator(fake, embedding)
        weight = self.hparams.cls_weight if "wrong_image" in self.needs else 0.0
        if not weight:
            return gan_discriminator_loss(real_logit, fake_logit)
        wrong_logit = self.discriminator(batch["wrong_image"], embedding)
        return matching_loss(real_logit, fake_logit, wrong_logit, weight)

    def interpolated(self, embedding, batch):
        """Embeddings between those of captions and of wrong ones: half as many, or none, eq. 5."""
        count = len(embedding) // 2 if "wrong_text" in self.needs else 0
        if not count:
            return embedding[:0]
        return self.embed(batch["wrong_text"][:count]).lerp(embedding[:count], self.hparams.beta)

    def on_fit_start(self):
        super().on_fit_start()
        warn_of_early_end(self, "encoder_steps")

    def configure_optimizers(self):
        hp = self.hparams
        encoders = nn.ModuleList([self.image_encoder, self.text_encoder])
        players = [self.discriminator, self.generator, self.style_encoder]
        rates = [(encoders, hp.encoder_lr), *((player, hp.lr) for player in players)]
        return [
            torch.optim.Adam(player.parameters(), lr=rate, betas=(hp.beta1, hp.beta2))
            for player, rate in rates
        ]

    def measure(self, data, split):
        return caption_scores(self, data, split)

    def figures(self, data):
        return caption_figures(self, data)


@full_precision
def matching_loss(real_logit, fake_logit, wrong_logit, weight):
    """-E log s_r - (1 - w) E log(1 - s_f) - w E log(1 - s_w), w the weight of wrong pairs.

    Reed et al. 2016, Algorithm 1, lines 7 to 10, where w is 1/2. Logits: (N,).
    """
    fake = (1 - weight) * softplus(fake_logit).mean() + weight * softplus(wrong_logit).mean()
    return softplus(-real_logit).mean() + fake


@full_precision
def joint_embedding_loss(image, text, label):
    """Σ [1 + F(vᵢ, tⱼ) - F(vᵢ, tᵢ)]₊ + [1 + F(vⱼ, tᵢ) - F(vᵢ, tᵢ)]₊ over N²; F(v, t) = ⟨v, t⟩.

    Reed, Akata, Schiele, Lee 2016 (arXiv 1605.05395), eqs. 2 to 4, as the authors' code has it: the
    sum is over the pairs of a batch that are of two classes. image, text: (N, F), label (N,), each
    -1 a class of its own.
    """
    scores = image @ text.T
    right = scores.diagonal()[:, None]
    wrong = (label[:, None] != label) | (label < 0)[:, None] & ~torch.eye(
        len(label), dtype=torch.bool, device=label.device
    )
    hinges = relu(1 + scores - right) + relu(1 + scores.T - right)
    return (hinges * wrong).sum() / len(label) ** 2
