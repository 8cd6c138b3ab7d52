"""Train a model.

python -m zoo.fit model=wgan [data=digits] [model.lr=1e-4] [trainer.max_steps=500]

model=NAME           the model: a name below, or the dotted path of your own class
data=NAME            the data module: a name below, or the dotted path of your own class
experiment=NAME      a recipe below, or a YAML file. By default model=M data=D uses the recipe M_D
                     if it exists. experiment=none uses the default parameters. A multirun over
                     several models uses no recipe.
callbacks=[A,B]      replaces the default callbacks
+callbacks=[A,B]     adds to the default callbacks; ~callbacks.metrics removes one
logger=NAME          a logger in addition to the CSV log, which is always written
extractor=NAME       the feature extractor of the metrics; the default depends on the data
GROUP.KEY=VALUE      any parameter of model, data, callbacks.NAME, logger, extractor or Lightning's
                     trainer
seed=0               seed of the run
resume=PATH          resumes a run from its folder or checkpoint, with its settings
init=NAME            starts a new run from the weights of a pretrained model, a run, a checkpoint or
                     hf://user/repo
trust=NAME           a package whose classes a resumed run may use (docs/security.md)
threads=N            number of CPU threads per process
folder=PATH          folder of the run, by default outputs/MODEL_DATA/DATE_TIME
--multirun           starts one run per value: model.lr=1e-4,1e-3
--cfg job            prints the settings and exits

python -m zoo.fit model=NAME data=NAME --help prints the parameters of a model and of data. The
model's image_size, image_channels and classes are set by the data.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.config import catalog, trust
from zoo.config.cli import messages
from zoo.config.command_line import complete
from zoo.config.errors import UserError
from zoo.config.help import fit_help
from zoo.config.quoting import parsed
from zoo.config.stored_arguments import GROUPS


def main() -> None:
    """Run the command with the arguments in sys.argv."""
    arguments = sys.argv[1:]
    with messages():
        if {"-h", "--help"} & set(arguments):
            print(fit_help(arguments, __doc__))
            return
        values = parsed(arguments)
        trusted = trust.trusting(names_in(values, "trust"), chosen_classes(values))
        with trusted, trust.names_from(values.get("resume")):
            sys.argv[1:] = complete(arguments)
            values = parsed(sys.argv[1:])
            if "," in values.get("model", "") and "experiment" not in values:
                print("A multirun over models uses no recipes (see experiment=).", file=sys.stderr)
            compose_and_run()


def chosen_classes(values: dict[str, str]) -> list[str]:
    """Return the classes that the user names, which a resumed run may import.

    A name without a dot, as in model=wgan, means a class of the zoo. Only `trust` names packages:
    otherwise model=wgan would trust any package wgan in the working directory.
    """
    keys = [key for key in values if key in GROUPS or key.endswith(".of")]
    return [name for key in keys for name in names_in(values, key) if "." in name]


def names_in(values: dict[str, str], key: str) -> list[str]:
    """Return the names [A, B] of a setting KEY=A or KEY=[A,B]; [] if it is not set."""
    names = values.get(key, "").strip("[]").split(",")
    return [name.strip() for name in names if name.strip() not in ("", "null")]


def compose_and_run() -> None:
    """Let Hydra compose sys.argv and call `run`.

    Raises:
        UserError: Hydra refuses an argument.
    """
    import hydra

    from zoo.config import composition

    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors here instead of printing them
    folder = str(Path(__file__).parent / "config")
    try:
        hydra.main(version_base="1.3", config_path=folder, config_name="fit")(run)()
    except hydra.errors.HydraException as error:
        raise UserError(composition.explain(error, parsed(sys.argv[1:]))) from error


def run(composed: Any) -> None:
    """Run one training of a composed config, after checking it without heavy imports.

    In a multirun an error ends only its own run: Hydra continues and raises the first error at the
    end.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from zoo.config import composition

    hydra = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    try:
        with recipe_hint(overrides):
            settings = composition.check(composed)
        try:
            from zoo.runs.training import train
        except ImportError as error:
            raise UserError(f"The installation is broken: {error}") from error
        with data_hint(parsed(overrides)):
            train(settings, overrides)
    except UserError as error:
        if hydra.mode == RunMode.MULTIRUN:
            print(f"Error in {' '.join(overrides)}: {error}", file=sys.stderr)
            raise
        with messages():
            raise


@contextmanager
def recipe_hint(overrides: Sequence[str]) -> Iterator[None]:
    """Add to a UserError about an unknown setting that the recipe sets it, not the user."""
    try:
        yield
    except UserError as error:
        setting = re.match(r"There is no (\w+(?:\.\w+)+)\.", str(error))
        values = dict(text.lstrip("+").partition("=")[::2] for text in overrides)
        recipe = values.get("experiment", "none")
        by_user = setting and any(f"{key}.".startswith(f"{setting[1]}.") for key in values)
        if not setting or by_user or recipe == "none":
            raise
        raise UserError(
            f"{error} The recipe experiment={recipe} sets it, which may be for another model or "
            "other data: choose those, another recipe, or experiment=none."
        ) from error


@contextmanager
def data_hint(values: dict[str, str]) -> Iterator[None]:
    """Add to a UserError which data the recipes of the model use, if no data are chosen."""
    try:
        yield
    except UserError as error:
        model = values.get("model", "")
        names = catalog.data_of_recipes(model)
        if {"data", "experiment"} & values.keys() or not names:
            raise
        options = " or ".join(f"data={name}" for name in names)
        raise UserError(f"{error} {model} has a recipe for {options}.") from error


if __name__ == "__main__":
    main()
