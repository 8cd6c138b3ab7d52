"""The map of a sweep: medians over seeds, runs that diverged, cells that are missing."""

import json
import sys

import pytest

from experiments import plot_stability


def run(folder, model, network, lr, value, status="finished", seed=0):
    place = folder / f"{model}_{network}_{lr}_{seed}"
    place.mkdir(parents=True)
    metrics = {"real_fid_digits_360": {"last": 4.0}, "test/fid_digits_2k": {"last": value}}
    summary = {"model": model, "status": status, "metrics": metrics}
    (place / "summary.json").write_text(json.dumps(summary))
    (place / "config.yaml").write_text(f"model:\n  network: {network}\n  lr: {lr}\n")


@pytest.fixture
def sweep(tmp_path):
    for seed, value in enumerate([9.0, 1.0, 5.0]):
        run(tmp_path, "gan", "mlp", 0.001, value, seed=seed)
    run(tmp_path, "gan", "mlp", 0.01, 300.0, "stopped by Diverged: loss is nan")
    run(tmp_path, "wgan", "mlp", 0.001, 20.0)
    return tmp_path


def test_the_table(sweep):
    assert plot_stability.table(plot_stability.read_runs(sweep)).splitlines() == [
        "| model | network | 0.001 | 0.01 |",
        "|---|---|---|---|",
        "| gan | mlp | 5.0 | diverged |",
        "| wgan | mlp | 20.0 |  |",
    ]


def test_the_command(sweep, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    file = sweep / "map.png"
    monkeypatch.setattr(sys, "argv", ["plot_stability", str(sweep), "--out", str(file)])
    plot_stability.main()
    assert "| wgan | mlp | 20.0 |  |" in capsys.readouterr().out
    assert file.stat().st_size > 1000


def test_a_run_that_was_interrupted_is_left_out(sweep):
    run(sweep, "wgan", "mlp", 0.01, 400.0, "stopped by KeyboardInterrupt")
    assert ("mlp", "wgan", 0.01) not in plot_stability.read_runs(sweep)


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(ValueError, match="there are no runs in"):
        plot_stability.read_runs(tmp_path)
