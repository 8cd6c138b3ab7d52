"""Real images to compare with: those of a data module, of a folder or a file, or statistics."""

from dataclasses import dataclass
from typing import Any

from datamodules.image import ImageDataModule
from datamodules.loading.sources import ImageFiles, InMemoryImages, load_stored_images
from zoo.config import catalog
from zoo.config.composition import checked
from zoo.config.errors import UserError
from zoo.engine.distributed import local_rank_zero_first, on_all_ranks, on_rank_zero
from zoo.engine.loader import Subset
from zoo.metrics.extractors.base import default_extractor
from zoo.metrics.features import first_images, image_features, reference_images
from zoo.metrics.statistics import Statistics, is_statistics, read_statistics, write_statistics
from zoo.runs.checkpoints import load_data

Source = InMemoryImages | ImageFiles | Subset


@dataclass
class RealImages:
    """Real images to compare with.

    Args:
        name: Their name in messages.
        train: The images that every metric compares with; None if only statistics are stored.
        test: Test images, whose metrics show what a perfect model would reach; None without any.
        data: Their data module; None for a folder or a file.
        statistics: The stored statistics, which only FID compares with.
    """

    name: str
    train: Any
    test: Any = None
    data: Any = None
    statistics: Statistics | None = None

    @property
    def described(self) -> str:
        """What the protocol of an evaluation says of them."""
        what = "statistics" if self.statistics else f"{len(self.train)} images"
        return f"{what} of {self.name}"

    @property
    def origin(self) -> Any:
        """What defines the extractor and the value range: the data module, or ImageDataModule."""
        return self.data or ImageDataModule


def open_real(checkpoint: Any, data: dict[str, Any] | None, reference: str | None) -> RealImages:
    """Open the real images to compare with: at most MAX_REFERENCE for training, all for test.

    Args:
        checkpoint: Its data are used unless others are chosen. See zoo.runs.checkpoints.load_data.
        data: {"_target_": name, parameter: value} of the chosen data.
        reference: A folder of images, or an .npz file of images or statistics, instead of data.

    Raises:
        UserError: There are no such images.
    """
    if reference is not None and on_rank_zero(is_statistics, reference):
        return RealImages(reference, None, statistics=on_all_ranks(read_statistics, reference))
    if reference is not None:
        return RealImages(reference, reference_images(on_all_ranks(load_stored_images, reference)))
    module = load_data(checkpoint, data)
    local_rank_zero_first(module.prepare_data)
    train, test = (on_all_ranks(module.source, split) for split in ("train", "test"))
    return RealImages(f"{module.name}, train", reference_images(train), test, module)


def choose_extractor(node: dict[str, Any] | None, real: RealImages) -> Any:
    """Return the extractor of the settings, or the one that statistics or the data name.

    The data then name it, too, because a model's own metrics use the extractor of its data.

    Args:
        node: {"_target_": name, parameter: value}, each of which may be left out.
        real: The real images.

    Raises:
        UserError: None of them names one.
    """
    choice = named_extractor(real, node or {}) or real.origin.extractor
    if node:
        choice = checked({"_target_": choice} | node, "extractor").as_dict()
    if choice is None:
        raise UserError(f"{real.name} has no default extractor: set extractor=NAME.")
    if not real.statistics:  # which would not be those of a replacement
        choice = default_extractor(choice)
    if real.data:
        real.data.extractor = choice
    return choice


def named_extractor(real: RealImages, node: dict[str, Any]) -> str | None:
    """Return what `extractor=` takes for the extractor that stored statistics name.

    Its name begins with that on the command line, and may go on with settings
    (inception_torch_resize). They are compared after the extractor is loaded.

    Args:
        real: The real images.
        node: See `choose_extractor`.

    Returns:
        The name; None without statistics, or if they name none.

    Raises:
        UserError: It is not an extractor of the zoo, and the settings choose none.
    """
    stored = real.statistics.extractor if real.statistics else None
    if stored is None:
        return None
    found = [n for n in catalog.names("extractor") if f"{stored}_".startswith(f"{n}_")]
    if not found and "_target_" not in node:
        raise UserError(
            f"{real.name} contains features of {stored}, which is not an extractor of the zoo: set "
            "extractor= to the dotted path of its class."
        )
    return max(found, key=len, default=None)


def save_statistics(extractor: Any, real: RealImages, file: str) -> None:
    """Write the mean and covariance of the real images' features to a file.

    Args:
        extractor: The feature extractor.
        real: The real images.
        file: The .npz file.

    Raises:
        UserError: The real images are stored statistics themselves.
    """
    if real.statistics:
        raise UserError(f"{real.name} contains statistics already: copy the file.")
    features = image_features(extractor, real.train)
    on_rank_zero(write_statistics, file, features.reference_moments, extractor.name)


def check_size(size: tuple[int | None, ...], real: RealImages) -> None:
    """Check that images have the size of the real ones.

    Args:
        size: (H, W); None for a size that is not known.
        real: The real images.

    Raises:
        UserError: They have another size.
    """
    if real.train is not None and None not in size and size != size_of(real.train):
        raise UserError(
            f"The images are {size[0]}x{size[1]}, those of {real.name} "
            f"{'x'.join(map(str, size_of(real.train)))}: metrics compare images of one size only."
            + (" data.image_size=N resizes data that have that parameter." if real.data else "")
        )


def size_of(source: Source) -> tuple[int, ...]:
    """Return (H, W) of the first image of a source."""
    return tuple(first_images(source, 1).shape[-2:])
