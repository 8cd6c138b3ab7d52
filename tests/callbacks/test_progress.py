"""What the terminal shows."""

import io

from rich.console import Console

from callbacks.progress import Progress
from tests import kit


def shown(tmp_path, terminal):
    progress = Progress()
    text = io.StringIO()
    progress.console = Console(file=text, force_terminal=terminal, width=200)
    results = {f"val/real_{n}": {0: 2.0} for n in range(9)}
    results |= {"test/fid_toy": {0: 7.0}, "val/fid_toy": {0: 8.0, 5: 9.0}}
    results |= {f"val/more_{n}": {0: 1.0} for n in range(9)}
    kit.fit(
        kit.build("wgan"),
        tmp_path,
        10,
        callbacks=[kit.Results(results), progress],
        enable_progress_bar=True,
        log_every_n_steps=1,
    )
    return text.getvalue()


def test_lines_where_there_is_no_terminal(tmp_path):
    text = shown(tmp_path, terminal=False)
    assert text.startswith("1/10 ")
    assert "real_" not in text, "it is the model whose numbers change"
    assert "fid_toy 9 more_0 1 more_1 1\n" in text


def test_one_bar_over_all_batches_on_a_terminal(tmp_path):
    text = shown(tmp_path, terminal=True)
    assert "10/10" in text
