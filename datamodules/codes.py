"""The codes of images by a trained VQ-VAE, as data for its prior."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.image import ImageDataModule
from zoo.config.errors import UserError
from zoo.engine.loader import KeyedLoader, Subset
from zoo.media.images import from_levels, grid, to_levels, to_uint8
from zoo.runs.checkpoints import load_data, load_model
from zoo.runs.initial_weights import record
from zoo.runs.loaded_checkpoint import read

MAX_LEVELS = 256  # of models with a likelihood


class Codes(ImageDataModule):
    """Maps of the codes of a VQ-VAE: images of one channel with a gray level for each code.

    Any model of such images, such as pixelcnn or made, can be trained as the prior of the codes.
    Its samples are decoded for figures, and before metrics compare them with the real images.
    Images, splits and labels are those that the VQ-VAE was trained on. The model's num_levels is
    set to the number of codes, at most 256. Codes are sorted by the first principal component of
    their vectors, so that neighboring levels are similar.

    Args:
        checkpoint: The VQ-VAE: name of a pretrained model, a run's folder, a checkpoint file, or
            hf://user/repo[@revision].
        root: Folder of the images; null uses that of the VQ-VAE's training.
        download: Download the images if they are missing.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        batch_size: int = 64,
        root: str | None = None,
        download: bool = False,
    ):
        super().__init__()
        if checkpoint is None:
            raise UserError(
                "data=codes needs a VQ-VAE: set data.checkpoint=vqvae_digits, or a run."
            )
        loaded = read(checkpoint)
        self.hparams.checkpoint = record(checkpoint, loaded)["checkpoint"]  # from any folder
        self.network = load_model(loaded).requires_grad_(False)  # converts images and samples
        if not hasattr(self.network, "codebook"):
            raise UserError(
                f"data.checkpoint={checkpoint} is a {type(self.network).__name__}, which has no "
                "codes: choose a VQ-VAE."
            )
        self.num_levels = self.network.hparams.num_codes
        if self.num_levels > MAX_LEVELS:
            raise UserError(
                f"data.checkpoint={checkpoint} has {self.num_levels} codes, but models have up to "
                f"{MAX_LEVELS} levels: train the VQ-VAE with model.num_codes={MAX_LEVELS}."
            )
        chosen = {"root": root} if root is not None else {}
        self.origin = load_data(loaded, chosen | ({"download": True} if download else {}))
        self.origin.batch_size = self.batch_size
        self.image_size, self.image_channels = self.network.code_size, 1
        self.code_of_level = self.network.codebook.order()  # (K,)
        self.level_of_code = self.code_of_level.argsort()  # (K,)
        self.classes, self.class_names = self.origin.classes, self.origin.class_names
        self.extractor = self.origin.extractor
        self.name = f"codes of {self.origin.name}"
        self.on_demand = ()

    def prepare_data(self) -> None:
        self.origin.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        self.origin.trainer = self.trainer
        super().setup(stage)

    def source(self, split: str) -> Subset:
        return self.origin.source(split)

    def source_files(self, split: str) -> dict[str, Path]:
        return self.origin.source_files(split)

    def training_loader(self, **settings: Any) -> KeyedLoader:
        return self.origin.training_loader(**settings)

    @torch.no_grad()
    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        network = self.network.to(batch["image"].device)
        batch = self.origin.prepare_batch(batch, network)
        codes = network.encode(batch["image"])[:, None]  # (N, 1, h, w)
        levels = self.level_of_code.to(codes.device)[codes]
        return batch | {"image": from_levels(levels, self.num_levels).to(self.dtype)}

    @torch.no_grad()
    def denormalize(self, samples: Tensor) -> Tensor:
        """Return the decoded images, uint8 (N, C, H, W), of samples (N, 1, h, w) in [-1, 1]."""
        levels = to_levels(samples[:, 0], self.num_levels)
        codes = self.code_of_level.to(samples.device)[levels]
        return to_uint8(self.network.to(samples.device).decode(codes))

    def figure(self, samples: Tensor) -> Tensor:
        """Draw the decoded images of samples, uint8 (3, H, W)."""
        return grid(self.denormalize(samples))
