"""The checked settings of a training run as one typed object."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A class and the values of its constructor's parameters.

    Args:
        target: Dotted path of the class.
        values: {parameter: value}.
    """

    target: str
    values: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the class on the command line."""
        return self.target.split(".")[-2]

    def with_values(self, values: dict[str, Any]) -> "Choice":
        """Return the choice with some values replaced."""
        return replace(self, values=self.values | values)

    def as_dict(self) -> dict[str, Any]:
        """Return {"_target_": target, parameter: value}, as config.yaml holds it."""
        return {"_target_": self.target, **self.values} if self.target else dict(self.values)


@dataclass(frozen=True)
class Settings:
    """All settings of a training run, with names, types and ranges checked.

    Args:
        model: The model.
        data: The data module.
        callbacks: {name: callback}.
        logger: The logger besides the CSV log.
        extractor: Overrides of the extractor that the data name; None without any. The target is
            empty where only parameters are overridden.
        trainer: Arguments of Lightning's Trainer.
        seed: Seed of the run.
        folder: The run's folder; None for a new one under outputs/.
        threads: CPU threads of each process; None for torch's own choice.
        resume: Folder or checkpoint of the run to resume.
        init: Checkpoint whose weights the model starts from; None to initialize them.
        trust: Packages whose classes a resumed run may name.
    """

    model: Choice
    data: Choice
    callbacks: dict[str, Choice]
    logger: Choice
    extractor: Choice | None
    trainer: dict[str, Any]
    seed: int
    folder: str | None
    threads: int | None
    resume: str | None
    init: str | None
    trust: str | tuple[str, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain containers, as config.yaml holds them."""
        plain = dict(vars(self))
        for group in ("model", "data", "logger"):
            plain[group] = getattr(self, group).as_dict()
        plain["callbacks"] = {name: choice.as_dict() for name, choice in self.callbacks.items()}
        plain["extractor"] = self.extractor.as_dict() if self.extractor else {}
        return plain
