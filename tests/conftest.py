"""No test reads or writes the user's cache, and each begins with the same random numbers."""

import os

import pytest
import torch


def one_thread():
    """Lightning takes the number of threads from the variable, and torch no longer does."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


# Tests start processes by fork. A forked process has none of the threads of its parent's pool, and
# waits for them for ever at its first convolution.
os.register_at_fork(after_in_child=one_thread)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
