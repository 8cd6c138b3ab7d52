"""How far samples are from the training images, during training."""

from pytorch_lightning import Callback
from pytorch_lightning.utilities import rank_zero_warn

from datamodules.base import DataModule
from zoo.base import GenerativeModule
from zoo.engine.batches import WAY_OUT
from zoo.metrics.extractors.base import check_purpose, load_extractor
from zoo.metrics.features import first_images, of_images, of_samples, representative
from zoo.metrics.measure import chosen, floor, likelihood, measure, own
from zoo.metrics.processes import first_on_node, together

WATCHED = 1000  # validation samples whose likelihood is measured in training


class Metrics(Callback):
    """The metrics of samples before training, every so many batches and at the end.

    metrics are among fid, kid, is and prdc. Each number is named by extractor and `count`
    (fid_digits_2k), `count` being the extractor's own by default; those of as many test images,
    real_..., are measured once, see zoo.metrics.measure.floor. Numbers compare models of images of
    one size. The data name the extractor; where they name none, samples are not measured. Before
    them comes the likelihood, where a model has one, of at most 1,000 validation images, and at the
    end of all test images; after them what only this model has (`GenerativeModule.measure`).
    """

    def __init__(
        self,
        every: int = 1000,
        count: int | None = None,
        metrics: tuple[str, ...] = ("fid",),
        seed: int = 0,
    ):
        self.every = every
        self.count = count
        self.metrics = metrics
        self.seed = seed
        self.extractor = None
        self.reference = None
        self.measured = None  # the batch of the latest numbers

    def setup(self, trainer, model, stage):
        data = trainer.datamodule
        if not isinstance(data, DataModule):
            raise ValueError(
                "callbacks.metrics reads whole splits of the data: leave it out (on the command "
                f"line ~callbacks.metrics), or train on a datamodules.base.DataModule. {WAY_OUT}."
            )
        if data.extractor is None:
            measures_itself = type(model).measure is not GenerativeModule.measure
            if not (measures_itself or hasattr(model, "nats")):
                rank_zero_warn(
                    f"callbacks.metrics: no extractor is made for {type(data).__name__}: samples "
                    "are not measured; extractor=NAME would measure them."
                )
            return
        self.extractor = first_on_node(load_extractor, data.extractor)
        self.count = self.count or self.extractor.count
        first = first_images(together(data.source, "train"))
        check_purpose(self.extractor, first)
        self.metrics = chosen(self.metrics, self.extractor, self.count, tuple(first.shape[1:]))

    def on_train_start(self, trainer, model):
        new = self.floors(trainer, model) if self.extractor else {}
        if new:  # a run that begins, or goes on with other metrics
            model.log_results(new)
        if new or trainer.global_step == 0:
            self.measure(trainer, model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.every and trainer.global_step % self.every == 0:
            self.measure(trainer, model)

    def on_train_end(self, trainer, model):
        if self.measured != trainer.global_step:
            self.measure(trainer, model)
        numbers = likelihood(model, trainer.datamodule, "test", self.seed)
        if numbers:
            model.log_results(numbers)

    def measure(self, trainer, model):
        data = trainer.datamodule
        split = "val" if len(data.source("val")) else "test"
        numbers = likelihood(model, data, split, self.seed, WATCHED)
        if self.extractor:
            fake = of_samples(self.extractor, model, self.count, self.seed, data)
            numbers |= measure(self.metrics, self.reference, fake, self.extractor, self.seed, data)
        numbers |= own(model, data, self.seed)
        if numbers:
            model.log_results(numbers)
        self.measured = trainer.global_step

    def floors(self, trainer, model):
        """The numbers of the test images that are not among the results yet."""
        self.extractor.to(model.device)
        data = trainer.datamodule
        self.reference = self.features_of(data, "train")
        test = self.features_of(data, "test")
        settings = self.extractor, self.count, self.seed, data
        floors = floor(self.metrics, self.reference, test, *settings)
        return {name: value for name, value in floors.items() if name not in model.results}

    def features_of(self, data, split):
        source = representative(together(data.source, split))
        return of_images(self.extractor, source, data.hparams.get("workers", 0))
