"""What every model of the zoo promises, tested on each one found by `zoo.models()`."""

import copy
import shutil
from inspect import signature
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback
from torch.nn import functional

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.ema import EMA
from callbacks.metrics import Metrics
from callbacks.network_hooks import ADVERSARIES, find_network
from callbacks.samples import Samples
from tests import kit
from zoo.base import GenerativeModule
from zoo.config import catalog, class_sources
from zoo.engine import seeds, stepping
from zoo.engine.sampling import latents_of_samples
from zoo.engine.stepping import optimizer_of
from zoo.networks.dropout import Dropout
from zoo.runs.checkpoints import load_model

HALVES = slice(4), slice(4, None)
SHAPES = [(1, 8), (1, 28), (3, 32)]
MODELS = zoo.models()

# All tests of a model run one after another, and share the runs below.
pytestmark = pytest.mark.parametrize("name", MODELS, scope="module")


@pytest.fixture(scope="module", autouse=True)
def few_passes():
    """The statistics of averaged batch norm are estimated from less than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.engine.weight_averages.BATCHES", 2)
        patch.setattr("zoo.engine.weight_averages.BATCH_SIZE", 16)
        yield


def players_of(model):
    """{optimizer's position: names of the children that it moves}, of a model that was trained."""
    optimizers = model.trainer.optimizers
    moved = [{id(p) for g in o.param_groups for p in g["params"]} for o in optimizers]
    return {
        position: {
            child
            for child, module in model.named_children()
            if any(id(p) in ids for p in module.parameters())
        }
        for position, ids in enumerate(moved)
    }


def averaged_players(model):
    """The names of the children that make samples: those that judge them are not averaged."""
    names = [name for name, child in model.named_children() if list(child.parameters())]
    judges = (*ADVERSARIES, "recognition")
    return tuple(name for name in names if not any(judge in name for judge in judges))


@pytest.mark.parametrize(("channels", "size"), SHAPES)
def test_samples_have_the_shape_and_range_of_the_data(name, channels, size):
    model = kit.build(name, size, channels)
    for training in (True, False) if size == 8 else (False,):
        images = model.train(training).sample(3, kit.conditions(model, 3))
        assert images.shape == (3, *kit.shape_of(model))
        assert images.min() >= -1
        assert images.max() <= 1
        if not hasattr(model, "nll"):  # likelihood models draw levels
            assert images.requires_grad, "sample stays differentiable"


def test_samples_follow_the_generators_state(name):
    model = kit.build(name).eval()
    given = kit.conditions(model, 8)
    first, others = (given and {k: v[part] for k, v in given.items()} for part in HALVES)
    images = []
    for seed, conditions in ((0, first), (0, first), (1, others)):
        seeds.reseed(model.device, seed)
        images.append(model.sample(4, conditions))
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_missing_conditions_are_named(name):
    model = kit.build(name)
    if not model.conditions:
        pytest.skip("nothing")
    with pytest.raises(ValueError, match=f'needs sample.count, .*"{model.conditions[0]}": '):
        model.sample(4)
    assert set(model.conditions) <= set(model.needs)


def test_samples_are_those_of_the_latents_that_the_prior_draws_first(name):
    model = kit.build(name).eval()
    if not hasattr(model, "prior"):
        pytest.skip("no latents")
    seeds.reseed(model.device, 0)
    latent = model.prior(4)
    assert len(latent) == 4
    seeds.reseed(model.device, 0)
    conditions = kit.conditions(model, 4)
    samples = model.sample(4, conditions)
    conditions = conditions or {"image": torch.zeros(4, 1, 8, 8)}
    conditions = {k: v for k, v in conditions.items() if k not in model.latent_conditions}
    seeds.reseed(model.device, 0)
    model.prior(4)  # what is drawn after it, such as labels, is the same
    given = model.sample(4, conditions | {"latent": latent})
    torch.testing.assert_close(given, samples)
    assert not torch.equal(model.sample(4, conditions), samples)


def test_the_conditions_that_latents_replace_decide_latents_and_are_refused_beside_them(name):
    model = kit.build(name).eval()
    if not model.latent_conditions:
        pytest.skip("no such conditions")
    batch = {"image": torch.rand(4, 1, 8, 8) * 2 - 1, "label": torch.arange(4)}
    for key in model.latent_conditions:
        condition = {key: batch[key]}
        seeds.reseed(model.device, 5, 0)
        drawn = model.sample(4, condition)
        latents, rest = latents_of_samples(model, 4, 5, condition)
        assert set(rest) == {"latent"}
        seeds.reseed(model.device, 5, 0)
        model.latents(4, condition)
        torch.testing.assert_close(model.sample(4, rest), drawn)
        with pytest.raises(ValueError, match=f'pass sample either "latent" or "{key}"'):
            model.sample(4, condition | {"latent": latents})


def test_sample_refuses_conditions_of_another_length(name):
    model = kit.build(name).eval()
    long = kit.conditions(model, 5) or {}
    if hasattr(model, "prior"):
        long["latent"] = model.prior(5)
    if "label" in {*model.needs} - {*model.latent_conditions}:
        long["label"] = torch.zeros(5, dtype=torch.int64)
    fitting = {key: values[:4] for key, values in long.items()}
    if fitting:
        model.sample(4, fitting)
    for key, values in long.items():
        with pytest.raises(ValueError, match=rf'sample\(4, ...\): the condition "{key}" has 5'):
            model.sample(4, fitting | {key: values})


@pytest.fixture(scope="module")
def trained(name, tmp_path_factory):
    """A Trainer after twelve batches, and [(batch, optimizer's position, children changed)]."""
    model = kit.build(name)
    turns, step = [], stepping.step

    def watched(self, optimizer):
        position = [o.optimizer for o in self.trainer.strategy._lightning_optimizers].index(
            optimizer.optimizer
        )
        before = {child: kit.weights(module) for child, module in self.named_children()}
        step(self, optimizer)
        changed = {
            child
            for child, module in self.named_children()
            for key, value in dict(module.named_parameters()).items()
            if not torch.equal(value, before[child][key])
        }
        turns.append((self.trainer.global_step, position, changed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "step", watched)
        return kit.fit(model, tmp_path_factory.mktemp("trained"), max_steps=12), turns


def test_the_clock_counts_batches_however_many_players_move(trained):
    trainer, _ = trained
    assert trainer.global_step == 12
    assert trainer.fit_loop.epoch_loop.total_batch_idx + 1 == 12


def test_every_player_is_updated_alone_and_in_its_turn(trained):
    """A turn changes the parameters of its own optimizer, and every optimizer has turns."""
    trainer, turns = trained
    players = players_of(trainer.lightning_module)
    assert {position for _, position, _ in turns} == set(players)
    for _, position, changed in turns:
        assert changed == players[position]
    firsts = [position for batch, position, _ in turns if batch == 1]
    assert firsts[0] == 0, "optimizers are given in the order in which the players move"


def test_a_checkpoint_alone_rebuilds_the_model(trained, tmp_path):
    trainer, _ = trained
    model = trainer.lightning_module
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    rebuilt = load_model(tmp_path / "model.ckpt")
    assert type(rebuilt) is type(model)
    assert dict(rebuilt.hparams) == dict(model.hparams)
    kit.assert_same(kit.weights(rebuilt), kit.weights(model))
    assert not rebuilt.training
    again = type(model).load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    kit.assert_same(kit.weights(again), kit.weights(model))


def test_a_subclass_swaps_a_network_by_overriding_its_builder(name):
    cls = type(kit.build(name))
    builders = [attribute for attribute in dir(cls) if attribute.startswith("build_")]
    assert builders
    for builder in builders:
        marked = {}

        def swapped(self, *level, builder=builder, marked=marked):
            marked["network"] = getattr(cls, builder)(self, *level)
            return marked["network"]

        model = kit.build(name)
        child = type("Child", (cls,), {builder: swapped})(**dict(model.hparams))
        assert any(module is marked["network"] for module in child.modules())


def test_every_parameter_is_read(name):
    """No dead knobs: each is read from hparams, by the model's file, its parent's or the base."""
    component = catalog.describe("model", name)
    cls = kit.class_of(component.target)
    sources = [
        class_sources.locate(c.__module__).read_text() for c in cls.__mro__ if "zoo" in str(c)
    ]
    for parameter in component.parameters:
        uses = [f"hparams.{parameter}", f"hp.{parameter}"]
        assert any(use in source for use in uses for source in sources), parameter


def test_values_other_than_those_that_the_model_fixes_are_refused(name):
    """A parameter of a base class is the model's own, or the model fixes it."""
    component = catalog.describe("model", name)
    cls = kit.class_of(component.target)
    bases = [c for c in cls.__mro__[1:] if issubclass(c, GenerativeModule)]
    known = [p for base in bases for p in signature(base).parameters.values()]
    names = {p.name for p in known if p.kind is not p.VAR_KEYWORD}
    for parameter in names - set(component.parameters):
        with pytest.raises(ValueError, match=f"{cls.__name__} always has {parameter}="):
            kit.build(name, **{parameter: "other"})


class Keeping(Checkpoint):
    """Keeps the checkpoints of some batches, checkpoints/BATCH.ckpt."""

    def __init__(self, *batches):
        super().__init__(every=1)
        self.batches = batches

    def save(self, trainer, model, name):
        if trainer.global_step in self.batches:
            super().save(trainer, model, name)
            folder = Path(trainer.default_root_dir, "checkpoints")
            shutil.copy(folder / "last.ckpt", folder / f"{trainer.global_step}.ckpt")


def averaged_run(name, folder, steps, *callbacks, seed=1, checkpoint=None, workers=0):
    """Trains with averaged weights, on epochs of four batches; the folder of its checkpoints."""
    torch.manual_seed(0)
    model = kit.build(name)
    callbacks = [EMA(decay=0.9, players=averaged_players(model)), *callbacks]
    size = 10 if "labeled_image" in model.needs else 4  # two labels of each of ten classes
    data = kit.Toy(batch_size=size, count=4 * size, workers=workers)
    kit.fit(model, folder, steps, data, seed, checkpoint=checkpoint, callbacks=callbacks)
    return folder / "checkpoints"


@pytest.fixture(scope="module")
def uninterrupted(name, tmp_path_factory):
    """{batch: its checkpoint} of one run."""
    folder, batches = tmp_path_factory.mktemp("uninterrupted"), (7, 10)
    files = averaged_run(name, folder, 10, Keeping(*batches))
    return {batch: torch.load(files / f"{batch}.ckpt", weights_only=True) for batch in batches}


def test_a_resumed_run_equals_an_uninterrupted_one(name, tmp_path, uninterrupted):
    """Everything that is saved is equal, bit for bit.

    The run stops at the end of its first epoch, and again in the middle of the second. It is
    resumed with other seeds, and continues with its own, and at last with workers.
    """
    last = None
    for seed, (steps, workers) in enumerate(((4, 0), (7, 0), (10, 2)), start=1):
        options = {"seed": seed, "checkpoint": last, "workers": workers}
        folder = averaged_run(name, tmp_path / str(steps), steps, Checkpoint(every=0), **options)
        last = folder / "last.ckpt"
        if steps in uninterrupted:
            assert_same_checkpoint(uninterrupted[steps], torch.load(last, weights_only=True))


def assert_same_checkpoint(straight, resumed):
    assert straight["global_step"] == resumed["global_step"]
    kit.assert_same(straight["state_dict"], resumed["state_dict"])
    assert straight["zoo"]["averages"]
    for player, average in straight["zoo"]["averages"].items():
        kit.assert_same(average, resumed["zoo"]["averages"][player])
    for one, other in zip(straight["optimizer_states"], resumed["optimizer_states"], strict=True):
        for parameter, state in one["state"].items():
            for key, value in state.items():
                assert torch.equal(
                    torch.as_tensor(value), torch.as_tensor(other["state"][parameter][key])
                )


def test_watching_does_not_disturb(name, tmp_path, uninterrupted):
    """Samples, metrics and checkpoints leave training bit-identical."""
    watching = [Samples(every=3, count=4), Metrics(every=4, count=20), Checkpoint(every=3)]
    last = averaged_run(name, tmp_path, 7, *watching) / "last.ckpt"
    assert_same_checkpoint(uninterrupted[7], torch.load(last, weights_only=True))


def global_draws(monkeypatch, processes):
    """Makes noise a function of the batch alone: each process gets its share of the same draws.

    What is drawn before the first batch, to initialize, is the same on all. Batch norm uses its
    running statistics, dropout is off: both differ by design with the size of the batch that a
    process sees.
    """
    key, begin, batches = seeds.key, GenerativeModule.on_train_batch_start, []
    monkeypatch.setattr(seeds, "key", lambda *parts: key(*parts[:2]))

    def beginning(self, batch, batch_idx):
        batches.append(batch_idx)
        begin(self, batch, batch_idx)

    monkeypatch.setattr(GenerativeModule, "on_train_batch_start", beginning)
    for draw in ("randn", "rand"):
        original = getattr(torch, draw)

        def shared(count, *rest, original=original, **keywords):
            if not batches:
                return original(count, *rest, **keywords)
            rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
            return original(count * processes, *rest, **keywords)[rank::processes]

        monkeypatch.setattr(torch, draw, shared)
    randint = torch.randint

    def shared_integers(high, shape, **keywords):
        if "generator" in keywords:  # the data's, not the batch's
            return randint(high, shape, **keywords)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        return randint(high, (shape[0] * processes, *shape[1:]), **keywords)[rank::processes]

    monkeypatch.setattr(torch, "randint", shared_integers)
    norm = functional.batch_norm

    def by_running_statistics(x, mean, var, weight=None, bias=None, training=False, *rest):
        if mean is None:  # it has none: as they begin
            mean, var = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
        return norm(x, mean, var, weight, bias, False, *rest)

    monkeypatch.setattr(functional, "batch_norm", by_running_statistics)
    monkeypatch.setattr(Dropout, "forward", lambda self, inputs: inputs)


@pytest.fixture(scope="module")
def doubled(name, tmp_path_factory):
    """A new model in float64, and the weights that it has after a run of one process."""
    torch.manual_seed(0)
    new = kit.build(name).double()
    one, data = copy.deepcopy(new), kit.Toy(batch_size=8)
    with pytest.MonkeyPatch.context() as patch:
        global_draws(patch, 1)
        kit.fit(one, tmp_path_factory.mktemp("one"), 10, data, precision="64-true")
    return new, kit.weights(one)


@pytest.fixture(scope="module")
def two_processes(name, tmp_path_factory, doubled):
    """The weights; the numbers reduced, and those needed; each process's key in the first batch."""
    sent, needed = (torch.zeros(1).share_memory_() for _ in range(2))
    keys = torch.zeros(2, dtype=torch.int64).share_memory_()
    reduce, step, key = torch.distributed.all_reduce, stepping.step, seeds.key
    model, data = copy.deepcopy(doubled[0]), kit.Toy(batch_size=4)

    def counted(tensor, *args, **keywords):
        sent.add_(tensor.numel())
        return reduce(tensor, *args, **keywords)

    def stepped(self, optimizer):
        needed.add_(sum(p.grad.numel() for g in optimizer.param_groups for p in g["params"]))
        step(self, optimizer)

    def reseeded(device, seed, batch, *parts):
        if batch == 1:
            keys[torch.distributed.get_rank()] = key(seed, batch, *parts)
        seeds.reseed(device, seed, batch, *parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.base.reseed", reseeded)
        patch.setattr("zoo.engine.gradient_sync.all_reduce", counted)
        patch.setattr(torch.distributed, "all_reduce", counted)
        patch.setattr(stepping, "step", stepped)
        global_draws(patch, 2)
        options = {"precision": "64-true", "log_every_n_steps": 1000} | kit.forked(2)
        kit.fit(model, tmp_path_factory.mktemp("two"), 10, data, **options)
    return kit.weights(model), sent.item(), needed.item(), keys


def assert_trained_alike(new, expected, found):
    for key, value in expected.items():
        torch.testing.assert_close(value, found[key], rtol=0, atol=1e-9, msg=key)
    assert any(not torch.equal(value, expected[key]) for key, value in kit.weights(new).items())


def test_two_processes_equal_one_with_the_doubled_batch(doubled, two_processes):
    assert_trained_alike(*doubled, two_processes[0])


def test_two_processes_of_ddp_equal_one_with_the_doubled_batch(tmp_path, monkeypatch, doubled):
    new, expected = doubled
    two, strategy = copy.deepcopy(new), "ddp_fork_find_unused_parameters_true"
    global_draws(monkeypatch, 2)
    options = {"precision": "64-true", "devices": 2, "strategy": strategy}
    kit.fit(two, tmp_path, 10, kit.Toy(batch_size=4), **options)
    assert_trained_alike(new, expected, kit.weights(two))


def test_only_the_moving_players_gradients_are_on_the_wire(two_processes):
    _, sent, needed, _ = two_processes
    assert needed > 0
    assert sent <= 1.05 * needed


def test_processes_draw_different_noise(two_processes):
    """In the first batch of training, the generators of the processes have different seeds."""
    keys = two_processes[-1]
    assert keys.all()
    assert keys[0] != keys[1]


def test_the_adversarys_turn_begins_with_the_real_images(name, tmp_path):
    """What callbacks/r1.py, dragan.py and health.py take for real: the batch, but for its bins."""
    model, first = kit.build(name), {}
    if not any(hasattr(model, adversary) for adversary in ADVERSARIES):
        pytest.skip("no adversary")
    player = find_network(model, None, "")

    class Noting(Callback):
        def on_train_batch_start(self, trainer, model, batch, batch_idx):
            optimizer = optimizer_of(model.trainer, player)

            def note(player, arguments):
                if model.active_optimizer is optimizer:
                    first.setdefault(trainer.global_step, (arguments[0], batch["image"]))

            self.hook = player.register_forward_pre_hook(note)

        def on_train_batch_end(self, *arguments):
            self.hook.remove()

    start = model.hparams.get("encoder_steps", 0)  # it moves alone before
    kit.fit(model, tmp_path, start + 2, callbacks=[Noting()])
    assert set(first) == {start + 1, start + 2}
    for images, real in first.values():
        torch.testing.assert_close(images.detach(), real, rtol=0, atol=1.01 / 255)
