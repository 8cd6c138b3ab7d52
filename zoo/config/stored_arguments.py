"""The arguments of zoo.fit that come from files: those of an earlier run, and recipes.

A file sets what the zoo has, and nothing of Hydra's: see docs/security.md.
"""

import json
import re
from pathlib import Path

from zoo.config.errors import UserError

GROUPS = ("model", "data", "callbacks", "logger", "extractor", "trainer")
IN_FILES = (*GROUPS, "experiment", "seed", "threads")  # what the arguments of a run may set
IN_RECIPES = (*IN_FILES, "folder", "defaults")
# KEY, KEY=VALUE, +KEY=VALUE, ++KEY=VALUE or ~KEY, where KEY is model, model.lr, ...
SETTING = re.compile(rf"(\+\+|\+|~)?({'|'.join(IN_FILES)})((\.[a-zA-Z]\w*)*)(=.*)?")
CHOICE = re.compile(rf"(override )?/?({'|'.join((*GROUPS[:-1], 'experiment'))})(@\w+)?")
RESOLVER = re.compile(r"\$\{[^}]*:")  # ${oc.env:NAME} and the like; ${model.lr} is none
ELSEWHERE = "trainer.default_root_dir"  # where a run writes is decided by who starts it


def settings_of(run, anew):
    """The settings of an earlier run, without those given anew and those of groups given anew."""
    file = run_folder(run) / "arguments.json"
    if not file.exists():
        raise UserError(f"{file} is missing: say model=... data=... beside resume=.")
    settings = read_arguments(file)
    keys = [setting.split("=")[0].lstrip("+~") for setting in settings]
    return [
        setting
        for setting, key in zip(settings, keys, strict=True)
        if not {key, key.split(".")[0]} & anew.keys()
    ]


def run_folder(resume):
    """The folder of the run that `resume` names by its folder or by one of its checkpoints."""
    path = Path(resume)
    if not path.exists():
        raise UserError(f"resume={resume}: there is no such folder or checkpoint.")
    return path if path.is_dir() else path.parent.parent


def read_arguments(file):
    """The settings in a run's arguments.json; UserError for anything but settings of the zoo."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged: {error}") from error
    if not isinstance(settings, list) or not all(isinstance(s, str) for s in settings):
        raise UserError(f"{file} is damaged: it must be a list of settings, KEY=VALUE.")
    for setting in settings:
        match = SETTING.fullmatch(setting)
        if not match or "${" in setting or match[2] + match[3] == ELSEWHERE:
            raise UserError(
                f"{file} holds {setting!r}, which is not a setting that a run stores: nothing of "
                "it is used."
            )
    return settings


def check_recipe(content, file):
    """UserError for a recipe that sets anything but the zoo's groups and settings."""
    for name in content:
        if name not in IN_RECIPES:
            raise UserError(f"{file} sets {name}: a recipe sets {', '.join(IN_RECIPES)} only.")
    for choice in content.get("defaults") or []:
        for name in choice if isinstance(choice, dict) else ():
            if not CHOICE.fullmatch(name):
                raise UserError(
                    f"{file} chooses {name}: a recipe chooses {', '.join(GROUPS)} only."
                )
    if RESOLVER.search(str(content)):
        raise UserError(f"{file}: a recipe refers to other settings, ${{model.lr}}, only.")
