"""Measure metrics of samples during training and at its end."""

from typing import Annotated, Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from datamodules.base import DataModule
from zoo.base import GenerativeModule
from zoo.config import trust
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
from zoo.metrics.extractors.base import check_purpose, default_extractor, load_extractor
from zoo.metrics.feature_metrics import choose_metrics
from zoo.metrics.features import (
    Features,
    first_images,
    image_features,
    reference_images,
    sample_features,
)

WATCHED = 1000  # number of validation samples whose likelihood is measured in training


def measures_itself(model: GenerativeModule) -> bool:
    """Return whether a model has metrics that need no extractor: a likelihood or its own."""
    return hasattr(model, "nll") or type(model).measure is not GenerativeModule.measure


class Metrics(Callback):
    """Measure samples before training, regularly during training, and at the end.

    During training, metrics val/... are measured on validation data and select the best checkpoint.
    At the end, metrics test/... are measured on test data, with different noise, as in
    `zoo.evaluate`. `trainer.validate` and `trainer.test` measure the same.

    The name of a metric contains the extractor and the number of samples (fid_digits_2k). Metrics
    named real_... are computed on real test images instead of samples (see
    zoo.metrics.compute.real_metrics). Only metrics of the same image size are comparable. The data
    module selects the extractor, and a resumed run keeps it. Without one, samples are not measured.

    The likelihood of the model, if it has one, is measured first. While training runs, at most
    1,000 validation samples are used for it. Metrics of the model (`GenerativeModule.measure`) are
    measured last. Without validation data, both are measured only at the end.

    Args:
        every: Measure every `every` batches; 0 measures only before and after training.
        count: Number of generated samples; the default depends on the extractor.
        metrics: Any of fid, kid, is, prdc and mifid.
        seed: Seed of the noise. The metrics at the end equal those of `zoo.evaluate seed=...`.
    """

    measures = True  # read by trainer.validate and trainer.test

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
        self.num_samples: Any = count  # int, once the extractor is chosen
        self.chosen: Any = metrics  # those that the extractor supports
        self.seed = seed
        self.extractor: Any = None  # an Extractor
        self.default: str | None = None  # its name, unless the user has chosen it
        self.reference: Any = None  # Features of training images, once they are needed
        self.measured: int | None = None  # the batch of the latest numbers
        self.before: dict[str, Any] | None = None  # the state of the run that is resumed

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        data = trainer.datamodule
        self.extractor = self.reference = self.measured = self.before = self.default = None
        self.num_samples, self.chosen = self.count, self.metrics
        if not isinstance(data, DataModule):
            raise ValueError(
                "callbacks.metrics reads whole splits of the data: leave it out (on the command "
                f"line ~callbacks.metrics), or train on a datamodules.base.DataModule. {WAY_OUT}."
            )
        if stage == "fit" and measures_itself(model) and not len(data.source("val")):
            rank_zero_warn(
                f"callbacks.metrics: {type(data).__name__} holds no validation samples out: the "
                f"own metrics of {type(model).__name__} are measured only at the end, on test "
                "samples, and do not choose the best checkpoint."
            )
        if data.extractor is None:
            if not measures_itself(model):
                rank_zero_warn(
                    f"callbacks.metrics: {type(data).__name__} has no extractor, so samples are "
                    "not measured. extractor=NAME chooses one."
                )
            return
        self.choose_extractor(data, default_extractor(data.extractor))

    def choose_extractor(self, data: DataModule, choice: Any, hint: str = "") -> None:
        """Load an extractor, and choose the metrics that it supports.

        Args:
            data: The data module. Metrics of the model read its extractor.
            choice: See zoo.metrics.extractors.base.load_extractor.
            hint: Is added to the error if there are no weights.

        Raises:
            FileNotFoundError: There are no weights.
        """
        data.extractor = choice
        self.default = choice if isinstance(choice, str) else None
        try:
            self.extractor = local_rank_zero_first(load_extractor, choice)
        except FileNotFoundError as error:
            hint += " Or train without metrics (~callbacks.metrics)."
            raise FileNotFoundError(f"{error}{hint}") from error
        self.num_samples = self.count or self.extractor.count
        first = first_images(on_all_ranks(data.source, "train"))
        check_purpose(self.extractor, first)
        self.chosen = choose_metrics(
            self.metrics, self.extractor, self.num_samples, tuple(first.shape[1:])
        )

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.keep_extractor(trainer)
        before = (self.before or {}).get("measured")
        if before != self.state_dict()["measured"]:  # a new run, or one resumed with other metrics
            self.log_validation(trainer, model)

    def keep_extractor(self, trainer: Trainer) -> None:
        """Load the extractor of the run that is resumed, unless the user has chosen another.

        The default depends on the weights that are found, which may have changed since.
        """
        earlier = (self.before or {}).get("default")
        if not earlier or self.default in (None, earlier):
            return
        hint = (
            f" The run to resume was measured with extractor={earlier}. With extractor="
            f"{self.default}, its metrics have other names and do not compare with the earlier "
            "ones."
        )
        with trust.names_from(trainer.ckpt_path):
            self.choose_extractor(trainer.datamodule, earlier, hint)

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every and trainer.global_step % self.every == 0:
            self.log_validation(trainer, model)

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        if self.measured != trainer.global_step:
            self.log_validation(trainer, model)
        numbers = self.numbers(model, trainer.datamodule, "test")
        if numbers:
            model.log_results(numbers, "test")

    def on_validation_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.evaluate(trainer, model, "val")

    def on_test_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.evaluate(trainer, model, "test")

    def evaluate(self, trainer: Trainer, model: GenerativeModule, split: str) -> None:
        """Measure for trainer.validate and trainer.test, which return what `log_dict` logs."""
        with torch.inference_mode(False):  # some metrics use gradients
            numbers = self.numbers(model, trainer.datamodule, split)
        model.log_dict({f"{split}/{name}": value for name, value in numbers.items()})

    def log_validation(self, trainer: Trainer, model: GenerativeModule) -> None:
        """Measure and log val/..., which chooses the best checkpoint."""
        numbers = self.numbers(model, trainer.datamodule, "val")
        if numbers:
            model.log_results(numbers)
        self.measured = trainer.global_step

    def numbers(self, model: GenerativeModule, data: DataModule, split: str) -> dict[str, float]:
        """Measure {name: number} of a model on "val" or "test", which have different noise."""
        seed = evaluation_seed(split, self.seed)
        numbers = likelihood_metrics(model, data, split, seed, WATCHED if split == "val" else None)
        if self.extractor:
            self.extractor.to(model.device)
            if self.reference is None:
                self.reference = self.features_of(data, "train")
            fake = sample_features(self.extractor, model, self.num_samples, seed, data, split)
            numbers |= measure(self.chosen, self.reference, fake, self.extractor, seed, data)
        numbers |= model_metrics(model, data, split, seed)
        if self.extractor and split == "test" and len(data.source("test")):
            test = self.features_of(data, "test")
            settings = self.extractor, self.num_samples, seed, data
            numbers |= real_metrics(self.chosen, self.reference, test, *settings)
        return numbers

    def state_dict(self) -> dict[str, Any]:
        measured = [getattr(self.extractor, "name", None), self.num_samples, *self.chosen]
        return {"measured": measured, "default": self.default}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict

    def features_of(self, data: DataModule, split: str) -> Features:
        """Compute the features of real images of a split."""
        source = reference_images(on_all_ranks(data.source, split))
        return image_features(self.extractor, source, data.hparams.get("workers", 0))
