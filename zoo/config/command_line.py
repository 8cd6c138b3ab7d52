"""From the arguments of `python -m zoo.fit` to the overrides that Hydra composes."""

from pathlib import Path
from typing import Any

from zoo.config import catalog
from zoo.config.errors import UserError, unknown
from zoo.config.quoting import RUN, parsed, quoted
from zoo.config.stored_arguments import GROUPS, IN_FILES, settings_of

# Those of Hydra's flags that show what a run would do, or choose how often it runs.
FLAGS: tuple[str, ...]
FLAGS = ("--multirun", "-m", "--cfg", "-c", "--resolve", "--package", "-p", "--info", "-i")
FLAGS += ("--run", "-r", "--hydra-help", "--version")
CFG = ("--cfg", "-c")
CFG_VALUES = ("job", "hydra", "all")
NO_NAMES = ("false", "true", "null", "~")  # values that YAML does not read as a name


def complete(arguments: list[str]) -> list[str]:
    """Add what the arguments imply: the settings of a resumed run, and the recipe.

    Settings of a group are forced into the composition (`++`), because their names are checked
    later, with the nearest name in the message. Completing twice changes nothing, so processes may
    be started with completed arguments.

    Raises:
        UserError: An argument is malformed, or a flag is unknown.
    """
    flags = [a for a in arguments if "=" not in a and not a.startswith("~")]
    multirun = bool({"-m", "--multirun"} & set(flags))
    check_flags(arguments, flags, multirun)
    settings = [without_plus(a) for a in arguments if a not in flags]
    check_names(parsed(settings))
    check_start(parsed(settings))
    settings = with_recipe(with_resumed_settings(settings))
    settings = with_callbacks(settings, parsed(settings).get("experiment", "none"))
    forced = tuple(f"{group}." for group in GROUPS)
    settings = quoted(settings, multirun)
    # Flags first: Hydra's parser takes the settings in one piece only.
    return [*flags, *(f"++{s}" if s.startswith(forced) else s for s in settings)]


def check_flags(arguments: list[str], flags: list[str], multirun: bool) -> None:
    """Check that arguments are KEY=VALUE or known flags.

    Raises:
        UserError: One is not.
    """
    following = [*arguments[1:], ""]
    for before, argument, after in zip(["", *arguments], arguments, following, strict=False):
        check_dashes(argument, after)
        bare = argument in flags and not (argument.startswith("-") or before.startswith("-"))
        if bare or (argument.startswith("--") and "." in argument):
            raise UserError(f"{argument} is not of the form KEY=VALUE; see --help.")
        if argument.startswith("-") and "=" not in argument and argument not in FLAGS:
            raise unknown("flag ", argument, FLAGS)
        if before in CFG and argument not in CFG_VALUES:
            raise UserError(f"{before} {argument}: it takes {', '.join(CFG_VALUES)}.")
    if arguments[-1:] and arguments[-1] in CFG:
        raise UserError(f"{arguments[-1]} takes {', '.join(CFG_VALUES)}.")
    if multirun and set(CFG) & set(flags):
        raise UserError("--cfg shows the settings of one run: leave out --multirun.")


def check_dashes(argument: str, after: str) -> None:
    """Check that a setting is not written as a flag.

    Args:
        argument: An argument.
        after: The next one; "" after the last.

    Raises:
        UserError: It is --KEY VALUE or --KEY=VALUE.
    """
    key, _, value = argument.lstrip("-").partition("=")
    if not argument.startswith("--") or key.partition(".")[0] not in (*IN_FILES, *RUN):
        return
    value = value or ("" if after.startswith("-") or "=" in after else after) or "VALUE"
    raise UserError(f"{argument} is not of the form KEY=VALUE: write {key}={value}; see --help.")


def check_names(values: dict[str, str]) -> None:
    """Check that groups are set to names.

    Raises:
        UserError: One is set to null, true or false.
    """
    for key in GROUPS[:-1]:
        if values.get(key, "").lower() in NO_NAMES:
            hint = " The CSV log is always written; logger=csv writes no other."
            hint = hint if key == "logger" else f" {key}=[] is none." if key == "callbacks" else ""
            raise UserError(f"{key}={values[key]}: it must be a name, see --help.{hint}")


def check_start(values: dict[str, str]) -> None:
    """Check that a run either resumes another or starts from its weights.

    Raises:
        UserError: It does both.
    """
    if {"resume", "init"} <= values.keys():
        raise UserError(
            "Set either resume=, which continues a run, or init=, which starts a new run from the "
            "weights of another."
        )


def without_plus(setting: str) -> str:
    """Remove Hydra's `+` and `++`: only `+callbacks=` adds to what there is."""
    bare = setting.lstrip("+")
    return setting if setting.startswith("+callbacks=") or bare.startswith("hydra") else bare


def with_resumed_settings(settings: list[str]) -> list[str]:
    """Put the settings of the run that `resume=` names before the new ones."""
    values = parsed(settings)
    if "resume" not in values or "model" in values:
        return settings
    added = any(setting.startswith("+callbacks=") for setting in settings)
    new = {key: v for key, v in values.items() if not (added and key == "callbacks")}
    return [*settings_of(values["resume"], new), *settings]


def with_recipe(settings: list[str]) -> list[str]:
    """Add the recipe of the pair of model and data, unless `experiment=` is set."""
    values = parsed(settings)
    pair = f"{values.get('model')}_{values.get('data', 'digits')}"
    if "experiment" not in values and pair in catalog.recipes():
        settings = [*settings, f"experiment={pair}"]
    other_limits = {values.get(f"trainer.{name}") for name in ("max_epochs", "max_time")}
    if "trainer.max_steps" not in values and other_limits - {None, "-1", "null"}:
        settings = [*settings, "trainer.max_steps=null"]  # replaces the recipe's limit
    return settings


def with_callbacks(settings: list[str], experiment: str) -> list[str]:
    """Replace `+callbacks=[NAME]` by the whole list: the callbacks so far, and these.

    Those so far are the ones of a resumed run, or the usual ones and those of the recipes.
    """
    added = [s for s in settings if s.startswith("+callbacks=")]
    whole = [s for s in settings if s.startswith("callbacks=")]
    if not added:
        return settings
    names = list_of(whole[-1]) if whole else usual_callbacks(experiment)
    names += [name for setting in added for name in list_of(setting)]
    others = [s for s in settings if s not in (*added, *whole)]
    return [*others, f"callbacks=[{','.join(dict.fromkeys(names))}]"]


def list_of(setting: str) -> list[str]:
    """Return [A, B] of `callbacks=[A,B]`."""
    return setting.partition("=")[2].strip("[]").split(",")


def usual_callbacks(experiment: str) -> list[str]:
    """Return the callbacks of every run, and those that recipes (NAME,NAME or none) add."""
    files = [Path(__file__).with_name("fit.yaml")]
    files += [catalog.recipe(name) for name in experiment.split(",") if name != "none"]
    return [name for file in files for name in callbacks_of(file)]


def callbacks_of(file: Path) -> list[str]:
    """Return the callbacks that a YAML file chooses, or the recipe that it extends."""
    from omegaconf import OmegaConf

    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    names = []
    for choice in content.get("defaults", []):
        if isinstance(choice, str) and choice in catalog.recipes():
            names += callbacks_of(catalog.recipe(choice))
        for key, value in choice.items() if isinstance(choice, dict) else ():
            if key == "callbacks" or "@callbacks" in key:
                names += [value] if isinstance(value, str) else value
    return names
