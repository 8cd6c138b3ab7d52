"""The examples of the README and the docs run, and their links lead somewhere."""

import ast
import re
import warnings

import pytest

from tests import kit
from zoo.config import catalog, command_line
from zoo.config.catalog import ROOT

README = (ROOT / "README.md").read_text()
PAGES = {file.name: file.read_text() for file in sorted((ROOT / "docs").glob("*.md"))}
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_first_lines_are_the_two_commands():
    install, test = blocks("sh")[0].splitlines()
    assert install == "python -m pip install -e . && python -m zoo.fit model=wgan"
    assert test == 'python -m pip install -e ".[test]" && python -m pytest'
    assert "```sh" in README.splitlines()[:10]


def test_the_subclass_trains(tmp_path):
    code = next(block for block in blocks("python") if "class QuietWGAN" in block)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/quiet_wgan.py").write_text(code)
    settings = ["model=my_package.quiet_wgan", "model.weight=0.2", "trainer.max_steps=3"]
    settings += ["callbacks.metrics.count=100", f"folder={tmp_path / 'run'}"]
    with kit.command("fit", *settings, output=tmp_path, cwd=tmp_path, path=[tmp_path]) as done:
        assert done.wait() == 0, done.stderr
    assert "finished after 3 batches" in done.stdout


def test_a_users_trainer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = next(block for block in blocks("python") if "Trainer(" in block)
    namespace = {}
    exec(code.replace("max_steps=14000", "max_steps=3, accelerator='cpu'"), namespace)
    assert namespace["trainer"].global_step == 3
    assert "generator" in namespace["model"].averages


def test_a_users_loaders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = next(block for block in blocks("python") if "collate_fn" in block)
    namespace = {}
    exec(code.replace("max_steps=1000", "max_steps=3, accelerator='cpu'"), namespace)
    assert namespace["trainer"].global_step == 3
    assert list(tmp_path.rglob("samples/0000003.png"))


def test_a_users_data(tmp_path):
    code = next(block for block in blocks("python") if "class MyData" in block)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/my_data.py").write_text(code)
    (line,) = [line for line in "".join(blocks("sh")).splitlines() if "my_data" in line]
    *start, module, rest = line.replace("max_steps=500", "max_steps=3").split(maxsplit=3)
    assert (*start, module) == ("python", "-m", "zoo.fit")
    with kit.command("fit", *rest.split(), output=tmp_path, cwd=tmp_path, path=[tmp_path]) as done:
        assert done.wait() == 0, done.stderr
    assert "cgan on my_data: finished after 3 batches" in done.stdout


def test_loading_and_sampling():
    code = next(block for block in blocks("python") if "zoo.load" in block)
    namespace = {}
    exec(code, namespace)
    assert namespace["images"].shape == (16, 1, 8, 8)


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_are_python(page):
    """Modules of `my_package` are those of the README, which are run above."""
    for block in blocks("python", PAGES[page]):
        ast.parse(block)
        assert not block.startswith("# my_package/") or block in blocks("python")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_setting_in_a_command_exists(file):
    """Each `zoo.fit` command composes, with the names and the types of its settings checked."""
    from hydra import compose, initialize_config_dir

    from zoo.config import composition

    code = "\n".join(blocks("sh", file.read_text())).replace("\\\n", " ")
    for command in re.findall(r"-m zoo\.fit ([^#\n]*)", code):
        arguments = [a for a in command.split() if "=" in a or a.startswith("~")]
        flags = [flag for flag in ("--multirun",) if flag in command]
        if not arguments or "my_package" in command or re.search(r"resume=|--help", command):
            continue
        completed = command_line.complete([*flags, *arguments])[len(flags) :]
        arguments = [a if "[" in a else a.partition(",")[0] for a in completed]  # of a multirun
        with (
            warnings.catch_warnings(),
            initialize_config_dir(str(ROOT / "zoo/config"), version_base="1.3"),
        ):
            composition.check(compose("fit", overrides=arguments))


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    without_code = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", without_code, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_links_and_images_exist(file):
    text = file.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_every_family_of_models_has_its_pages():
    families = {catalog.target("model", name).split(".")[1] for name in catalog.names("model")}
    for family in families:
        assert f": {family}.md\n" in (ROOT / "mkdocs.yml").read_text()
        assert f"::: zoo.{family}\n" in (ROOT / "docs/api/models.md").read_text()
        assert f"{family}.md" in PAGES


def test_every_recipe_has_its_numbers_in_the_docs():
    for name in catalog.recipes():
        assert name in "".join(PAGES.values())
