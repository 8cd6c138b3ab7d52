import gc
import multiprocessing
import os
import signal
from itertools import chain

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from zoo.engine.loader import KeyedLoader
from zoo.engine.seeds import keyed_permutation


class Numbers:
    """A source of the numbers 0..count-1."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, indices):
        return {"index": indices}


def seen(loader):
    return [batch["index"].tolist() for batch in loader]


def flat(batches):
    return list(chain.from_iterable(batches))


def union(batches_of_ranks):
    """The global batches, as sets, from each rank's list of batches."""
    return [set(flat(batches)) for batches in zip(*batches_of_ranks, strict=True)]


class InCircle:
    """An object that only the garbage collection frees, such as a video's container."""

    freed = 0

    def __init__(self):
        self.itself = self

    def __del__(self):
        InCircle.freed += 1


class Freed(Numbers):
    def __getitem__(self, indices):
        gc.collect()
        return {"index": indices, "freed": torch.full_like(indices, InCircle.freed)}


def test_workers_do_not_free_inherited_objects():
    """A video decoder's threads are not in the worker: it would wait for them without end."""
    gc.collect()
    gc.disable()
    try:
        InCircle()
        (batch,) = KeyedLoader(Freed(2), 2, workers=1)
        assert batch["freed"].tolist() == [0, 0]
    finally:
        gc.enable()
    gc.collect()
    assert InCircle.freed == 1


def test_order_is_a_function_of_seed_and_epoch():
    loader = KeyedLoader(Numbers(50), 8, seed=3)
    epochs = [seen(loader), seen(loader)]
    torch.manual_seed(99)
    other = KeyedLoader(Numbers(50), 8, seed=3)
    other.epoch = 1
    assert seen(other) == epochs[1] != epochs[0]
    assert seen(KeyedLoader(Numbers(50), 8, seed=4)) != epochs[0]
    assert sorted(flat(epochs[0])) == sorted(flat(epochs[1])) == list(range(50))


def test_seed_and_epoch_are_mixed_and_not_added():
    assert not torch.equal(keyed_permutation(50, 1, 2), keyed_permutation(50, 2, 1))
    later = KeyedLoader(Numbers(50), 8, seed=1)
    later.epoch = 1
    assert seen(later) != seen(KeyedLoader(Numbers(50), 8, seed=2))


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("count", [48, 50, 61])
def test_processes_together_see_what_one_would(world_size, count):
    whole = KeyedLoader(Numbers(count), 6, seed=0, drop_last=True)
    ranks = [
        KeyedLoader(Numbers(count), 6 // world_size, 0, rank, world_size, drop_last=True)
        for rank in range(world_size)
    ]
    assert {len(rank) for rank in ranks} == {len(whole)} == {count // 6}
    assert union([seen(rank) for rank in ranks]) == [set(batch) for batch in seen(whole)]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 12, 13, 17])
def test_evaluation_is_in_order_and_unpadded(world_size, count):
    ranks = [
        KeyedLoader(Numbers(count), 4, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for rank, loader in enumerate(ranks):
        batches = [list(range(count))[start : start + 4] for start in range(0, count, 4)]
        assert seen(loader) == batches[rank::world_size]
        assert len(seen(loader)) == len(loader)
        assert all(seen(loader))  # no empty batch


def test_evaluation_restarts_after_a_break():
    loader = KeyedLoader(Numbers(10), 4)
    next(iter(loader))
    assert seen(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_ragged_shuffled_tail_reaches_every_process():
    ranks = [KeyedLoader(Numbers(14), 2, 0, rank, world_size=2) for rank in (0, 1)]
    assert [len(batch) for batch in seen(ranks[1])] == [2, 2, 2, 1]
    assert len(seen(ranks[0])) == len(ranks[0]) == len(ranks[1]) == 4
    with pytest.raises(ValueError, match=r"13 samples, batch_size 2, 2 process.*drop_last=True"):
        KeyedLoader(Numbers(13), 2, seed=0, world_size=2)


def test_a_set_below_one_global_batch_is_refused():
    with pytest.raises(ValueError, match=r"7 samples, batch_size 4, 2 process.*at most 3"):
        KeyedLoader(Numbers(7), 4, seed=0, world_size=2, drop_last=True)
    assert len(KeyedLoader(Numbers(8), 4, seed=0, world_size=2, drop_last=True)) == 1


@pytest.mark.parametrize(("name", "value", "least"), [("batch_size", 0, 1), ("workers", -1, 0)])
def test_a_number_that_is_too_small_is_named(name, value, least):
    settings = {"batch_size": 4} | {name: value}
    with pytest.raises(ValueError, match=rf"data\.{name}={value} must be at least {least}"):
        KeyedLoader(Numbers(8), **settings)


def flips(loader):
    return {
        index: flip
        for batch in loader
        for index, flip in zip(batch["index"].tolist(), batch["flip"].tolist(), strict=True)
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_flips_are_keyed_by_sample(workers):
    whole = KeyedLoader(Numbers(400), 20, seed=0, flip=True, workers=workers)
    first, second = flips(whole), flips(whole)
    ranks = [KeyedLoader(Numbers(400), 10, 0, rank, world_size=2, flip=True) for rank in (0, 1)]
    assert flips(ranks[0]) | flips(ranks[1]) == first
    assert 150 < sum(first.values()) < 250
    assert 150 < sum(first[i] == second[i] for i in first) < 250
    assert "flip" not in next(iter(KeyedLoader(Numbers(400), 20, seed=0)))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_not_change_batches_or_the_global_generator(workers):
    before = torch.get_rng_state()
    loader = KeyedLoader(Numbers(50), 8, seed=5, drop_last=True, workers=workers)
    next(iter(loader))  # a pass that is abandoned, with batches gathered ahead
    assert loader.state_dict() == {"seed": 5, "epoch": 0, "position": 1}
    plain = KeyedLoader(Numbers(50), 8, seed=5, drop_last=True)
    assert seen(loader) == seen(plain)[1:]
    assert seen(loader) == seen(plain)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_ignore_signals_to_the_process_group():
    loader = KeyedLoader(Numbers(50), 8, seed=5, drop_last=True, workers=2)
    batches = iter(loader)
    first = [next(batches), next(batches)]  # one of each worker: both have begun
    for worker in loader._iterator._workers:
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
    rest = [*first, *batches]
    assert len(rest) == 6
    assert all(worker.is_alive() for worker in loader._iterator._workers)
    loader._iterator._shutdown_workers()


@pytest.mark.parametrize("position", [0, 1, 5, 6])
def test_state_restores_seed_epoch_and_position(position):
    loader = KeyedLoader(Numbers(50), 8, seed=5, drop_last=True)
    loader.epoch = 3
    batches = iter(loader)
    for _ in range(position):
        next(batches)
    resumed = KeyedLoader(Numbers(50), 8, seed=1234, drop_last=True)
    resumed.load_state_dict(loader.state_dict())
    rest = [batch["index"].tolist() for batch in batches] + seen(loader)
    assert (seen(resumed) + seen(resumed))[: len(rest)] == rest


class Recorder(LightningModule):
    """Two players, manual optimization; remembers the samples seen."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches = []

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], lr=0.1)

    def training_step(self, batch, batch_idx):
        self.batches.append(batch["index"].tolist())
        self.manual_backward(self.weight * 1.0)
        self.optimizers().step()

    def validation_step(self, batch, batch_idx):
        pass


def fit(folder, steps, seed, workers, checkpoint=None, **saving):
    """The batches seen by a run of so many steps, 8 batches an epoch; saves where asked."""
    model = Recorder()
    trainer = Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[ModelCheckpoint(folder, filename="saved", **saving)] if saving else [],
        enable_checkpointing=bool(saving),
    )
    train = KeyedLoader(Numbers(50), 6, seed=seed, drop_last=True, workers=workers)
    trainer.fit(model, train, KeyedLoader(Numbers(10), 4), ckpt_path=checkpoint)
    assert not multiprocessing.active_children()
    trainer.save_checkpoint(folder / "end.ckpt")
    return model.batches


@pytest.fixture(scope="module", params=[0, 2], ids=["here", "workers"])
def uninterrupted(request, tmp_path_factory):
    workers, folder = request.param, tmp_path_factory.mktemp("uninterrupted")
    return workers, fit(folder, 20, 7, workers)


@pytest.mark.parametrize("saved", ["batch", "epoch_or_end"])
@pytest.mark.parametrize("steps", [5, 7, 8, 9, 10])
@pytest.mark.filterwarnings("ignore")
def test_resumed_loader_continues_the_order(uninterrupted, steps, saved, tmp_path):
    workers, straight = uninterrupted
    if saved == "batch":  # ModelCheckpoint saves before the trainer knows that the epoch is over
        first = fit(tmp_path, steps, 7, workers, every_n_train_steps=steps, save_top_k=-1)
        checkpoint = tmp_path / "saved.ckpt"
    else:
        first = fit(tmp_path, steps, 7, workers)
        checkpoint = tmp_path / "end.ckpt"
    second = fit(tmp_path, 2 * steps, 1234, workers, checkpoint=checkpoint)
    assert first == straight[:steps]
    assert second == straight[steps : 2 * steps]


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_the_validation_resumes_in_the_next_epoch(uninterrupted, tmp_path):
    workers, straight = uninterrupted
    fit(tmp_path, 10, 7, workers, every_n_epochs=1, save_on_train_epoch_end=False)
    second = fit(tmp_path, 20, 1234, workers, checkpoint=tmp_path / "saved.ckpt")
    assert second == straight[8:]
