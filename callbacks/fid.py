"""The Fréchet distance of samples to the training images, during training."""

from pytorch_lightning import Callback

from zoo.metrics.extractors import load_extractor
from zoo.metrics.fid import fid_name, generated_moments, real_moments
from zoo.metrics.frechet import frechet_distance


class FID(Callback):
    """Fréchet distance before training, every so many batches and at the end.

    Named fid_<extractor>_<count>; the test images' own distance is real_fid_<extractor>.
    """

    def __init__(
        self, every: int = 1000, count: int = 2000, extractor: str = "digits", seed: int = 0
    ):
        self.every = every
        self.count = count
        self.seed = seed
        self.name = fid_name(extractor, count)
        self.extractor = load_extractor(extractor)
        self.reference = None

    def setup(self, trainer, model, stage):
        if not hasattr(trainer.datamodule, "loader"):
            raise ValueError(
                "callbacks.fid needs data with loader(split), such as an ImageDataModule: "
                "leave it out with ~callbacks.fid."
            )

    def on_train_start(self, trainer, model):
        self.extractor.to(model.device)
        self.reference = real_moments(self.extractor, trainer.datamodule, "train", trainer)
        if self.name not in model.results:
            test = real_moments(self.extractor, trainer.datamodule, "test", trainer)
            floor = frechet_distance(self.reference, test)
            model.log_results({f"real_fid_{self.extractor.name}": floor})
            self.measure(trainer, model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.every and trainer.global_step % self.every == 0:
            self.measure(trainer, model)

    def on_train_end(self, trainer, model):
        if trainer.global_step not in model.results[self.name]:
            self.measure(trainer, model)

    def measure(self, trainer, model):
        fake = generated_moments(self.extractor, model, self.count, self.seed, trainer)
        model.log_results({self.name: frechet_distance(self.reference, fake)})
