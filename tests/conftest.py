"""No test reads or writes the user's cache, and each begins with the same random numbers.

All tests run on one thread, whatever the machine has: sums over threads round otherwise, and a
process that is forked has none of the threads of its parent's pool, and waits for them for ever.
"""

import gc
import os
from types import SimpleNamespace

os.environ["OMP_NUM_THREADS"] = (
    "1"  # read when torch is imported, here and by commands that tests start
)

import pytest

gc.disable()  # until all modules are imported: their objects live on


def pytest_collection_finish(session):
    """Collect garbage of tests only, and copy no page of the imported objects in a fork."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory, worker_id):
    """One cache for all workers of pytest-xdist: none computes what another has."""
    folder = tmp_path_factory.getbasetemp()
    cache = (folder if worker_id == "master" else folder.parent) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(cache))
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_libraries():
    """Hydra, Lightning and torch leave out what takes time in each run and finds nothing here."""
    connector = "pytorch_lightning.trainer.connectors.callback_connector"
    with pytest.MonkeyPatch.context() as patch:
        # Composes the whole config once more, to see whether it sets hydra.mode.
        patch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *args, **kwargs: None)
        # Searches all installed packages for callbacks.
        patch.setattr(f"{connector}._load_external_callbacks", lambda group: [])
        # torch.manual_seed formats the stack for each kind of accelerator that is not in use.
        for accelerator in ("cuda", "xpu", "mtia"):
            patch.setattr(f"torch.{accelerator}.traceback", SimpleNamespace(format_stack=list))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Writing a file does not wait for the disk: a run of one batch syncs hundreds of files.

    tests/zoo/test_atomic_files.py tests that they are synced.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def seeded():
    import torch  # here, so that the process that only hands out the tests starts at once

    torch.manual_seed(0)
