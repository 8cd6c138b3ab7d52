"""Every number that a setting takes has a range, which is checked before anything is computed."""

import ast
import importlib
import inspect
import subprocess
import sys
from functools import partial
from typing import Annotated

import pytest

from tests import kit
from zoo.config import catalog, cli, composition, trust
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.config.ranges import COMMON, Range, in_range, range_of, ranges_of
from zoo.config.signature import numeric, signature

GROUPS = ("model", *catalog.FOLDERS)
COMPONENTS = [(group, name) for group in GROUPS for name in catalog.names(group)]


def commands():
    """{name: function} of the commands, python -m zoo.NAME, that take settings."""
    files = [f for f in (ROOT / "zoo").glob("*.py") if "main(" + f.stem + ")" in f.read_text()]
    return {f.stem: getattr(importlib.import_module(f"zoo.{f.stem}"), f.stem) for f in files}


def parameters_of(function):
    return signature(ast.parse(inspect.getsource(function)).body[0])


def numbers(parameters):
    return {name: p for name, p in parameters.items() if numeric(p.annotation, p.default)}


def outside(parameter):
    """Numbers below and above a parameter's range, where there are such, of the right type."""
    opening, low, high, closing = parameter.range.ends
    below = [low if opening == "(" else low - 1] if low > -float("inf") else []
    above = [high if closing == ")" else high + 1] if high < float("inf") else []
    kinds = {n.id for n in ast.walk(parameter.annotation) if isinstance(n, ast.Name)}
    if "float" not in kinds:
        return [int(value) for value in (*below, *above)]
    return [*below, *above, float("nan"), *([] if above else [float("inf")])]


def as_tuple(parameter, value):
    """Three of them where the parameter takes a tuple."""
    return [value] * 3 if "tuple" in ast.unparse(parameter.annotation) else value


def test_every_number_has_a_range():
    """A new parameter: annotate it, Annotated[int, "[1, 8]"], or a name of zoo/config/ranges.py."""
    found = {f"{g}={n}": catalog.describe(g, n).parameters for g, n in COMPONENTS}
    found |= {name: parameters_of(function) for name, function in commands().items()}
    found |= {"fit": composition.SETTINGS}
    missing = [
        f"{where}: {name}"
        for where, parameters in found.items()
        for name, parameter in numbers(parameters).items()
        if parameter.range is None
    ]
    assert not missing
    assert {"sample", "evaluate", "probe", "fit"} <= found.keys()


def test_every_default_is_within_its_range():
    for group, name in COMPONENTS:
        for key, parameter in numbers(catalog.describe(group, name).parameters).items():
            parameter.range.check(parameter.default, f"{group}={name} {key}")


def test_every_common_range_is_an_interval():
    for text in COMMON.values():
        low, high = Range(text).ends[1:3]
        assert low < high


@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_the_command_line_refuses_what_is_outside(group, name):
    component = catalog.describe(group, name)
    for key, parameter in numbers(component.parameters).items():
        for value in outside(parameter):
            node = {"_target_": component.target, key: as_tuple(parameter, value)}
            with pytest.raises(UserError, match=rf"{key}={value} must be .* range") as refusal:
                composition.checked(node, group)
            assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_constructors_refuse_what_is_outside(group, name):
    """In Python as on the command line."""
    component = catalog.describe(group, name)
    cls = trust.import_class(group, name)
    labeled = {"classes": 10} if "classes" in component.parameters else {}
    for key, parameter in numbers(component.parameters).items():
        for value in outside(parameter)[:2]:
            with pytest.raises((ValueError, UserError)):
                cls(**labeled | {key: as_tuple(parameter, value)})


@pytest.mark.parametrize("name", sorted(commands()))
def test_commands_refuse_what_is_outside(name, monkeypatch):
    function = commands()[name]
    for key, parameter in numbers(parameters_of(function)).items():
        for value in map(partial(as_tuple, parameter), outside(parameter)):
            argument = f"{key}={value}".replace("=inf", "=.inf").replace("=nan", "=.nan")
            required = ["checkpoint=wgan_digits"] if "checkpoint" in parameters_of(function) else []
            monkeypatch.setattr(sys, "argv", [name, *required, argument])
            with pytest.raises(SystemExit, match=rf"Error: {key}=.* must be .* range") as stop:
                cli.main(function)
            assert "\n" not in str(stop.value)
            with pytest.raises(ValueError, match=rf"{key}=.* must be .* range"):
                function("wgan_digits", **{key: value})


@pytest.mark.parametrize("setting", ["seed", "threads"])
def test_the_settings_of_a_run_have_ranges(setting):
    for value in outside(composition.SETTINGS[setting]):
        with pytest.raises(UserError, match=rf"{setting}={value} must be .* range"):
            composition.convert(value, composition.SETTINGS[setting], setting)


@pytest.mark.parametrize(
    ("text", "good", "wrong"),
    [
        ("[0, 1)", [0, 0.5, 0.999], {-0.1: "at least 0", 1: "less than 1", 7: "less than 1"}),
        ("(0, 1]", [0.1, 1], {0: "greater than 0", 1.1: "at most 1"}),
        ("[1, inf)", [1, 10**30], {0: "at least 1", float("inf"): "finite"}),
        ("(-inf, inf)", [-5, 0, 1e30], {float("nan"): "greater than -inf"}),
    ],
)
def test_ranges(text, good, wrong):
    for value in (*good, None, "a", True, tuple(good), [good]):
        Range(text).check(value, "x")
    for value, message in wrong.items():
        for found in (value, (good[0], value)):
            with pytest.raises(ValueError, match=f"must be {message}: its range is"):
                Range(text).check(found, "x")


@pytest.mark.parametrize("text", ["0, 1", "[0 1]", "[a, 1]", ""])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ValueError, match=r"interval|could not convert"):
        _ = Range(text).ends


def test_ranges_are_looked_up_by_annotation_then_name_then_last_word():
    def of(name, annotation):
        found = range_of(name, ast.parse(annotation, mode="eval").body)
        return found and found.text

    assert of("lr", "float") == of("critic_lr", "float | None") == COMMON["lr"]
    assert of("lr", "Annotated[float, '[0, 9]']") == "[0, 9]"
    assert of("x", "Annotated[int, 'a note', '(0, 9]'] | None") == "(0, 9]"
    assert of("x", "tuple[Annotated[int, '[0, 9]'], ...]") == "[0, 9]"
    assert of("val_count", "int") == "[0, 100000000]" != COMMON["count"]
    assert of("x", "int") is None


def test_the_same_ranges_are_read_from_sources_and_at_run_time():
    for group, name in COMPONENTS:
        cls, wanted = trust.import_class(group, name), catalog.describe(group, name).parameters
        found = {}
        for base in reversed(cls.__mro__):
            if "__init__" in vars(base):
                found |= ranges_of(base.__init__)
        for key, parameter in numbers(wanted).items():
            assert found[key] == parameter.range, (group, name, key)


def test_a_users_own_model_declares_ranges():
    class Mine(type(kit.build("wgan"))):
        def __init__(self, slope: Annotated[float, "[0, 1]"] = 0.5, free: int = 3, **wgan):
            super().__init__(**wgan)

    assert Mine(slope=1.0, free=-7).hparams.slope == 1
    with pytest.raises(ValueError, match=r"model.slope=2 must be at most 1: its range is \[0, 1\]"):
        Mine(slope=2)


def test_a_decorated_function_keeps_its_face():
    @in_range
    def act(count: int = 3):
        """Acts."""
        return count

    assert act.__doc__ == "Acts."
    assert list(inspect.signature(act).parameters) == ["count"]
    assert act() == act(3) == 3
    with pytest.raises(ValueError, match="count=0 must be at least 1"):
        act(0)


def test_help_shows_ranges():
    code = "import sys; sys.argv = ['fit', 'model=wgan', '--help']; from zoo import fit; fit.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "model.lr=5e-05  in [0, inf)" in done.stdout, done.stderr
    assert "model.clip=0.01  in (0, inf)" in done.stdout
