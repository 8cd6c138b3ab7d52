"""Arguments of zoo.fit from files: those of an earlier run, and recipes.

Files may set the zoo's settings, but nothing of Hydra's. See docs/security.md.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.config.errors import UserError

GROUPS = ("model", "data", "callbacks", "logger", "extractor", "trainer")
IN_FILES = (*GROUPS, "experiment", "seed", "threads")  # what a resumed run or a recipe may set
IN_RUNS = (*IN_FILES, "init")  # what arguments.json holds; a resumed run does not use init
IN_RECIPES = (*IN_FILES, "folder", "defaults")
# KEY, KEY=VALUE, +KEY=VALUE, ++KEY=VALUE or ~KEY, where KEY is model, model.lr, ...
SETTING = re.compile(rf"(\+\+|\+|~)?({'|'.join(IN_RUNS)})((\.[a-zA-Z]\w*)*)(=.*)?")
CHOICE = re.compile(rf"(override )?/?({'|'.join((*GROUPS[:-1], 'experiment'))})(@\w+)?")
RESOLVER = re.compile(r"\$\{[^}]*:")  # ${oc.env:NAME} and the like, but not ${model.lr}
ELSEWHERE = "trainer.default_root_dir"  # the user who starts a run decides where it writes


def settings_of(run: str | Path, new: Mapping[str, object]) -> list[str]:
    """Return the settings to resume a run, without init and those that new settings replace.

    Args:
        run: Folder or checkpoint of the run.
        new: {key: value} of the new settings. A group, such as model, replaces all its settings.

    Raises:
        UserError: The run does not exist or has no valid arguments.json.
    """
    file = run_folder(run) / "arguments.json"
    if not file.exists():
        raise UserError(f"{file} is missing: set model=... and data=... in addition to resume=.")
    settings = read_arguments(file)
    keys = [setting.split("=")[0].lstrip("+~") for setting in settings]
    return [
        setting
        for setting, key in zip(settings, keys, strict=True)
        if key != "init" and not {key, key.split(".")[0]} & new.keys()
    ]


def run_folder(resume: str | Path) -> Path:
    """Return the folder of a run.

    Args:
        resume: The folder, or a checkpoint in it.

    Raises:
        UserError: It does not exist.
    """
    path = Path(resume)
    if not path.exists():
        raise UserError(f"resume={resume}: there is no such folder or checkpoint.")
    return path if path.is_dir() else path.parent.parent


def read_arguments(file: Path) -> list[str]:
    """Read the settings in a run's arguments.json.

    Raises:
        UserError: The file is damaged, or holds anything but settings of the zoo.
    """
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
                f"{file} holds {setting!r}, which is not a setting that a run stores: the file "
                "is not used."
            )
    return settings


def check_recipe(content: Any, file: Path) -> None:
    """Check that a recipe sets only the zoo's groups and settings.

    Args:
        content: The content of the YAML file.
        file: The file, for messages.

    Raises:
        UserError: It sets anything else.
    """
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
        raise UserError(
            f"{file}: a recipe may refer only to other settings, such as ${{model.lr}}."
        )
