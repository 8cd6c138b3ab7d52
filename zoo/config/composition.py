"""Classes and recipes as Hydra configs: the config of `model=wgan` is the signature of WGAN."""

import re
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.config import catalog, trust
from zoo.config.command_line import usual_callbacks
from zoo.config.errors import UserError, did_you_mean, one_line, unknown
from zoo.config.settings import Choice, Settings
from zoo.config.signature import Parameter, convert, fields
from zoo.config.stored_arguments import check_recipe
from zoo.config.trainer_arguments import check_arguments

CLASSES = ("model", "data", "callbacks", "logger", "extractor")
SETTINGS = fields(Settings, (*CLASSES, "trainer"))  # of a run; defaults are in fit.yaml
NO_LIMIT = ("max_steps", None)  # in fit.yaml; Lightning's own type has no None
TRAINER = "pytorch_lightning.trainer.trainer.Trainer"


class CatalogSource(ConfigSource):
    """The config source `zoo://`: one config for each class and for each recipe."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the search path."""
        return "zoo"

    def available(self) -> bool:
        """Return True: the catalog always exists."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return whether a path is a group."""
        return config_path in ("", *CLASSES, "experiment")

    def is_config(self, config_path: str) -> bool:
        """Return whether a path is in a group."""
        # Any name passes: load_config has a better message for a wrong one than Hydra.
        group, _, name = config_path.partition("/")
        return bool(name) and self.is_group(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the groups, or the names in a group."""
        if results_filter == ObjectType.GROUP:
            return [*CLASSES, "experiment"] if config_path == "" else []
        if config_path == "experiment":
            return ["none", *catalog.recipes()]
        return catalog.names(config_path) if config_path in CLASSES else []

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the config of a class, from its signature, or of a recipe."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        header = {"package": "_global_" if group == "experiment" else None}
        config: Any = OmegaConf.create()
        if name == "none":
            pass
        elif group == "experiment":
            file = catalog.recipe(name)
            config = OmegaConf.load(file)
            check_recipe(OmegaConf.to_container(config), file)
        else:
            component = trust.find_class(group, name)
            values = {"_target_": component.target, **component.defaults}
            if group == "callbacks":  # several may be chosen, each under its own name
                values = {name.rpartition(".")[2]: values}
            config = OmegaConf.create(values)
        return ConfigResult(config=config, path="zoo://", provider="zoo", header=header)


Plugins.instance().register(CatalogSource)


def explain(error: Exception, values: dict[str, str]) -> str:
    """Translate an error of Hydra's to a message with the zoo's terms.

    Args:
        error: The HydraException.
        values: {key: value} of the command line.

    Returns:
        The message, on one line.
    """
    text = str(error)
    if "You must specify 'model'" in text:
        misspelt = [key for key in values if "." not in key and did_you_mean(key, ["model"])]
        if misspelt:
            return str(unknown("setting ", misspelt[0], ["model"]))
        return f"Say which model: model=NAME. There are: {', '.join(catalog.names('model'))}."
    if "callbacks appears more than once" in text:
        return "Several callbacks may be chosen: write them in brackets, callbacks=[samples]."
    if several := re.search(r"Ambiguous value for argument '\+*([^=]+)=(.*)'", text):
        return (
            f"{several[1]}={several[2]} has several values: add --multirun to train one run for "
            f"each, or write one list, {several[1]}=[{several[2]}]."
        )
    if deleted := re.search(r"Could not delete from config\. .*?'([^']+)'", text):
        group, _, name = deleted[1].partition(".")
        chosen = usual_callbacks(values.get("experiment", "none"))
        if group == "callbacks" and "callbacks" not in values and name not in chosen:
            return str(unknown("chosen callback ", name, chosen))
        return f"~{deleted[1]}: there is no such setting to leave out, or it has another value."
    setting = re.search(r"Could not (?:override|find) '([^']+)'", text)
    if setting and (owners := owners_of(setting[1], values)):
        return f"There is no setting {setting[1]}. Did you mean {' or '.join(owners)}?"
    if setting:
        sections = [*CLASSES, "experiment", *SETTINGS, "trainer"]
        return str(unknown("setting ", setting[1], sections))
    return one_line(f"{text} {error.__cause__ or ''}")


def owners_of(name: str, values: dict[str, str]) -> list[str]:
    """Return GROUP.NAME for each of trainer, model and data that has a setting of a name.

    Args:
        name: The name.
        values: {key: value} of the command line, which choose model and data.
    """
    chosen = {"trainer": TRAINER, "model": values.get("model", "")}
    chosen["data"] = values.get("data") or "digits"
    found = []
    for group, component in chosen.items():
        try:
            parameters = catalog.describe(group, component).parameters if component else {}
        except UserError:  # there is no such component
            continue
        found += [f"{group}.{name}"] * (name in parameters)
    return found


def check(config: DictConfig) -> Settings:
    """Check every name, type and range of a composed config.

    Raises:
        UserError: A signature does not have a name, or a value has the wrong type or range.
    """
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {one_line(error)}") from error
    for group in ("model", "data", "logger"):
        if not values.get(group):
            hint = " logger=csv writes the CSV log alone." if group == "logger" else ""
            raise UserError(f"{group}=NAME is missing.{hint}")
    callbacks = {name: node for name, node in (values.get("callbacks") or {}).items() if node}
    plain: Any = {name: convert(values.get(name), p, name) for name, p in SETTINGS.items()}
    choices: Any = {group: checked(values[group], group) for group in ("model", "data", "logger")}
    return Settings(
        **plain,
        **choices,
        callbacks={name: checked(node, f"callbacks.{name}") for name, node in callbacks.items()},
        extractor=_extractor_choice(values.get("extractor")),
        trainer=_checked_trainer(values.get("trainer") or {}),
    )


def checked(node: dict[str, Any], where: str) -> Choice:
    """Check the names, types and ranges of a component's values.

    Args:
        node: {"_target_": name or dotted path, parameter: value}.
        where: The group, or callbacks.NAME, for messages.

    Raises:
        UserError: No class is chosen, or a name or value is wrong.
    """
    check_section(node, where)
    if not node.get("_target_"):
        hint = (
            " If a recipe sets it, leave the recipe out: experiment=none." if "." in where else ""
        )
        raise UserError(f"{where} is set, but {where.replace('.', '=')} was not chosen.{hint}")
    component = trust.find_class(where.partition(".")[0], node["_target_"])
    values = {name: value for name, value in node.items() if name != "_target_"}
    return Choice(component.target, converted(values, component.parameters, where))


def check_section(node: Any, where: str) -> None:
    """Check that a component or `trainer` has parameters, and is not set to a value itself.

    Args:
        node: The value.
        where: Its name in the message.

    Raises:
        UserError: It is set to a value.
    """
    if not isinstance(node, dict):
        raise UserError(
            f"{where}={node}: {where} has parameters of its own, write {where}.NAME=VALUE; see "
            "--help."
        )


def converted(
    values: dict[str, Any], parameters: dict[str, Parameter], where: str
) -> dict[str, Any]:
    """Convert values to the types of their parameters.

    Args:
        values: {name: value}.
        parameters: {name: Parameter} of the signature.
        where: The group, which messages put before the names; "" for a command's own settings.

    Raises:
        UserError: A name is unknown, or a value has the wrong type or range.
    """
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in parameters:
            raise unknown(prefix or "setting ", name, parameters)
    return {
        name: convert(value, parameters[name], f"{prefix}{name}") for name, value in values.items()
    }


def _extractor_choice(node: dict[str, Any] | None) -> Choice | None:
    """The extractor's settings, unchecked: the class may be the one that the data name."""
    if not node:
        return None
    values = {name: value for name, value in node.items() if name != "_target_"}
    return Choice(node.get("_target_", ""), values)


def _checked_trainer(values: dict[str, Any]) -> dict[str, Any]:
    """Check the arguments of the Trainer."""
    check_section(values, "trainer")
    values = {name: value for name, value in values.items() if (name, value) != NO_LIMIT}
    parameters = catalog.describe("trainer", TRAINER).parameters
    return check_arguments(converted(values, parameters, "trainer"))
