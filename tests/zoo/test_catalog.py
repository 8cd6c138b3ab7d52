"""Classes are found by file name and their signatures are read without importing anything."""

import ast
import subprocess
import sys
import textwrap

import pytest

from zoo import catalog
from zoo.catalog import ROOT, UserError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A user's package outside the repository, on the path only."""
    folder = tmp_path / "my_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('the catalog must not import')\n")
    (folder / "my_model.py").write_text(
        textwrap.dedent("""
        from zoo.adversarial.wgan import WGAN as Parent

        class MyModel(Parent):
            '''My experiment.

            More words.
            '''
            def __init__(self, weight: float = 0.5, lr: float = 1.0, *, flag: bool = False, **more):
                super().__init__(lr=lr, **more)

        class Child(MyModel):
            pass

        class NoDefault(Parent):
            def __init__(self, weight: float, **more):
                super().__init__(**more)

        class Stranger:
            def __init__(self, size: int = 1): ...
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_package.my_model"


def test_names_are_the_file_names():
    assert "wgan" in catalog.names("model")
    assert "digits" in catalog.names("data")
    assert {"samples", "fid", "ema"} <= set(catalog.names("callbacks"))
    assert "base" not in catalog.names("data")


def test_shared_networks_are_no_models():
    assert "dcgan" not in catalog.names("model") or (ROOT / "zoo/adversarial/dcgan.py").exists()


def test_describe_reads_the_signature_of_the_class_and_of_its_base():
    component = catalog.describe("model", "wgan")
    assert component.target == "zoo.adversarial.wgan.WGAN"
    assert component.defaults["lr"] == 5e-5
    assert component.defaults["gradient_clip"] == 0.0
    assert "self" not in component.defaults


def test_a_users_class_by_dotted_path_is_read_without_import(package):
    component = catalog.describe("model", package)
    assert component.target == "my_package.my_model.MyModel"
    assert component.summary == "My experiment."
    assert component.defaults["weight"] == 0.5
    assert component.defaults["lr"] == 1.0, "the child's default wins"
    assert component.defaults["flag"] is False
    assert component.defaults["clip"] == 0.01, "inherited through **more"
    assert "my_package" not in sys.modules


def test_a_class_without_constructor_has_that_of_its_base(package):
    child = catalog.describe("model", f"{package}.Child")
    assert child.defaults == catalog.describe("model", package).defaults


def test_a_class_that_does_not_pass_keywords_on_has_its_own_parameters_only(package):
    assert catalog.describe("model", f"{package}.Stranger").defaults == {"size": 1}


def test_a_parameter_without_default_is_refused(package):
    with pytest.raises(UserError, match="weight needs a default"):
        catalog.describe("model", f"{package}.NoDefault")


def test_is_model_reads_ancestors_without_import(package):
    assert catalog.is_model("zoo.adversarial.wgan.WGAN")
    assert catalog.is_model(f"{package}.Child")
    assert not catalog.is_model(f"{package}.Stranger")
    assert not catalog.is_model("os.system")
    assert not catalog.is_model("nowhere.Model")


def test_unknown_names_tell_the_nearest():
    with pytest.raises(UserError, match=r"no model=wgann. Did you mean wgan"):
        catalog.describe("model", "wgann")
    with pytest.raises(UserError, match=r"no data=zzzz. There are: .*digits"):
        catalog.describe("data", "zzzz")
    with pytest.raises(UserError, match="PYTHONPATH"):
        catalog.describe("model", "no.such.module")
    with pytest.raises(UserError, match="Did you mean wgan_digits"):
        catalog.recipe("wgan_digit")


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, "int", 1),
        (1, "float", 1.0),
        (0.5, "float", 0.5),
        ("a", "str", "a"),
        (True, "bool", True),
        (None, "int | None", None),
        (3, "int | None", 3),
        ([0, 0.9], "tuple[float, float]", (0.0, 0.9)),
        ([1, 2, 3], "tuple[int, ...]", (1, 2, 3)),
        ([], "tuple[str, ...]", ()),
        ({"a": 1}, "dict", {"a": 1}),
    ],
)
def test_convert(value, annotation, expected):
    converted = catalog.convert(value, ast.parse(annotation, mode="eval").body, "x")
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1.5, "int"),
        ("1", "int"),
        (True, "int"),
        (1, "bool"),
        (1, "str"),
        (None, "float"),
        ("a", "int | None"),
        ([0.1], "tuple[float, float]"),
        (0.1, "tuple[float, float]"),
        (["a"], "tuple[int, ...]"),
    ],
)
def test_wrong_types_are_refused(value, annotation):
    with pytest.raises(UserError, match=r"x=.* must be"):
        catalog.convert(value, ast.parse(annotation, mode="eval").body, "x")


def test_nothing_heavy_is_imported():
    code = (
        "import sys, zoo; from zoo import catalog; zoo.models(); "
        "[catalog.describe(g, n) for g in catalog.FOLDERS for n in catalog.names(g)]; "
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "zoo" in done.stdout.split(), done.stderr
    assert not {"torch", "pytorch_lightning", "wandb", "hydra"} & set(done.stdout.split())
