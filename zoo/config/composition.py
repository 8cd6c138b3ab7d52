"""Classes and recipes as Hydra configs: the config of `model=wgan` is the signature of WGAN."""

import ast
import re

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.config import catalog, trust
from zoo.config.errors import UserError, one_line, unknown
from zoo.config.signature import convert, signature
from zoo.config.stored_arguments import check_recipe
from zoo.config.trainer_arguments import check_arguments

# The settings of a run beside its groups; their defaults are in zoo/config/fit.yaml.
SETTINGS = """
def fit(
    seed: int,
    folder: str | None,
    threads: int | None,
    resume: str | None,
    trust: str | tuple[str, ...] | None,
): ...
"""
SETTINGS = signature(ast.parse(SETTINGS).body[0])
CLASSES = ("model", "data", "callbacks", "logger", "extractor")
NO_LIMIT = ("max_steps", None)  # in fit.yaml; Lightning's own type has no None
TRAINER = "pytorch_lightning.trainer.trainer.Trainer"


class CatalogSource(ConfigSource):
    """The config source `zoo://`: one config for each class and for each recipe."""

    @staticmethod
    def scheme():
        return "zoo"

    def available(self):
        return True

    def is_group(self, config_path):
        return config_path in ("", *CLASSES, "experiment")

    def is_config(self, config_path):
        # Any name passes: load_config has a better message for a wrong one than Hydra.
        group, _, name = config_path.partition("/")
        return bool(name) and self.is_group(group)

    def list(self, config_path, results_filter):
        if results_filter == ObjectType.GROUP:
            return [*CLASSES, "experiment"] if config_path == "" else []
        if config_path == "experiment":
            return ["none", *catalog.recipes()]
        return catalog.names(config_path) if config_path in CLASSES else []

    def load_config(self, config_path):
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        header = {"package": "_global_" if group == "experiment" else None}
        if name == "none":
            config = OmegaConf.create()
        elif group == "experiment":
            file = catalog.recipe(name)
            config = OmegaConf.load(file)
            check_recipe(OmegaConf.to_container(config), file)
        else:
            component = trust.find_class(group, name)
            config = {"_target_": component.target, **component.defaults}
            if group == "callbacks":  # several may be chosen: each under its own name
                config = {name.rpartition(".")[2]: config}
            config = OmegaConf.create(config)
        return ConfigResult(config=config, path="zoo://", provider="zoo", header=header)


Plugins.instance().register(CatalogSource)


def explain(error, given):
    """A HydraException as one line in the zoo's words; given: {key: value} of the settings."""
    text = str(error)
    if "You must specify 'model'" in text:
        return f"Say which model: model=NAME. There are: {', '.join(catalog.names('model'))}."
    if "callbacks appears more than once" in text:
        return "Several callbacks may be chosen: write them in brackets, callbacks=[samples]."
    if several := re.search(r"Ambiguous value for argument '\+*([^=]+)=(.*)'", text):
        return (
            f"{several[1]}={several[2]} has several values: add --multirun to train one run for "
            f"each, or write one list, {several[1]}=[{several[2]}]."
        )
    if deleted := re.search(r"Could not delete from config\. .*?'([^']+)'", text):
        return f"~{deleted[1]}: there is no such setting to leave out, or it has another value."
    setting = re.search(r"Could not (?:override|find) '([^']+)'", text)
    if setting and (owners := owners_of(setting[1], given)):
        return f"There is no setting {setting[1]}. Did you mean {' or '.join(owners)}?"
    if setting:
        known = [*CLASSES, "experiment", *SETTINGS, "trainer"]
        return str(unknown("setting ", setting[1], known))
    return one_line(f"{text} {error.__cause__ or ''}")


def owners_of(name, given):
    """The settings GROUP.NAME of what is chosen, where a setting of that name is a group's."""
    chosen = {"trainer": TRAINER} | {group: given.get(group) for group in ("model", "data")}
    chosen["data"] = chosen["data"] or "digits"
    found = []
    for group, component in chosen.items():
        try:
            parameters = catalog.describe(group, component).parameters if component else {}
        except UserError:  # there is no such component
            continue
        found += [f"{group}.{name}"] * (name in parameters)
    return found


def check(config):
    """The composed config as plain containers with every name and type checked.

    Raises UserError for a name that a signature does not have, or a value of the wrong type.
    """
    try:
        config = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {one_line(error)}") from error
    for name, parameter in SETTINGS.items():
        config[name] = convert(config.get(name), parameter, name)
    for group in ("model", "data", "logger"):
        if not config.get(group):
            hint = " logger=csv writes the CSV log alone." if group == "logger" else ""
            raise UserError(f"{group}=NAME is missing.{hint}")
        config[group] = checked(config[group], group)
    config["callbacks"] = {
        name: checked(node, f"callbacks.{name}")
        for name, node in (config.get("callbacks") or {}).items()
        if node is not None
    }
    config.setdefault("extractor", {})
    config["trainer"] = _checked_trainer(config.get("trainer") or {})
    return config


def checked(node, where):
    """A component's node with its names and types checked; UserError for a mistake."""
    if not node.get("_target_"):
        raise UserError(f"{where} is set, but {where.replace('.', '=')} was not chosen.")
    component = trust.find_class(where.partition(".")[0], node["_target_"])
    values = {name: value for name, value in node.items() if name != "_target_"}
    return {"_target_": component.target} | converted(values, component.parameters, where)


def converted(values, parameters, where):
    """The values as the parameters have them; UserError for a name, type or range that is wrong.

    where: the group, which messages write before the names; "" for a command's own settings.
    """
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in parameters:
            raise unknown(prefix or "setting ", name, parameters)
    return {
        name: convert(value, parameters[name], f"{prefix}{name}") for name, value in values.items()
    }


def _checked_trainer(values):
    values = {name: value for name, value in values.items() if (name, value) != NO_LIMIT}
    parameters = catalog.describe("trainer", TRAINER).parameters
    return check_arguments(converted(values, parameters, "trainer"))
