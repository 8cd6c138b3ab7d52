"""The one loader of the house: an order keyed by (seed, epoch), resumable, sharded, unpadded."""

import gc

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from zoo.engine.seeds import keyed_generator, keyed_permutation
from zoo.engine.signals import leave_signals_to_the_main_process


def prepare_worker(number: int) -> None:
    """Leave a new worker process nothing to do but to gather."""
    leave_signals_to_the_main_process(number)
    # Inherited objects are never collected: a video decoder waits for its threads when it is freed,
    # and these exist in the main process alone.
    gc.freeze()


class Subset:
    """The samples of a source at chosen positions; adds `index`, their place in this part."""

    def __init__(self, source, chosen: Tensor):
        self.source = source
        self.chosen = chosen

    def __len__(self):
        return len(self.chosen)

    def __getitem__(self, positions):
        return self.source[self.chosen[positions]] | {"index": positions}


class WithLabelled:
    """What a source gives for the first of two LongTensors, and as labelled_... for the second."""

    def __init__(self, source):
        self.source = source

    def __getitem__(self, pair):
        positions, labelled = pair
        more = {f"labelled_{name}": value for name, value in self.source[labelled].items()}
        return self.source[positions] | more


class KeyedLoader:
    """Batches of a source, in an order that depends on (seed, epoch) alone.

    In training the order is cut into global batches of `batch_size * world_size`, of which each
    process takes every world_size-th sample: together they see what one with the whole batch would.
    It counts its epochs itself and has no set_epoch: Lightning takes an epoch that max_steps cut
    short for a finished one, so a run resumed there would lose the rest of it.

        source: has a length, and gives for a LongTensor (N,) of indices a dict of tensors (N, ...).
        seed: None is for evaluation: in order, each sample exactly once. Batch b of the whole
            belongs to process b mod world_size, so batches do not depend on how many processes
            there are; one may have fewer of them than another, or none.
        drop_last: leaves out the ragged global batch at the end.
        flip: adds `flip`, (N,) bool, to each batch, keyed by (seed, epoch, sample).
        labelled: positions (L,) of samples of which each batch holds as many again, under
            labelled_KEY for each KEY: one permutation of them after the other, keyed by (seed,
            epoch), and shared out as the order is. A sample has one flip in an epoch.
        workers: processes that gather ahead; 0 gathers here. Neither touches the global RNG.

    Raises ValueError where drop_last would leave nothing, and where shuffling without it would
    give some processes one batch more than others.
    """

    def __init__(
        self,
        source,
        batch_size: int,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        flip: bool = False,
        workers: int = 0,
        labelled: Tensor | None = None,
    ):
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.drop_last = drop_last
        self.flip = flip
        self.workers = workers
        self.labelled = labelled
        self.epoch = 0
        self.position = 0  # batches of this epoch handed out, whatever workers have gathered ahead
        self._pool = None
        self._iterator = None  # Lightning ends the workers by this name: garbage collection hangs
        self._check_sizes()

    def __len__(self):
        """The number of batches of a whole epoch on this process."""
        if self.seed is None:
            return len(range(self.rank, -(-len(self.source) // self.batch_size), self.world_size))
        batches, tail = divmod(len(self.source), self.batch_size * self.world_size)
        return batches + int(not self.drop_last and tail > self.rank)

    def __iter__(self):
        """What is left of the epoch, or, after its last batch, the next epoch.

        In order it is always the whole. Nothing is read before the first batch is asked for,
        because Lightning asks for an iterator before it restores the position.
        """
        if self.seed is None:
            self.position = 0
        elif self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        rest = self._indices()[self.position :]
        flips = self._flips() if self.flip else None
        more = self._labelled()[self.position :] if self.labelled is not None else rest
        for indices, others, batch in zip(rest, more, self._gather(rest, more), strict=True):
            if self.flip:
                batch["flip"] = flips[indices]
            if self.flip and self.labelled is not None:
                batch["labelled_flip"] = flips[others]
            self.position += 1
            yield batch

    def state_dict(self):
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state):
        """Goes on where the state was taken; its seed replaces that of the constructor."""
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]

    def _check_sizes(self):
        count, whole = len(self.source), self.batch_size * self.world_size
        if self.batch_size < 1:
            raise ValueError(f"data.batch_size={self.batch_size} must be at least 1")
        if self.workers < 0:
            raise ValueError(f"data.workers={self.workers} must be at least 0")
        sizes = f"{count} samples, batch_size {self.batch_size}, {self.world_size} process(es)"
        if self.drop_last and count < whole:
            raise ValueError(
                f"{sizes}: there is not one whole batch. Take a batch_size of at most "
                f"{count // self.world_size}, or fewer processes."
            )
        if self.seed is not None and not self.drop_last and 0 < count % whole < self.world_size:
            raise ValueError(
                f"{sizes}: the last batch does not reach every process. Use drop_last=True."
            )

    def _indices(self):
        """This process's batches of the epoch, as LongTensors."""
        if self.seed is None:
            batches = torch.arange(len(self.source)).split(self.batch_size)
            return [batch for batch in batches[self.rank :: self.world_size] if len(batch)]
        return self._shares(keyed_permutation(len(self.source), self.seed, self.epoch))

    def _labelled(self):
        """As many positions among `labelled` for each of this process's batches."""
        generator, count = keyed_generator(self.seed, self.epoch, "labelled"), len(self.labelled)
        rounds = range(-(-len(self.source) // count))
        order = torch.cat([torch.randperm(count, generator=generator) for _ in rounds])
        return self._shares(self.labelled[order[: len(self.source)]])

    def _shares(self, order):
        """This process's batches of an order (samples,) over all processes."""
        batches = order.split(self.batch_size * self.world_size)
        return [batch[self.rank :: self.world_size] for batch in batches[: len(self)]]

    def _flips(self):
        """(samples,) bool."""
        generator = keyed_generator(self.seed, self.epoch, "flip")
        return torch.randint(2, (len(self.source),), generator=generator).bool()

    def _gather(self, batches, more):
        """The batches of samples at these batches of indices, in the same order."""
        source = self.source
        if self.labelled is not None:
            source, batches = WithLabelled(source), list(zip(batches, more, strict=True))
        if not self.workers:
            return map(source.__getitem__, batches)
        if self._iterator is None:
            self._pool = self._new_pool(source)
        self._pool.sampler[:] = batches
        self._iterator = iter(self._pool)
        return self._iterator

    def _new_pool(self, source):
        return DataLoader(
            source,
            batch_size=None,
            sampler=[],  # filled for each pass, so that the workers persist
            num_workers=self.workers,
            persistent_workers=True,
            pin_memory=torch.cuda.is_available(),
            generator=Generator(),  # else each pass would draw from the global one
            worker_init_fn=prepare_worker,
        )
