"""Metrics come with their protocol."""

import json

from zoo.evaluate import evaluate


def test_evaluate_prints_and_writes_the_metrics_with_their_protocol(run, tmp_path, call):
    call(evaluate, f"checkpoint={run}", "count=300", f"out={tmp_path / 'e.json'}")
    result = json.loads((tmp_path / "e.json").read_text())
    assert result["metrics"]["fid_digits_300"] > result["metrics"]["real_fid_digits"] > 0
    assert result["data"] == "digits"
    assert result["protocol"]["reference"] == "1300 training images"
