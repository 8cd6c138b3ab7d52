"""An exported model is drawn from like any other."""

from zoo.export import export
from zoo.sample import sample


def test_export_and_sample_from_it(run, tmp_path, call):
    call(export, f"checkpoint={run}", f"out={tmp_path / 'mine'}")
    call(sample, f"checkpoint={tmp_path / 'mine.json'}", f"out={tmp_path / 'grid'}")
    assert (tmp_path / "grid.png").exists()
