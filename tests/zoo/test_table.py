"""The table of models is made from their files."""

import zoo
from zoo.table import table


def test_one_row_for_each_model():
    rows = table().splitlines()
    assert len(rows) == 2 + len(zoo.models())
    assert any(
        row.startswith("| [`wgan`](zoo/adversarial/wgan.py) | adversarial |") for row in rows
    )
