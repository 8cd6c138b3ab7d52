"""What paired images share: a source beside each image, both uint8 until they are on the device."""

from torch import Tensor

from datamodules.image import ImageDataModule
from zoo.config import trust
from zoo.config.errors import UserError
from zoo.engine.loader import Subset
from zoo.media.images import from_uint8, to_uint8


class PairedDataModule(ImageDataModule):
    """Images as batches of `image`, `source` and `index`: a source is what is to be translated.

    In training both are float in [-1, 1], (N, C, H, W) and (N, C', H, W); where an image is
    flipped, so is its source. A subclass has source_channels, and overrides `open`.
    """

    provides = ("image", "source", "index")
    on_demand = ()
    source_channels = 3
    extractor = None

    def on_after_batch_transfer(self, batch, dataloader_idx):
        flip, source = batch.get("flip"), from_uint8(batch["source"], self.dtype)
        if flip is not None:
            source = source.where(~flip[:, None, None, None], source.flip(-1))
        return super().on_after_batch_transfer(batch, dataloader_idx) | {"source": source}


class DerivedDataModule(PairedDataModule):
    """Pairs made of the images of other data, whose settings it hands on where they are not None.

    The splits are those of the other data. A subclass's constructor has `of`, the name of those
    data, and gives `make_source`, a function of uint8 images (N, C, H, W) to uint8 sources
    (N, C', H, W).
    """

    def __init__(self):
        super().__init__()
        self.origin = build_origin(**self.hparams)
        self.image_size, self.image_channels = self.origin.image_size, self.origin.image_channels

    def make_source(self):
        """The function, which worker processes must be able to unpickle."""
        raise NotImplementedError(f"{type(self).__name__} must define make_source()")

    def prepare_data(self):
        self.origin.prepare_data()

    def source(self, split):
        if split not in self._sources:
            part = self.origin.source(split)
            self._sources[split] = Subset(
                ImagesWithSource(part.source, self.make_source()), part.chosen
            )
        return (
            self.limit_to_overfit_batches(self._sources[split])
            if split == "train"
            else self._sources[split]
        )

    def source_files(self, split):
        return self.origin.source_files(split)


def build_origin(of, **settings):
    """The datamodule of that name, with those of the settings that it has and that are not None.

    A function, or Lightning would take the settings of the calling constructor for its own too.
    """
    component = trust.find_class("data", of)
    condition = {name: value for name, value in settings.items() if value is not None}
    for name in ("image_size", "root", "download", "val_count"):
        if name in condition and name not in component.parameters:
            raise UserError(f"data.{name}={condition[name]} is no setting of {of}.")
    shared = {name: value for name, value in condition.items() if name in component.parameters}
    module = trust.import_class("data", of)(**shared)
    if getattr(module, "denormalize", None) is not to_uint8:
        raise UserError(f"data.of={of} has no pixels of 0 to 255 to make pairs of.")
    return module


class ImagesWithSource:
    """The images of a source, and what is made of each batch of them."""

    def __init__(self, source, make):
        self.source = source
        self.make = make

    def __len__(self):
        return len(self.source)

    def __getitem__(self, positions: Tensor):
        image = self.source[positions]["image"]
        return {"image": image, "source": self.make(image)}
