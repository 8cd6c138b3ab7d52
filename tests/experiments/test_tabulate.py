"""Seeds become one row, and rows are named by what differs."""

import json
import os
import sys

import pytest

from experiments import tabulate


def run(folder, seed, loss, status="finished", **metrics):
    place = folder / f"{loss}_{seed}_{status[:4]}"
    place.mkdir(parents=True)
    summary = {"status": status, "metrics": {name: {"last": v} for name, v in metrics.items()}}
    (place / "summary.json").write_text(json.dumps(summary))
    config = f"seed: {seed}\nfolder: {place}\nmodel:\n  _target_: zoo.latent.vae.VAE\n"
    config += f"  loss: {loss}\n  width: 8\ntrainer:\n  max_steps: 9\n"
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


def test_a_metric_that_is_null_is_not_a_number(sweep):
    run(sweep, 3, "l1", psnr_test=None)
    table = tabulate.table(tabulate.read_runs(sweep), ["psnr"])
    assert "| `model.loss=l1` | nan |" in table


def test_what_cannot_be_a_table_is_refused(sweep, tmp_path):
    with pytest.raises(
        ValueError, match="no metric starts with kid; the metrics are psnr_test, fid"
    ):
        tabulate.table(tabulate.read_runs(sweep), ["psnr", "kid"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no finished runs"):
        tabulate.read_runs(tmp_path / "empty")


def test_of_a_repeated_sweep_the_latest_runs_count(sweep, capsys):
    run(sweep / "again", 2, "lap1", psnr_test=1.0)
    os.utime(sweep / "again/lap1_2_fini/summary.json", (2**31, 2**31))
    (row,) = (seeds for seeds in tabulate.read_runs(sweep).values() if len(seeds) == 3)
    assert row[2]["psnr_test"] == 1.0
    assert row[0]["psnr_test"] == 20.0
    assert f"{sweep / 'deep/lap1_2_fini'} is left out: {sweep / 'again'}" in capsys.readouterr().err


def test_runs_of_different_models_are_named_by_their_models(sweep):
    place = sweep / "wgan"
    place.mkdir()
    (place / "summary.json").write_text(
        json.dumps({"status": "finished", "metrics": {"fid_digits_2k": {"last": 5.0}}})
    )
    (place / "config.yaml").write_text(
        "seed: 0\nmodel:\n  _target_: zoo.adversarial.wgan.WGAN\n  clip: 0.02\n  width: 4\n"
        "trainer:\n  max_steps: 7\ncallbacks:\n  ema:\n    _target_: callbacks.ema.EMA\n"
    )
    lines = tabulate.table(tabulate.read_runs(sweep), ["psnr", "fid"]).splitlines()
    assert sorted(lines[2:]) == [
        "| `model=vae model.loss=l2 trainer.max_steps=9` | 18.25 | - |",
        "| `model=vae model.loss=lap1 trainer.max_steps=9` "
        "| 21 ± 1 (20, 21, 22) | 3 ± 0 (3, 3, 3) |",
        "| `model=wgan trainer.max_steps=7` | - | 5 |",
    ]


def test_a_callback_that_only_some_rows_have_names_them(sweep):
    run(sweep / "more", 0, "l3", psnr_test=1.0)
    with open(sweep / "more/l3_0_fini/config.yaml", "a") as file:
        file.write("  r1:\n    _target_: callbacks.r1.R1\n    gamma: 2\n")
    table = tabulate.table(tabulate.read_runs(sweep), ["psnr"])
    assert "| `model.loss=l3 +callbacks=[r1] callbacks.r1.gamma=2` | 1 |" in table
