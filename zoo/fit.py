"""Train a model: python -m zoo.fit model=wgan [data=digits] [model.lr=1e-4] [trainer.max_steps=500]

model=NAME           the model: a name below, or the dotted path of your own class
data=NAME            the data, likewise
experiment=NAME      a recipe below or a YAML file; model=M data=D takes the recipe M_D by itself,
                     experiment=none trains with the defaults of the signatures, and so do
                     several models in a multirun
callbacks=[A,B]      what happens beside training, instead of the usual callbacks
+callbacks=[A,B]     beside the usual callbacks too; ~callbacks.metrics leaves one out
logger=NAME          beside the CSV log, which is always written
extractor=NAME       whose features the metrics compare, instead of the one that the data name
GROUP.KEY=VALUE      any parameter of model, data, callbacks.NAME, logger, extractor or Lightning's
                     trainer
seed=0               seed of the run
resume=PATH          goes on with a run's folder or checkpoint, with its settings
trust=NAME           a package whose classes a resumed run may name: docs/security.md
threads=N            CPU threads of each process
folder=PATH          the run's folder, by default outputs/MODEL_DATA/DATE_TIME
--multirun           one run for each of several values: model.lr=1e-4,1e-3
--cfg job            shows the settings and stops

python -m zoo.fit model=NAME data=NAME --help shows their parameters. The data decide image_size,
image_channels and classes of a model.
"""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

from zoo.config import catalog, trust
from zoo.config.cli import messages
from zoo.config.errors import UserError, unknown
from zoo.config.quoting import parsed, quoted
from zoo.config.stored_arguments import GROUPS, settings_of

# Those of Hydra's flags that show what a run would do, or choose how often it runs.
FLAGS = ("--multirun", "-m", "--cfg", "-c", "--resolve", "--package", "-p", "--info", "-i")
FLAGS += ("--run", "-r", "--hydra-help", "--version")
SHOWN = ("job", "hydra", "all")  # what --cfg shows


def main():
    arguments = sys.argv[1:]
    with messages():
        if {"-h", "--help"} & set(arguments):
            print(help_text(arguments))
            return
        own = parsed(arguments)
        with trust.trusting(named(own)), trust.names_from(own.get("resume")):
            sys.argv[1:] = complete(arguments)
            given = parsed(sys.argv[1:])
            if "," in given.get("model", "") and "experiment" not in given:
                print("Several models: none follows its recipe, see experiment=.", file=sys.stderr)
            compose_and_run()


def named(given):
    """The classes and packages that the user names, which a resumed run may import."""
    keys = [key for key in given if key in (*GROUPS, "trust") or key.endswith(".of")]
    return [name for key in keys for name in given[key].strip("[]").split(",")]


def compose_and_run():
    """Has Hydra compose sys.argv and call `run`, and puts its errors in the house's words."""
    import hydra

    from zoo.config import composition

    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors here instead of printing them
    folder = str(Path(__file__).parent / "config")
    try:
        hydra.main(version_base="1.3", config_path=folder, config_name="fit")(run)()
    except hydra.errors.HydraException as error:
        raise UserError(composition.explain(error, parsed(sys.argv[1:]))) from error


def run(composed):
    """One training run of a composed config. Nothing heavy is imported before it is checked.

    In a multirun an error ends its own run only: Hydra goes on, and raises the first at the end.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from zoo.config import composition

    hydra = HydraConfig.get()
    try:
        settings = composition.check(composed)
        try:
            from zoo.runs.training import train
        except ImportError as error:
            raise UserError(f"The installation is broken: {error}") from error
        with fitting_data_named(parsed(hydra.overrides.task)):
            train(settings, list(hydra.overrides.task))
    except UserError as error:
        if hydra.mode == RunMode.MULTIRUN:
            print(f"Error in {' '.join(hydra.overrides.task)}: {error}", file=sys.stderr)
            raise
        with messages():
            raise


@contextmanager
def fitting_data_named(given):
    """Adds to a UserError which data the recipes of the model have, where none were given."""
    try:
        yield
    except UserError as error:
        model, found = given.get("model", ""), catalog.recipes()
        names = [name for name in catalog.names("data") if f"{model}_{name}" in found]
        if {"data", "experiment"} & given.keys() or not names:
            raise
        known = " or ".join(f"data={name}" for name in names)
        raise UserError(f"{error} {model} has a recipe for {known}.") from error


def help_text(arguments):
    """The parameters of the components chosen, or else an overview of what there is."""
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    lines = []
    for group in GROUPS[:-1]:
        for name in filter(None, chosen.get(group, "").strip("[]").split(",")):
            component = catalog.describe(group, name)
            where = f"{group}.{name}" if group == "callbacks" else group
            lines += [f"{group}={name}: {component.text}", ""]
            lines += [f"  {where}.{key}={p.shown}" for key, p in component.parameters.items()]
            pair = f"{name}_{chosen.get('data', 'digits')}"
            if group == "model" and pair in catalog.recipes():
                lines += [f"The recipe {pair} sets, unless experiment=none:"]
                lines += [f"  {line}" for line in catalog.recipes()[pair].read_text().splitlines()]
            lines += [""]
    return "\n".join(lines) if lines else overview()


def overview():
    """What `--help` shows: the usage, and each model, data and recipe with its first line."""
    sections = {
        group: {name: catalog.describe(group, name).summary for name in catalog.names(group)}
        for group in GROUPS[:-1]
    }
    sections["experiment"] = {
        name: file.read_text().splitlines()[1].lstrip("# ")
        for name, file in catalog.recipes().items()
    }
    lines = [__doc__]
    for group, entries in sections.items():
        lines += [f"{group}="]
        lines += [f"  {name:<18} {summary}" for name, summary in entries.items()]
        lines += [""]
    return "\n".join(lines)


def complete(arguments):
    """The arguments with those of the run to resume before them, and the pair's own recipe.

    Keys of a group are forced into the composition (`++`): names are checked afterwards, where the
    nearest one can be told. Completing twice changes nothing, so relaunched processes may.
    """
    flags = [a for a in arguments if "=" not in a and not a.startswith("~")]
    for before, argument in zip(["", *arguments], arguments, strict=False):
        bare = argument in flags and not (argument.startswith("-") or before.startswith("-"))
        if bare or (argument.startswith("--") and "." in argument):
            raise UserError(f"{argument} is not of the form KEY=VALUE; see --help.")
        if argument.startswith("-") and "=" not in argument and argument not in FLAGS:
            raise unknown("flag ", argument, FLAGS)
        if before in ("--cfg", "-c") and argument not in SHOWN:
            raise UserError(f"{before} {argument}: it takes {', '.join(SHOWN)}.")
    if arguments[-1:] and arguments[-1] in ("--cfg", "-c"):
        raise UserError(f"{arguments[-1]} takes {', '.join(SHOWN)}.")
    multirun = bool({"-m", "--multirun"} & set(flags))
    if multirun and {"--cfg", "-c"} & set(flags):
        raise UserError("--cfg shows the settings of one run: leave out --multirun.")
    settings = [without_plus(a) for a in arguments if a not in flags]
    given = parsed(settings)
    for key in GROUPS[:-1]:  # what YAML does not take for a name
        if given.get(key, "").lower() in ("false", "true", "null", "~"):
            hint = " The CSV log is always written; logger=csv writes no other."
            hint = hint if key == "logger" else f" {key}=[] is none." if key == "callbacks" else ""
            raise UserError(f"{key}={given[key]}: it must be a name, see --help.{hint}")
    if "resume" in given and "model" not in given:
        added = any(a.startswith("+callbacks=") for a in settings)
        anew = {key: v for key, v in given.items() if not (added and key == "callbacks")}
        settings = [*settings_of(given["resume"], anew), *settings]
        given = parsed(settings)
    pair = f"{given.get('model')}_{given.get('data', 'digits')}"
    if "experiment" not in given and pair in catalog.recipes():
        settings = [*settings, f"experiment={pair}"]
    others = [given.get(f"trainer.{name}") for name in ("max_epochs", "max_time")]
    if "trainer.max_steps" not in given and set(others) - {None, "-1", "null"}:
        settings = [*settings, "trainer.max_steps=null"]  # instead of a recipe's
    settings = with_callbacks(settings, parsed(settings).get("experiment", "none"))
    forced = tuple(f"{group}." for group in GROUPS)
    settings = quoted(settings, multirun)
    # Flags first: Hydra's parser takes the settings in one piece only.
    return [*flags, *(f"++{a}" if a.startswith(forced) else a for a in settings)]


def without_plus(setting):
    """A setting without Hydra's `+` and `++`; here only `+callbacks=` adds to what there is."""
    bare = setting.lstrip("+")
    return setting if setting.startswith("+callbacks=") or bare.startswith("hydra") else bare


def with_callbacks(settings, experiment):
    """The settings with `+callbacks=[NAME]` as the whole list: what there was before, and these.

    That is what a resumed run had, or else what every run has and what the recipes add.
    """
    added = [s for s in settings if s.startswith("+callbacks=")]
    whole = [s for s in settings if s.startswith("callbacks=")]
    if not added:
        return settings
    names = listed(whole[-1]) if whole else usual_callbacks(experiment)
    names += [name for setting in added for name in listed(setting)]
    others = [s for s in settings if s not in (*added, *whole)]
    return [*others, f"callbacks=[{','.join(dict.fromkeys(names))}]"]


def listed(setting):
    """[A, B] of `callbacks=[A,B]`."""
    return setting.partition("=")[2].strip("[]").split(",")


def usual_callbacks(experiment):
    """The callbacks that every run has, and those that its recipes (NAME,NAME or none) add."""
    files = [Path(__file__).parent / "config" / "fit.yaml"]
    files += [catalog.recipe(name) for name in experiment.split(",") if name != "none"]
    return [name for file in files for name in callbacks_of(file)]


def callbacks_of(file):
    """The callbacks that a file of settings chooses, or the recipe that it is a version of."""
    from omegaconf import OmegaConf

    names = []
    for choice in OmegaConf.to_container(OmegaConf.load(file)).get("defaults", []):
        if isinstance(choice, str) and choice in catalog.recipes():
            names += callbacks_of(catalog.recipe(choice))
        for key, value in choice.items() if isinstance(choice, dict) else ():
            if key == "callbacks" or "@callbacks" in key:
                names += [value] if isinstance(value, str) else value
    return names


if __name__ == "__main__":
    main()
