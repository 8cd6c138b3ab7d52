"""What is kept on disk is what was computed, or is computed anew."""

import errno

import pytest
import torch

from zoo.metrics.cache import cached, fingerprint, folder

NUMBERS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


class Counted:
    def __init__(self, tensors=NUMBERS):
        self.tensors, self.calls = tensors, 0

    def __call__(self):
        self.calls += 1
        return self.tensors


def kept(key="key"):
    return folder() / "numbers" / f"{key}.safetensors"


def test_computed_once_and_kept_bit_for_bit():
    compute = Counted()
    for _ in range(3):
        found = cached("numbers", "key", compute)
        assert found.keys() == NUMBERS.keys()
        assert all(torch.equal(found[name], NUMBERS[name]) for name in NUMBERS)
        assert all(found[name].dtype == NUMBERS[name].dtype for name in NUMBERS)
    assert compute.calls == 1
    assert [file.name for file in kept().parent.iterdir()] == ["key.safetensors"]


def test_another_key_is_another_file():
    cached("numbers", "key", Counted())
    other = cached("numbers", "other", Counted({"a": torch.zeros(1)}))
    assert other["a"].tolist() == [0]


def test_a_layout_is_computed_as_it_is_kept():
    transposed = {"a": torch.randn(3, 4).T}
    assert cached("numbers", "key", Counted(transposed))["a"].is_contiguous()


@pytest.mark.parametrize("damage", ["a byte", "the end", "all", "a name"])
def test_a_damaged_file_is_computed_anew(damage):
    cached("numbers", "key", Counted())
    content = bytearray(kept().read_bytes())
    if damage == "a byte":
        content[-10] ^= 1
    elif damage == "a name":
        content = content.replace(b'"a"', b'"c"')
    kept().write_bytes({"the end": content[:-5], "all": b""}.get(damage, bytes(content)))
    compute = Counted()
    assert torch.equal(cached("numbers", "key", compute)["a"], NUMBERS["a"])
    assert compute.calls == 1
    cached("numbers", "key", compute)
    assert compute.calls == 1


def test_a_failure_keeps_nothing():
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        cached("numbers", "key", fail)
    assert not kept().exists()


def test_a_write_that_fails_leaves_no_draft(monkeypatch):
    def fail(*paths):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        cached("numbers", "key", Counted())
    assert list(kept().parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_names_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="ZOO_CACHE names another"):
        cached("numbers", "key", Counted())


def test_a_fingerprint_sees_every_part():
    base = ["a", torch.zeros(2, 3)]
    others = [
        ["b", torch.zeros(2, 3)],
        ["a", torch.zeros(3, 2)],
        ["a", torch.zeros(2, 3, dtype=torch.float64)],
        ["a", torch.zeros(2, 3).index_fill(0, torch.tensor([1]), 1e-7)],
        [torch.zeros(2, 3), "a"],
        ["a", torch.zeros(2, 3), 0],
        ["a", torch.zeros(2, 3), None],
    ]
    marks = [fingerprint(*parts) for parts in [base, *others]]
    assert len(set(marks)) == len(marks)
    assert fingerprint(*base) == marks[0]
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(1, 10) != fingerprint(11, 0) != fingerprint(110)
    assert fingerprint(torch.zeros(1), 1) != fingerprint(torch.zeros(1), 11)


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "lightning-zoo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "home/.cache/lightning-zoo"
