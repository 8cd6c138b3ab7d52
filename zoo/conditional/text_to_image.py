"""Text-to-image GAN (Reed et al. 2016, arXiv 1605.05396): GAN-CLS, GAN-INT, GAN-INT-CLS."""

from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.engine.stepping import warn_of_early_end
from zoo.losses import (
    gan_discriminator_loss,
    joint_embedding_loss,
    matching_loss,
    mse_loss,
    nonsaturating_generator_loss,
)
from zoo.media.text import ALPHABET
from zoo.metrics.caption_accuracy import caption_scores
from zoo.networks import autoencoder as coders
from zoo.networks.text_encoders import ENCODERS, Pretrained
from zoo.networks.text_to_image import Discriminator, Generator
from zoo.plots.captions import caption_figures

LOSSES = ("vanilla", "cls", "int", "int_cls")


class TextToImage(GenerativeModule):
    """GAN whose generator and discriminator are conditioned on the embedding φ(t) of a caption t.

    In the first `encoder_steps` batches φ is trained jointly with an image encoder, so that
    embeddings of captions and images of the same class are similar. Then φ is frozen and the GAN is
    trained. At the same time, a style encoder S learns to predict the latent z of samples. S does
    not affect the GAN.

    Args:
        image_size: Height and width of the images: k * 2^n with k from 2 to 7 and n >= 2.
        image_channels: Channels of the images.
        loss: "vanilla", "cls", "int" or "int_cls". "cls" (GAN-CLS) also trains the discriminator to
            reject real images with a mismatched caption. "int" (GAN-INT) also trains the generator
            on half a batch of interpolated embeddings. "int_cls" does both.
        encoder: φ: "char_cnn_rnn", "gru", or the name or folder of a frozen Hugging Face encoder,
            which needs encoder_steps=0.
        encoder_width: Hidden units of φ.
        encoder_steps: Number of batches in which φ is trained.
        embedding_dim: Size of φ(t).
        projection_dim: Size to which both networks project φ(t).
        latent_dim: Size of the latents, which are standard normal.
        width: Channels of the generator's last hidden layer. The first layers of the discriminator
            and the image encoders have half as many.
        cls_weight: Weight of mismatched pairs in the discriminator's loss. The weight of generated
            images is 1 - cls_weight. The paper's is 1/2.
        beta: Weight of t in beta φ(t) + (1 - beta) φ(t'), eq. 5.
        lr: Adam's learning rate for the GAN and the style encoder.
        encoder_lr: Adam's learning rate for φ.
        beta1: Adam's beta1.
        beta2: Adam's beta2.

    Deviations: the image encoder that trains φ is small and starts from random weights. The paper
        uses a trained GoogLeNet. One caption is embedded at a time. The authors' code averages
        four. t' is the caption of the mismatched image. The authors use a matching caption of
        another image. Learning rates are constant. The authors halve those of the GAN every 100
        epochs. φ is trained with Adam. The authors use RMSprop at 7e-4 * 0.98^epoch.
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
            raise ValueError(f"model.loss={loss}: choose one of {', '.join(LOSSES)}.")
        if encoder not in ENCODERS and encoder_steps:
            raise ValueError(
                f"model.encoder={encoder} is none of {', '.join(ENCODERS)}. An encoder of Hugging "
                "Face is frozen: set model.encoder_steps=0."
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

    def build_image_encoder(self) -> nn.Module:
        """Images (N, C, H, W) -> embeddings (N, F)."""
        return self._image_encoder(self.hparams.embedding_dim)

    def build_text_encoder(self) -> nn.Module:
        """Captions (N, T) -> embeddings (N, F)."""
        hp = self.hparams
        if hp.encoder in ENCODERS:
            return ENCODERS[hp.encoder](hp.embedding_dim, hp.encoder_width)
        encoder = Pretrained(hp.encoder)
        if encoder.size != hp.embedding_dim:
            raise ValueError(
                f"model.encoder={hp.encoder} needs model.embedding_dim={encoder.size}."
            )
        return encoder

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W) and embeddings (N, F) -> logits (N,)."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.embedding_dim, hp.projection_dim
        return Discriminator(*shape, max(hp.width // 2, 1))

    def build_generator(self) -> nn.Module:
        """Latents (N, Z) and embeddings (N, F) -> images (N, C, H, W) in [-1, 1]."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.latent_dim, hp.embedding_dim
        return Generator(*shape, hp.projection_dim, hp.width)

    def build_style_encoder(self) -> nn.Module:
        """Images (N, C, H, W) -> latents (N, Z)."""
        return self._image_encoder(self.hparams.latent_dim)

    def _image_encoder(self, outputs: int) -> nn.Module:
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, outputs, max(hp.width // 2, 1)
        return coders.Encoder("conv", *shape)

    def prior(self, count: int) -> Tensor:
        """Sample latents (count, Z)."""
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    @torch.no_grad()
    def embed(self, text: Tensor) -> Tensor:
        """Return φ (N, F) of captions (N, T)."""
        return self.text_encoder(text)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        text = condition["text"]
        if not torch.compiler.is_compiling() and (
            not text.any(dim=1).all() or text.min() < 0 or text.max() > len(ALPHABET)
        ):
            raise ValueError("text: each row must hold the ids of a caption, zoo.media.text.to_ids")
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        return self.generator(latent, self.embed(text))

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the discriminator's logits (N,) of images, given the captions of a batch."""
        return self.discriminator(images, self.embed(batch["text"]))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        encoder_optimizer, *optimizers = self.optimizers()
        if self.clock <= self.hparams.encoder_steps:
            with self.turn(encoder_optimizer):
                losses = {"encoder_loss": self.encoder_loss(batch)}
                self.manual_backward(losses["encoder_loss"])
        else:
            losses = self.gan_step(batch, *optimizers)
        self.log_losses(**losses)

    def encoder_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the joint embedding loss of the whole batch, over all processes."""
        image, text = self.image_encoder(batch["image"]), self.text_encoder(batch["text"])
        parts, gather = [image, text, batch["label"]], cast(Any, self.all_gather)
        if self.trainer.world_size > 1:
            parts = [gather(part, sync_grads=True).flatten(0, 1) for part in parts]
        return joint_embedding_loss(*parts)

    def gan_step(self, batch: dict[str, Tensor], *optimizers: Any) -> dict[str, Tensor]:
        """Update discriminator, generator and style encoder; return the losses (Algorithm 1)."""
        discriminator_optimizer, generator_optimizer, style_optimizer = optimizers
        embedding, losses = self.embed(batch["text"]), {}  # (N, F)
        with self.turn(discriminator_optimizer):
            losses["discriminator_loss"] = self.discriminator_loss(batch, embedding)
            self.manual_backward(losses["discriminator_loss"])
        with self.turn(generator_optimizer):
            between = self.interpolate_embeddings(embedding, batch)
            embeddings = torch.cat([embedding, between])  # (N or N + N // 2, F)
            latent = self.prior(len(embeddings))
            fake = self.generator(latent, embeddings)
            fake_logit = self.discriminator(fake, embeddings)
            losses["generator_loss"] = nonsaturating_generator_loss(fake_logit)
            self.manual_backward(losses["generator_loss"])
        with self.turn(style_optimizer):
            losses["style_loss"] = mse_loss(self.style_encoder(fake.detach()), latent)  # eq. 6
            self.manual_backward(losses["style_loss"])
        return losses

    def discriminator_loss(self, batch: dict[str, Tensor], embedding: Tensor) -> Tensor:
        """Return the loss on matching, generated and, with "cls", mismatched pairs."""
        with torch.no_grad():
            fake = self.generator(self.prior(len(embedding)), embedding)
        real_logit = self.discriminator(batch["image"], embedding)
        fake_logit = self.discriminator(fake, embedding)
        weight = self.hparams.cls_weight if "wrong_image" in self.needs else 0.0
        if not weight:
            return gan_discriminator_loss(real_logit, fake_logit)
        wrong_logit = self.discriminator(batch["wrong_image"], embedding)
        return matching_loss(real_logit, fake_logit, wrong_logit, weight)

    def interpolate_embeddings(self, embedding: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Interpolate φ(t) and φ(t') of half the batch, eq. 5. Without "int" return none."""
        count = len(embedding) // 2 if "wrong_text" in self.needs else 0
        if not count:
            return embedding[:0]
        return self.embed(batch["wrong_text"][:count]).lerp(embedding[:count], self.hparams.beta)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        warn_of_early_end(self, "encoder_steps")

    def configure_optimizers(self) -> list[Optimizer]:
        hp = self.hparams
        encoders = nn.ModuleList([self.image_encoder, self.text_encoder])
        players = [self.discriminator, self.generator, self.style_encoder]
        rates = [(encoders, hp.encoder_lr), *((player, hp.lr) for player in players)]
        return [
            torch.optim.Adam(player.parameters(), lr=rate, betas=(hp.beta1, hp.beta2))
            for player, rate in rates
        ]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return caption_scores(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return caption_figures(self, data)
