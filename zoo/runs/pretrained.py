"""The pretrained models in the package."""

from pathlib import Path

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
    results = {k: list(v.values())[-1] for k, v in card["results"].items()}
    tests = [f"{k.removeprefix('test/')} {v:.4g}" for k, v in results.items() if k[:5] == "test/"]
    return f"{name} on {data}, {card['batches']:,} batches: {', '.join(tests[:3])}"
