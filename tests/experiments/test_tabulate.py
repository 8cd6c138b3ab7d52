"""Seeds become one row, and rows are named by what differs."""

import json
import sys

import pytest

from experiments import tabulate


def run(folder, seed, loss, status="finished", **metrics):
    place = folder / f"{loss}_{seed}_{status[:4]}"
    place.mkdir(parents=True)
    summary = {"status": status, "metrics": {name: {"last": v} for name, v in metrics.items()}}
    (place / "summary.json").write_text(json.dumps(summary))
    config = f"seed: {seed}\nfolder: {place}\nmodel:\n  loss: {loss}\n  width: 8\n"
    (place / "config.yaml").write_text(config + "callbacks:\n  metrics:\n    metrics: [fid]\n")


@pytest.fixture
def sweep(tmp_path):
    for seed, value in ((2, 21.0), (0, 20.0), (10, 22.0)):
        run(tmp_path / "deep", seed, "lap1", psnr_test=value, fid_digits_2k=3.0)
    run(tmp_path, 0, "l2", psnr_test=18.25)
    run(tmp_path, 1, "l2", "stopped by KeyboardInterrupt: ", psnr_test=1.0)
    return tmp_path


def test_the_command(sweep, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tabulate", str(sweep), "psnr", "fid_"])
    tabulate.main()
    assert capsys.readouterr().out.splitlines() == [
        "| | psnr_test | fid_digits_2k |",
        "|---|---|---|",
        "| `model.loss=lap1` | 21 ± 1 (20, 21, 22) | 3 ± 0 (3, 3, 3) |",
        "| `model.loss=l2` | 18.25 | - |",
    ]


def test_what_cannot_be_a_table_is_refused(sweep, tmp_path):
    with pytest.raises(ValueError, match="kid begins none of the metrics: psnr_test, fid"):
        tabulate.table(tabulate.read_runs(sweep), ["psnr", "kid"])
    run(sweep / "again", 2, "lap1", psnr_test=1.0)
    with pytest.raises(ValueError, match="another run of seed 2 with the same settings"):
        tabulate.read_runs(sweep)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no finished runs"):
        tabulate.read_runs(tmp_path / "empty")
