"""Classes are found by file name and their signatures are read without importing anything."""

import subprocess
import sys
import textwrap

import pytest

from zoo.config import catalog, class_sources
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError


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

        class Pinned(Parent):
            def __init__(self, factor: float = 2.0, **more):
                super().__init__(critic_norm=False, **more)

        class Merged(Parent):
            def __init__(self, factor: float = 2.0, **given):
                super().__init__(**given | {"clip": None, "critic_norm": factor > 1})

        class Twice(Parent):
            def __init__(self, **given):
                super().__init__(lr=1.0, **given | {"clip": None} | {"critic_norm": False})

        class Unrelated(Parent):
            def __init__(self, factor: float = 2.0, **given):
                self.other = {"clip": factor}
                super().__init__(**given)

        class Stranger:
            def __init__(self, size: int = 1): ...
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_package.my_model"


def test_names_are_the_file_names():
    assert "wgan" in catalog.names("model")
    assert "digits" in catalog.names("data")
    assert {"samples", "metrics", "ema"} <= set(catalog.names("callbacks"))
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


def test_a_parameter_that_the_constructor_decides_is_not_offered(package):
    defaults = catalog.describe("model", f"{package}.Pinned").defaults
    assert "critic_norm" not in defaults
    assert {"factor", "clip"} <= set(defaults)


def test_a_parameter_that_is_handed_on_merged_is_not_offered(package):
    """`**given | {...}` lets Lightning's load_from_checkpoint pass what a checkpoint holds."""
    whole = set(catalog.describe("model", "wgan").defaults)
    merged = set(catalog.describe("model", f"{package}.Merged").defaults)
    assert merged == whole - {"clip", "critic_norm"} | {"factor"}
    twice = set(catalog.describe("model", f"{package}.Twice").defaults)
    assert twice == whole - {"clip", "critic_norm", "lr"}


def test_other_dictionaries_in_a_constructor_are_ignored(package):
    defaults = catalog.describe("model", f"{package}.Unrelated").defaults
    assert defaults["clip"] == 0.01


def test_models_hide_the_parameters_that_they_decide():
    assert "spectral_norm" not in catalog.describe("model", "improved_gan").defaults
    assert not {"clip", "critic_norm"} & set(catalog.describe("model", "wgan_gp").defaults)


@pytest.mark.parametrize(
    ("imports", "base"),
    [
        ("import zoo.adversarial.wgan as w", "w.WGAN"),
        ("import zoo.adversarial.wgan", "zoo.adversarial.wgan.WGAN"),
        ("from zoo.adversarial import wgan", "wgan.WGAN"),
        ("from zoo.adversarial.wgan import WGAN", "WGAN"),
        ("from .again import Other", "Other"),
        ("from . import again", "again.Other"),
    ],
)
def test_every_way_to_name_the_base_class(imports, base, tmp_path, monkeypatch):
    """The class is itself called WGAN: it must not be taken for its own base."""
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "again.py").write_text("from zoo.adversarial.wgan import WGAN as Other\n")
    (folder / "mine.py").write_text(f"{imports}\nclass WGAN({base}):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    class_sources.find_module.cache_clear()
    class_sources.parse.cache_clear()
    assert catalog.describe("model", "named.mine.WGAN").defaults["clip"] == 0.01
    assert class_sources.is_a("named.mine.WGAN", catalog.MODEL)


def test_a_module_is_not_searched_for_under_a_module():
    assert class_sources.locate("zoo.fit.json") is None


def test_a_parameter_without_default_is_refused(package):
    with pytest.raises(UserError, match="default of weight must be"):
        catalog.describe("model", f"{package}.NoDefault")


def test_is_model_reads_ancestors_without_import(package):
    assert class_sources.is_a("zoo.adversarial.wgan.WGAN", catalog.MODEL)
    assert class_sources.is_a(f"{package}.Child", catalog.MODEL)
    assert not class_sources.is_a(f"{package}.Stranger", catalog.MODEL)
    assert not class_sources.is_a("os.system", catalog.MODEL)
    assert not class_sources.is_a("nowhere.Model", catalog.MODEL)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UserError, match=r"no model=wgann. Did you mean wgan"):
        catalog.describe("model", "wgann")
    with pytest.raises(UserError, match=r"no data=zzzz. There are: .*digits"):
        catalog.describe("data", "zzzz")
    with pytest.raises(UserError, match="PYTHONPATH"):
        catalog.describe("model", "no.such.module")
    with pytest.raises(UserError, match="Did you mean wgan_digits"):
        catalog.recipe("wgan_digit")


def test_torch_is_not_imported():
    code = (
        "import sys, zoo; from zoo.config import catalog; zoo.models(); "
        "[catalog.describe(g, n) for g in catalog.FOLDERS for n in catalog.names(g)]; "
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "zoo" in done.stdout.split(), done.stderr
    assert not {"torch", "pytorch_lightning", "wandb", "hydra"} & set(done.stdout.split())


def test_a_package_that_the_zoo_hides_is_one_message():
    with pytest.raises(UserError, match=r"callbacks\.mine is not found .* hides other packages"):
        catalog.describe("callbacks", "callbacks.mine")
