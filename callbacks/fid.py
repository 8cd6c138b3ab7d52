"""The Fréchet distance of samples to the training images, during training."""

from pytorch_lightning import Callback
from pytorch_lightning.utilities import rank_zero_warn

from zoo.metrics.extractors import load_extractor
from zoo.metrics.fid import fid_name, generated_moments, real_moments
from zoo.metrics.frechet import frechet_distance


class FID(Callback):
    """Fréchet distance before training, every so many batches and at the end.

    Named fid_<extractor>_<count>; the test images' own distance is real_fid_<extractor>. Numbers
    compare models of images of one size. The extractor is by default the one that the data name;
    where they name none, nothing is measured.
    """

    def __init__(
        self, every: int = 1000, count: int = 2000, extractor: str | None = None, seed: int = 0
    ):
        self.every = every
        self.count = count
        self.seed = seed
        self.extractor_name = extractor
        self.extractor = None
        self.reference = None

    @property
    def name(self):
        return fid_name(self.extractor.name, self.count)

    def setup(self, trainer, model, stage):
        data = trainer.datamodule
        if not hasattr(data, "loader"):
            raise ValueError(
                "callbacks.fid needs data with loader(split), such as an ImageDataModule: "
                "leave it out with ~callbacks.fid."
            )
        name = self.extractor_name or getattr(data, "extractor", None)
        if name is None:
            rank_zero_warn(
                f"callbacks.fid: no extractor is made for {type(data).__name__}: samples are not "
                "measured; callbacks.fid.extractor=digits would measure them as digits."
            )
        else:
            self.extractor = load_extractor(name)

    def on_train_start(self, trainer, model):
        if self.extractor is None:
            return
        self.extractor.to(model.device)
        self.reference = real_moments(self.extractor, trainer.datamodule, "train", trainer)
        if self.name not in model.results:
            test = real_moments(self.extractor, trainer.datamodule, "test", trainer)
            floor = frechet_distance(self.reference, test)
            model.log_results({f"real_fid_{self.extractor.name}": floor})
            self.measure(trainer, model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.extractor and self.every and trainer.global_step % self.every == 0:
            self.measure(trainer, model)

    def on_train_end(self, trainer, model):
        if self.extractor and trainer.global_step not in model.results[self.name]:
            self.measure(trainer, model)

    def measure(self, trainer, model):
        fake = generated_moments(self.extractor, model, self.count, self.seed, trainer)
        model.log_results({self.name: frechet_distance(self.reference, fake)})
