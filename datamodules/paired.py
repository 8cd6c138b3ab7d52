"""The base classes of paired images: each image has a source, which a model translates into it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from datamodules.image import ImageDataModule
from datamodules.loading.sources import Source
from zoo.config import trust
from zoo.config.errors import UserError
from zoo.engine.loader import Subset
from zoo.media.images import from_uint8, to_uint8


class PairedDataModule(ImageDataModule):
    """Pairs of images as batches of `image`, `source` and `index`.

    `source`, (N, C', H, W), is the input of a translation, and `image`, (N, C, H, W), its target.
    In training both are float in [-1, 1], and flipped alike. A subclass sets source_channels and
    overrides `open`.
    """

    provides = ("image", "source", "index")
    on_demand = ()
    source_channels = 3
    extractor: str | None = None

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        flip, source = batch.get("flip"), from_uint8(batch["source"], self.dtype)
        if flip is not None:
            source = source.where(~flip[:, None, None, None], source.flip(-1))
        return super().on_after_batch_transfer(batch, dataloader_idx) | {"source": source}


class DerivedDataModule(PairedDataModule):
    """Pairs whose sources are computed from the images of other data, in the splits of these.

    A subclass overrides `make_source`.

    Args:
        of: Name or dotted path of the data module of the other dataset.
        image_size: Height and width of the images; null uses the default of the other dataset.
        val_count: Number of validation images of the other dataset; null uses its default.
        root: Folder of the other dataset; null uses its default.
        download: Download the other dataset if it is missing; null uses its default.
        subset: Subset of the emoji, for data.of=emoji; null uses the default of data=emoji.
        font: Font of the emoji, for data.of=emoji; null uses the default of data=emoji.
    """

    def __init__(self):
        super().__init__()
        self.origin = build_origin(**self.hparams)
        self.image_size, self.image_channels = self.origin.image_size, self.origin.image_channels

    def make_source(self) -> Callable[[Tensor], Tensor]:
        """Return the function of uint8 images (N, C, H, W) to uint8 sources (N, C', H, W).

        It must be picklable for worker processes.
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_source()")

    def prepare_data(self) -> None:
        self.origin.prepare_data()

    def source(self, split: str) -> Subset:
        if split not in self._sources:
            images = self.origin.source(split)
            pairs = ImagesWithSource(images.source, self.make_source())
            self._sources[split] = Subset(pairs, images.chosen)
        source = self._sources[split]
        return self.limit_to_overfit_batches(source) if split == "train" else source

    def source_files(self, split: str) -> dict[str, Path]:
        return self.origin.source_files(split)


def build_origin(of: str, **settings: Any) -> ImageDataModule:
    """Build the data module that pairs are computed from.

    This is a function because Lightning's save_hyperparameters would otherwise find the parameters
    of the calling constructor.

    Args:
        of: Its name or dotted path.
        **settings: Its parameters; None values, and parameters that it lacks, are left out.

    Raises:
        UserError: It lacks a parameter that is set, or its images are not uint8.
    """
    component = trust.find_class("data", of)
    chosen = {name: value for name, value in settings.items() if value is not None}
    for name in ("image_size", "root", "download", "val_count", "subset", "font"):
        if name in chosen and name not in component.parameters:
            raise UserError(f"data.of={of} does not accept {name}: leave out data.{name}.")
    shared = {name: value for name, value in chosen.items() if name in component.parameters}
    module = trust.import_class("data", of)(**shared)
    if getattr(module, "denormalize", None) is not to_uint8:
        raise UserError(f"data.of={of} has no uint8 images: choose other image data.")
    return module


class ImagesWithSource:
    """The images of a source, with source images computed from them.

    Args:
        source: The images.
        make_source: Function of uint8 images (N, C, H, W) to uint8 sources (N, C', H, W).
    """

    def __init__(self, source: Source, make_source: Callable[[Tensor], Tensor]):
        self.source = source
        self.make_source = make_source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        image = self.source[positions]["image"]
        return {"image": image, "source": self.make_source(image)}
