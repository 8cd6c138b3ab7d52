"""How far samples are from the training images, during training."""

from typing import Annotated, Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from datamodules.base import DataModule
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.batch_checks import WAY_OUT
from zoo.engine.distributed import local_rank_zero_first, on_all_ranks
from zoo.metrics.compute import (
    evaluation_seed,
    likelihood_metrics,
    measure,
    model_metrics,
    real_metrics,
)
from zoo.metrics.extractors.base import check_purpose, load_extractor
from zoo.metrics.feature_metrics import choose_metrics
from zoo.metrics.features import first_images, image_features, reference_images, sample_features

WATCHED = 1000  # validation samples whose likelihood is measured in training


class Metrics(Callback):
    """The metrics of samples before training, every so many batches and at the end.

    Those in training select: they are of validation samples and of noise of their own, val/... in
    the logs. At the end those of test samples and other noise are reported, test/..., as
    `zoo.evaluate` gives them. `trainer.validate` and `trainer.test` measure the same.

    metrics are among fid, kid, is and prdc. Each number is named by extractor and `count`
    (fid_digits_2k), `count` being the extractor's own by default; those of as many test images,
    real_..., are reported beside them, see zoo.metrics.compute.real_metrics. Numbers compare
    models of images of one size. The data name the extractor; where they name none, samples are not
    measured.
    Before them comes the likelihood, where a model has one, in training of at most 1,000 validation
    images; after them what only this model has (`GenerativeModule.measure`). Without validation
    samples these two are not measured in training.

    seed: of the noise. What is reported is drawn as by `zoo.evaluate seed=...`.
    """

    measures = True  # what trainer.validate and trainer.test ask for

    @in_range
    def __init__(
        self,
        every: Annotated[int, "[0, inf)"] = 1000,
        count: int | None = None,
        metrics: tuple[str, ...] = ("fid",),
        seed: int = 0,
    ):
        self.every = every
        self.count = count
        self.metrics = metrics
        self.seed = seed
        self.extractor: Any = None
        self.reference = None
        self.measured: int | None = None  # the batch of the latest numbers
        self.before: dict[str, Any] | None = None  # what a run that is resumed measured

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        data = trainer.datamodule
        self.reference = None  # of these data, when it is needed
        if not isinstance(data, DataModule):
            raise ValueError(
                "callbacks.metrics reads whole splits of the data: leave it out (on the command "
                f"line ~callbacks.metrics), or train on a datamodules.base.DataModule. {WAY_OUT}."
            )
        measures_itself = type(model).measure is not GenerativeModule.measure
        measures_itself |= hasattr(model, "nll")
        if stage == "fit" and measures_itself and not len(data.source("val")):
            rank_zero_warn(
                f"callbacks.metrics: {type(data).__name__} holds no validation samples out: what "
                f"{type(model).__name__} itself measures on them is measured on test samples, at "
                "the end alone, and chooses no best checkpoint."
            )
        if data.extractor is None:
            if not measures_itself:
                rank_zero_warn(
                    f"callbacks.metrics: no extractor is made for {type(data).__name__}: samples "
                    "are not measured; extractor=NAME would measure them."
                )
            return
        self.extractor = local_rank_zero_first(load_extractor, data.extractor)
        self.count = self.count or self.extractor.count
        first = first_images(on_all_ranks(data.source, "train"))
        check_purpose(self.extractor, first)
        self.metrics = choose_metrics(
            self.metrics, self.extractor, self.count, tuple(first.shape[1:])
        )

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        if self.before != self.state_dict():  # a run that begins, or goes on with other metrics
            self.select(trainer, model)

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every and trainer.global_step % self.every == 0:
            self.select(trainer, model)

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        if self.measured != trainer.global_step:
            self.select(trainer, model)
        numbers = self.numbers(model, trainer.datamodule, "test")
        if numbers:
            model.log_results(numbers, "test")

    def on_validation_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.evaluate(trainer, model, "val")

    def on_test_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.evaluate(trainer, model, "test")

    def evaluate(self, trainer: Trainer, model: GenerativeModule, split: str):
        """Measures for Lightning's own evaluations, which return what is logged by `log_dict`."""
        with torch.inference_mode(False):  # some measures descend gradients
            numbers = self.numbers(model, trainer.datamodule, split)
        model.log_dict({f"{split}/{name}": value for name, value in numbers.items()})

    def select(self, trainer: Trainer, model: GenerativeModule):
        """Logs the numbers that choose among the batches of a run."""
        numbers = self.numbers(model, trainer.datamodule, "val")
        if numbers:
            model.log_results(numbers)
        self.measured = trainer.global_step

    def numbers(self, model: GenerativeModule, data: DataModule, split: str):
        """{name: number} of a model on "val" or "test", each with noise of its own."""
        seed = evaluation_seed(split, self.seed)
        numbers = likelihood_metrics(model, data, split, seed, WATCHED if split == "val" else None)
        if self.extractor:
            self.extractor.to(model.device)
            if self.reference is None:
                self.reference = self.features_of(data, "train")
            fake = sample_features(self.extractor, model, self.count, seed, data, split)
            numbers |= measure(self.metrics, self.reference, fake, self.extractor, seed, data)
        numbers |= model_metrics(model, data, split, seed)
        if self.extractor and split == "test" and len(data.source("test")):
            test = self.features_of(data, "test")
            settings = self.extractor, self.count, seed, data
            numbers |= real_metrics(self.metrics, self.reference, test, *settings)
        return numbers

    def state_dict(self) -> dict[str, Any]:
        return {"measured": [getattr(self.extractor, "name", None), self.count, *self.metrics]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict

    def features_of(self, data: DataModule, split: str):
        source = reference_images(on_all_ranks(data.source, split))
        return image_features(self.extractor, source, data.hparams.get("workers", 0))
