"""What can be chosen by name: models, data, callbacks, loggers, extractors and recipes.

`model=wgan` is the class in `zoo/*/wgan.py` that has the file's name, without underscores and case.
A dotted path (`model=my_package.my_model`) is a module that follows the same rule, or a class.
Nothing is imported, so that help and error messages come at once.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zoo.config.class_sources import Source, derives, locate, named_class, parameters, resolve
from zoo.config.errors import UserError, unknown
from zoo.config.signature import MISSING, Parameter

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "data": "datamodules",
    "callbacks": "callbacks",
    "logger": "zoo/loggers",
    "extractor": "zoo/metrics/extractors",
}
PACKAGES = ("callbacks", "datamodules", "experiments", "zoo")  # of the zoo, at the top level
MODEL = "zoo.base.GenerativeModule"
DATA = "datamodules.base.DataModule"


@dataclass(frozen=True)
class Component:
    """A class that can be chosen.

    Args:
        target: Dotted path of the class.
        text: Its docstring.
        parameters: {name: Parameter} of its constructor.
    """

    target: str
    text: str
    parameters: dict[str, Parameter]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.text.partition("\n")[0]

    @property
    def defaults(self) -> dict[str, object]:
        """{parameter: default}."""
        return {name: parameter.default for name, parameter in self.parameters.items()}


def names(group: str) -> list[str]:
    """Return the names that `<group>=` takes."""
    return sorted(_files(group))


def describe(group: str, name: str) -> Component:
    """Read the Component behind `<group>=<name>` from its source.

    Raises:
        UserError: There is none, or a default is not a plain value.
    """
    source = _find(group, name)
    own = parameters(source)
    for parameter, description in own.items():
        if description.default == MISSING:
            raise UserError(
                f"{source.target}: the default of {parameter} must be written out as a plain value "
                "(number, string, bool, None or a tuple of these)."
            )
    return Component(source.target, source.docstring, own)


def target(group: str, name: str) -> str:
    """Return the dotted path of the class behind `<group>=<name>`.

    Raises:
        UserError: There is none.
    """
    return _find(group, name).target


def recipes() -> dict[str, Path]:
    """Return {name: file} of the recipes that `experiment=` takes."""
    return {file.stem: file for file in sorted((ROOT / "experiments").glob("*.yaml"))}


def data_of_recipes(model: str) -> list[str]:
    """Return the names of the data for which a model, by its name, has a recipe."""
    return [name for name in names("data") if f"{model}_{name}" in recipes()]


def recipe(name: str) -> Path:
    """Return the file of a recipe.

    Args:
        name: Name of a recipe, or path of a YAML file.

    Raises:
        UserError: There is none.
    """
    file = recipes().get(name, Path(name).with_suffix(".yaml"))
    if not file.exists():
        raise unknown("experiment=", name, recipes())
    return file


def name_of(target: str) -> str:
    """Return what chooses a class on the command line: its name, or the dotted path of a user's.

    Args:
        target: Dotted path of the class.
    """
    parts = target.split(".")
    return parts[-2] if parts[0] in PACKAGES and len(parts) > 1 else target


def dotted_path(instance: object) -> str:
    """Return where the class of an object can be imported from."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def check_packages() -> None:
    """Check that Python finds the zoo's own packages, not others with the same names.

    Recipes are read by path, so that a package called `experiments` does no harm.

    Raises:
        UserError: Another package comes first on Python's path.
    """
    for name in ("callbacks", "datamodules"):
        own, found = ROOT / name, locate(name)
        if found is None or not found.samefile(own / "__init__.py"):
            raise UserError(
                f"{found or f'Another package {name}'} hides the zoo's {own}: rename that package, "
                "remove its folder from PYTHONPATH, or run the command in another folder."
            )


def _find(group: str, name: str) -> Source:
    """Find the class behind `<group>=<name>`."""
    if "." not in name:
        found = _files(group, name)
        if not found:
            raise unknown(f"{group}=", name, names(group))
        return _source(found[name])
    file = locate(name)
    node = named_class(file) if file else None
    source = Source(file, name, node) if file and node else resolve(name)
    if source is None:
        check_packages()
        if name.partition(".")[0] in PACKAGES:
            package = ROOT / name.partition(".")[0]
            raise UserError(
                f"{name} is not found in the zoo's {package}, which hides other packages of that "
                "name: rename yours."
            )
        raise UserError(
            f"Nothing is found at {name}: it must be the dotted path of a class, or of a module "
            "whose class has the module's name, in a package that Python can import (see "
            "PYTHONPATH)."
        )
    return source


@cache
def _files(group: str, name: str = "*") -> dict[str, Path]:
    """Return {name: file} of the classes that `<group>=` finds, or of one of them."""
    if name != "*" and not name.isidentifier():
        return {}
    if group == "model":
        files = [file for file in ROOT.glob(f"zoo/*/{name}.py") if named_class(file)]
        return {file.stem: file for file in files if derives(_source(file), MODEL)}
    check_packages()
    return {f.stem: f for f in (ROOT / FOLDERS[group]).glob(f"{name}.py") if named_class(f)}


def _source(file: Path) -> Source:
    """Return the class in a file of the zoo that has one by the file's name."""
    node = named_class(file)
    assert node is not None
    return Source(file, ".".join(file.relative_to(ROOT).with_suffix("").parts), node)
