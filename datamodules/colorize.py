"""Images in grey, which are to be coloured."""

from torchvision.transforms.v2.functional import rgb_to_grayscale

from datamodules.paired import DerivedDataModule


class Colorize(DerivedDataModule):
    """Coloured images of any other data, and their luminance as the source.

    of: the name of those data; image_size, val_count, root and download are theirs, None
    being their default.

    Isola et al. 2017 (arXiv 1611.07004) predict the colours of Lab, a and b, from its L; here a
    model makes red, green and blue, the luminance among them.
    """

    source_channels = 1

    def __init__(
        self,
        batch_size: int = 16,
        of: str = "shapes",
        image_size: int | None = None,
        val_count: int | None = None,
        split_seed: int = 0,
        flip: bool = False,
        workers: int = 0,
        root: str | None = None,
        download: bool | None = None,
    ):
        super().__init__()
        if self.image_channels != 3:
            raise ValueError(f"data.of={of} has no colours: it is of {self.image_channels} channel")

    def make_source(self):
        return rgb_to_grayscale
