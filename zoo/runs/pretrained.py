"""The pretrained models in the package."""

from pathlib import Path
from typing import Any

from zoo import strict_json
from zoo.config.catalog import ROOT

FOLDER = ROOT / "zoo" / "pretrained"


def pretrained() -> dict[str, str]:
    """Return {name: one line about it}. See `zoo.pretrained`."""
    return {file.stem: summary(file) for file in sorted(FOLDER.glob("*.json"))}


def summary(file: Path) -> str:
    """Describe an exported model in one line: class, data, batches and results on test data.

    Args:
        file: The .json file.
    """
    card = strict_json.loads(file.read_text(encoding="utf-8"))
    name, data = card["class"].rpartition(".")[2], card["data"]["_target_"].split(".")[-2]
    results = final_results(card["results"], "test/")
    tests = [f"{k.removeprefix('test/')} {v:.4g}" for k, v in results.items()]
    return f"{name} on {data}, {card['batches']:,} batches: {', '.join(tests[:3])}"


def final_results(results: dict[str, dict[Any, float]], prefix: str) -> dict[str, float]:
    """Return {metric: last value} of the metrics with a prefix.

    Args:
        results: {metric: {batch: value}} of a checkpoint or an export.
        prefix: test/ or val/.
    """
    chosen = {name: list(values.values()) for name, values in results.items()}
    return {k: v[-1] for k, v in chosen.items() if k.startswith(prefix) and v}
