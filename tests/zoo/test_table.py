"""The table of models is made from their files, recipes and checkpoints."""

import runpy

import pytest

import zoo
from zoo.config.catalog import ROOT
from zoo.table import headline, paper, recipe_of, table


@pytest.fixture(scope="module")
def rows():
    return table().splitlines()


def test_the_readme_has_the_table(rows):
    assert "\n".join(rows) in (ROOT / "README.md").read_text(), "insert `python -m zoo.table`"


def test_a_row_has_the_model_its_paper_parameters_data_number_and_checkpoint(rows):
    assert len(rows) == 2 + len(zoo.models())
    (row,) = [row for row in rows if row.startswith("| [`wgan`](zoo/adversarial/wgan.py)")]
    assert "[arXiv 1701.07875](https://arxiv.org/abs/1701.07875)" in row
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    model = zoo.load("wgan_digits")
    assert cells[2] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert cells[3] == "[digits](experiments/wgan_digits.yaml)"
    assert cells[4].startswith("`fid_digits_2k` ")
    assert cells[5].strip().startswith("`wgan_digits` ")


def test_every_model_has_a_measured_number(rows):
    assert not [row for row in rows if "not measured" in row]


@pytest.mark.parametrize(
    ("header", "number"),
    [
        (
            "# Expected: (seeds 0, 1) fid_digits_2k  7.40 +- 0.19 (7.3, 7.5), untrained 9",
            "7.40 ± 0.19",
        ),
        (
            "# Expected: L_I 2.296; mutual_information_2k 2.301, 2.080,\n# 2.302, x",
            "2.301, 2.080, 2.302",
        ),
        (
            "# Expected: mean of the seeds:\n#   iou_test 0.9 and 0.8 (draws 0 and 1).",
            "0.9 and 0.8",
        ),
        ("# Expected: not measured here. The target is fid_inception_50k 28.", ""),
        ("# Expected: of 2,000 sums, the share is 0.47.\n#\n# fid_digits_2k 3", ""),
        ("# Budget: 20 batches", ""),
    ],
)
def test_the_headline_is_the_first_number_that_is_expected(header, number, tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"# @package _global_\n# Title\n#\n{header}\n")
    found = headline(tmp_path / "recipe.yaml")
    assert found.partition("` ")[2] == number


def test_a_recipe_that_is_measured_comes_first():
    assert recipe_of("dcgan")[0] == "digits"  # not cifar10, which is not measured
    assert recipe_of("disentangled")[0] == "shapes"


def test_papers_are_linked():
    linked = paper("zoo/adversarial/gan.py")
    assert "[arXiv 1406.2661](https://arxiv.org/abs/1406.2661)" in linked


def test_the_commands_are_printed(capsys):
    runpy.run_module("zoo", run_name="__main__")
    printed = capsys.readouterr().out
    assert "python -m zoo.fit         Train a model\n" in printed
    assert (
        "python -m zoo.table       Print the README's table of models or its taxonomy\n" in printed
    )


def test_help_of_the_table_is_its_docstring(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["zoo.table", "--help"])
    runpy.run_module("zoo.table", run_name="__main__", alter_sys=True)
    printed = capsys.readouterr().out
    assert "Nothing is listed by hand" in printed
    assert "| model |" not in printed
