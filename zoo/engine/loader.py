"""The data loader of the zoo: keyed order, resumable, sharded over processes, without padding."""

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from zoo.engine.seeds import keyed_generator, keyed_permutation
from zoo.engine.signals import leave_signals_to_the_main_process


def prepare_worker(number: int) -> None:
    """Set up a new worker process.

    Args:
        number: Number of the worker.
    """
    leave_signals_to_the_main_process(number)
    # Never free inherited objects: a video decoder waits for its threads when it is freed, and
    # these exist in the main process only.
    gc.freeze()


class Subset:
    """The samples of a source at chosen positions.

    Batches also hold `index`, the positions (N,) in the subset.

    Args:
        source: Has a length, and returns a dict of tensors (N, ...) for positions (N,).
        chosen: Positions in the source (count,) int64.
    """

    def __init__(self, source: Any, chosen: Tensor):
        self.source = source
        self.chosen = chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        return self.source[self.chosen[positions]] | {"index": positions}


class WithLabeledSamples:
    """A source whose batches also hold labeled samples, under labeled_KEY for each KEY.

    Args:
        source: See Subset.
    """

    def __init__(self, source: Any):
        self.source = source

    def __getitem__(self, pair: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        positions, labeled = pair
        more = {f"labeled_{name}": value for name, value in self.source[labeled].items()}
        return self.source[positions] | more


class KeyedLoader:
    """Batches of a source, in an order that depends on the seed and the epoch only.

    In training, the order is cut into global batches of `batch_size * world_size` samples, and each
    process takes every world_size-th sample of each. All processes together see the batches of one
    process with the global batch size.

    Evaluation (seed=None) reads each sample exactly once, in order. Batch b belongs to process
    b mod world_size, so batches do not depend on the number of processes. A process may have fewer
    batches than another, or none.

    The loader counts epochs itself and has no set_epoch: Lightning takes an epoch that max_steps
    ends early for a finished one, so resuming there would skip the rest of it. Workers do not touch
    the global random state.

    Args:
        source: Has a length, and returns a dict of tensors (N, ...) for positions (N,) int64.
        batch_size: Samples in a batch of one process.
        seed: Seed of the order; None reads in order, for evaluation.
        rank: This process.
        world_size: Number of processes.
        drop_last: Leaves out the last global batch of an epoch if it is not full.
        flip: Adds `flip`, (N,) bool, to each batch, keyed by seed, epoch and sample.
        workers: Worker processes that load batches ahead; 0 loads them in this process.
        labeled: Positions (L,) of labeled samples. Each batch then also holds as many of them as
            of others, under labeled_KEY for each KEY, in permutations keyed by seed and epoch. A
            sample has the same flip in both.

    Raises:
        ValueError: batch_size or workers is out of range, drop_last leaves no batch, or, without
            it, some processes would have one batch more than others.
    """

    def __init__(
        self,
        source: Any,
        batch_size: int,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        flip: bool = False,
        workers: int = 0,
        labeled: Tensor | None = None,
    ):
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.drop_last = drop_last
        self.flip = flip
        self.workers = workers
        self.labeled = labeled
        self.epoch = 0
        self.position = 0  # batches of this epoch that were yielded, not those loaded ahead
        self._pool: Any = None  # a DataLoader
        # Lightning shuts workers down by this name; leaving it to garbage collection hangs.
        self._iterator: Iterator[dict[str, Tensor]] | None = None
        self._check_sizes()

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch on this process."""
        if self.seed is None:
            return len(range(self.rank, -(-len(self.source) // self.batch_size), self.world_size))
        batches, tail = divmod(len(self.source), self.batch_size * self.world_size)
        return batches + int(not self.drop_last and tail > self.rank)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the rest of the epoch or, after its last batch, the next epoch.

        In evaluation, yield all batches. The position is read when the first batch is requested,
        because Lightning creates the iterator before it restores the position.
        """
        if self.seed is None:
            self.position = 0
        elif self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        rest = self._indices()[self.position :]
        flips = self._flips() if self.flip else None
        more = rest if self.labeled is None else self._labeled(self.labeled)[self.position :]
        for indices, others, batch in zip(rest, more, self._load(rest, more), strict=True):
            if flips is not None:
                batch["flip"] = flips[indices]
            if flips is not None and self.labeled is not None:
                batch["labeled_flip"] = flips[others]
            self.position += 1
            yield batch

    def state_dict(self) -> dict[str, int | None]:
        """Return the position of the loader, for a checkpoint."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume at the position of a checkpoint; its seed replaces that of the constructor."""
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]

    def _check_sizes(self) -> None:
        count, whole = len(self.source), self.batch_size * self.world_size
        if self.batch_size < 1:
            raise ValueError(f"data.batch_size={self.batch_size} must be at least 1")
        if self.workers < 0:
            raise ValueError(f"data.workers={self.workers} must be at least 0")
        sizes = f"{count} samples, batch_size {self.batch_size}, {self.world_size} process(es)"
        if self.drop_last and count < whole:
            raise ValueError(
                f"{sizes}: there is no full batch. Use a batch_size of at most "
                f"{count // self.world_size}, or fewer processes."
            )
        if self.seed is not None and not self.drop_last and 0 < count % whole < self.world_size:
            raise ValueError(
                f"{sizes}: the last batch does not reach every process. Use drop_last=True."
            )

    def _indices(self) -> list[Tensor]:
        """Return the positions in each batch of this process's epoch."""
        if self.seed is None:
            batches = torch.arange(len(self.source)).split(self.batch_size)
            return [batch for batch in batches[self.rank :: self.world_size] if len(batch)]
        return self._shares(keyed_permutation(len(self.source), self.seed, self.epoch))

    def _labeled(self, labeled: Tensor) -> list[Tensor]:
        """Return as many positions of labeled samples for each batch of this process."""
        # The spelling is a seed: another one would change the results of recipes.
        generator, count = keyed_generator(self.seed, self.epoch, "labelled"), len(labeled)
        rounds = range(-(-len(self.source) // count))
        order = torch.cat([torch.randperm(count, generator=generator) for _ in rounds])
        return self._shares(labeled[order[: len(self.source)]])

    def _shares(self, order: Tensor) -> list[Tensor]:
        """Return this process's batches of an order (samples,) of all processes."""
        batches = order.split(self.batch_size * self.world_size)
        return [batch[self.rank :: self.world_size] for batch in batches[: len(self)]]

    def _flips(self) -> Tensor:
        """Return whether to flip each sample in this epoch, (samples,) bool."""
        generator = keyed_generator(self.seed, self.epoch, "flip")
        return torch.randint(2, (len(self.source),), generator=generator).bool()

    def _load(self, batches: list[Tensor], more: list[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Load the samples at the positions of each batch, and at those of labeled samples."""
        source, chosen = self.source, list[Any](batches)
        if self.labeled is not None:
            source = WithLabeledSamples(source)
            chosen = list(zip(batches, more, strict=True))
        if not self.workers:
            return map(source.__getitem__, chosen)
        if self._iterator is None:
            self._pool = self._new_pool(source)
        self._pool.sampler[:] = chosen
        self._iterator = iter(self._pool)
        return self._iterator

    def _new_pool(self, source: Any) -> DataLoader:
        return DataLoader(
            source,
            batch_size=None,
            sampler=[],  # filled for each pass, so that the workers persist
            num_workers=self.workers,
            persistent_workers=True,
            pin_memory=torch.cuda.is_available(),
            generator=Generator(),  # otherwise each pass draws from the global one
            worker_init_fn=prepare_worker,
        )
