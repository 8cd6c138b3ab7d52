import json
from pathlib import Path

import pytest
import torch

from benchmarks import metrics
from zoo.media.images import save_png


@pytest.fixture
def folder(tmp_path):
    """What every tool measures: weights, and 2 real and 2 blurred images."""
    generator = torch.Generator().manual_seed(0)
    for number in range(4):
        image = torch.randint(256, (3, 32, 32), generator=generator, dtype=torch.uint8)
        save_png(image, tmp_path / "images" / "deeper" / f"{number}.png")
    metrics.prepare(tmp_path / "images", 2, tmp_path)
    return tmp_path


def test_a_tool_is_measured(folder):
    assert len(list(Path(folder, "real").iterdir())) == 2
    found = metrics.measure("zoo", str(folder))
    assert json.loads(json.dumps(found)).keys() == {
        "fid",
        "seconds",
        "images_per_second",
        "distance_seconds",
        "peak_mib",
    }
    assert found["fid"] > 0
    assert 0 < found["distance_seconds"] < found["seconds"]


def test_too_few_images_are_refused(folder):
    with pytest.raises(SystemExit, match="contains 4 images, 6 are needed"):
        metrics.prepare(folder / "images", 3, folder)


def test_the_report_is_a_table():
    run = {"fid": 1.0, "seconds": 2.0, "images_per_second": 3.0}
    run |= {"distance_seconds": 4.0, "peak_mib": 5.0}
    trace = {"value": 6.0, "seconds": 7.0}
    tools = {"pytorch-fid": run, "zoo": run | {"seconds": 0.5}}
    lines = list(metrics.report(tools, {"scipy sqrtm (pytorch-fid)": trace}))
    assert lines[3] == "| zoo | 1.000000 | 0.5 | 3.0 | 4.00 | 5 | 4.00x |"
