"""Lightning's validate, test and predict."""

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.exceptions import MisconfigurationException

import zoo
from callbacks.ema import EMA
from callbacks.metrics import Metrics
from tests import kit
from zoo.metrics.compute import evaluation_seed
from zoo.runs.checkpoints import load_model

pytestmark = pytest.mark.filterwarnings("ignore:Fréchet distance")


def evaluator(folder, **settings):
    """A Trainer that measures, of any number of processes."""
    return kit.trainer(folder, -1, [Metrics(count=20)], limit_val_batches=1.0, **settings)


@pytest.mark.parametrize("name", zoo.models())
def test_every_model_is_measured_and_sampled(name, tmp_path):
    """Also those that descend gradients to be measured."""
    model, data = kit.build(name), kit.Toy(count=32, val_count=8)
    trainer = evaluator(tmp_path)
    for stage, evaluate in (("val", trainer.validate), ("test", trainer.test)):
        (numbers,) = evaluate(model, datamodule=data, verbose=False)
        assert all(result.startswith(f"{stage}/") for result in numbers)
        assert numbers[f"{stage}/fid_digits_20"] > 0
    samples = trainer.predict(model, datamodule=data)
    assert torch.cat(samples).shape == (32, *kit.shape_of(model))


def test_the_numbers_are_those_of_training(tmp_path):
    """With averaged weights, of a checkpoint in a process of its own and right after training."""
    model, data = kit.build("wgan"), kit.Toy(val_count=24)
    measuring = Metrics(count=20)
    run = kit.fit(model, tmp_path, 4, data, callbacks=[EMA(decay=0.9), measuring])
    run.save_checkpoint(tmp_path / "c.ckpt")
    file = str(tmp_path / "c.ckpt")
    for stage in ("val", "test"):
        expected = {
            name: values[4] for name, values in model.results.items() if name.startswith(stage)
        }
        other = kit.build("wgan")
        trainers = (evaluator(tmp_path), other, file), (run, model, None)
        for trainer, evaluated, checkpoint in trainers:
            evaluate = trainer.validate if stage == "val" else trainer.test
            trainer.limit_val_batches = 1.0
            (found,) = evaluate(evaluated, datamodule=data, ckpt_path=checkpoint, verbose=False)
            assert found == pytest.approx(expected, rel=1e-6)
            assert trainer.callback_metrics.keys() == expected.keys()
    assert model.results["val/fid_digits_20"][4] != model.results["test/fid_digits_20"][4]


def test_predictions_use_averaged_weights_and_depend_on_the_batch_index(tmp_path):
    run = kit.fit(kit.build("wgan"), tmp_path, 4, callbacks=[EMA(decay=0.9)])
    run.save_checkpoint(tmp_path / "c.ckpt")
    file, other = str(tmp_path / "c.ckpt"), kit.build("wgan")
    seed_everything(3, verbose=False)
    found = evaluator(tmp_path).predict(other, datamodule=kit.Toy(), ckpt_path=file)
    again = evaluator(tmp_path).predict(other, datamodule=kit.Toy(), ckpt_path=file)
    assert torch.equal(torch.cat(found), torch.cat(again))
    model = load_model(file)
    from zoo.engine.seeds import reseed

    reseed(model.device, 3, "predict", 15)
    with torch.no_grad():
        torch.testing.assert_close(found[15], model.sample(4))


def test_averages_of_a_checkpoint_are_of_the_models_type_and_device(tmp_path):
    """Lightning loads them before it moves and converts the model."""
    run = kit.fit(kit.build("wgan"), tmp_path, 1, callbacks=[EMA(decay=0.9)])
    run.save_checkpoint(tmp_path / "c.ckpt")
    trainer, file = evaluator(tmp_path, precision="64-true"), str(tmp_path / "c.ckpt")
    samples = trainer.predict(kit.build("wgan"), datamodule=kit.Toy(), ckpt_path=file)
    assert samples[0].dtype == torch.float64


def test_other_data_have_another_reference(tmp_path):
    model, trainer = kit.build("wgan"), evaluator(tmp_path)
    found = []
    for measuring in (trainer, trainer, evaluator(tmp_path)):
        data = kit.Toy(val_count=24) if not found else kit.Toy(val_count=24, split_seed=1)
        (numbers,) = measuring.validate(model, datamodule=data, verbose=False)
        found.append(numbers["val/fid_digits_20"])
    assert found[0] != found[1] == found[2]


def test_conditions_of_predictions_are_the_batchs(tmp_path):
    model, data = kit.build("context_encoder", image_size=16), kit.Toy(image_size=16)
    samples = torch.cat(evaluator(tmp_path).predict(model, datamodule=data))
    real = data.on_after_batch_transfer(data.source("test")[torch.arange(64)], 0)["image"]
    known = (samples - real).abs() < 1e-6
    assert 0.5 < known.float().mean() < 1, "what is not hidden is as it was"


def test_two_processes_measure_as_one(tmp_path):
    found = torch.zeros(3, dtype=torch.float64).share_memory_()
    for place, processes in enumerate(({}, kit.forked(2))):
        torch.manual_seed(0)
        model, data = kit.build("wgan"), kit.Toy(val_count=24)

        class Noting(Metrics):
            def on_validation_end(self, trainer, model, place=place):
                if trainer.is_global_zero:
                    found[place] = trainer.callback_metrics["val/fid_digits_20"]
                found[2] += 1

        trainer = kit.trainer(tmp_path, -1, [Noting(count=20)], limit_val_batches=1.0, **processes)
        trainer.validate(model, datamodule=data, verbose=False)
    assert found[2] == 3
    assert found[0] > 0
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-6)


def test_validate_and_test_without_metrics_are_refused(tmp_path):
    model = kit.build("wgan")
    for name in ("validate", "test"):
        evaluate = getattr(kit.trainer(tmp_path, 1), name)
        with pytest.raises(
            MisconfigurationException, match=rf"^trainer\.{name} needs the callback"
        ):
            evaluate(model, datamodule=kit.Toy(val_count=4))
    with pytest.raises(MisconfigurationException, match="has no validation samples"):
        evaluator(tmp_path).validate(model, datamodule=kit.Toy(val_count=0))


def test_training_leaves_lightnings_validation_out(tmp_path):
    """It would go through the validation samples after each epoch, for nothing."""
    data = kit.Toy(val_count=24)
    trainer = kit.trainer(tmp_path, 20, limit_val_batches=1.0)
    trainer.fit(kit.build("wgan"), datamodule=data)
    assert trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.ready == 0


def test_noise_that_selects_is_not_that_which_is_reported():
    seeds = [evaluation_seed(split, seed) for split in ("val", "test") for seed in range(3)]
    assert len({*seeds, 0, 1, 2}) == 9


def test_evaluating_restores_the_mode_of_each_module_and_the_random_state():
    model = kit.build("wgan").train()
    model.critic.eval()
    modes, state = [module.training for module in model.modules()], torch.get_rng_state()
    with model.evaluating():
        assert not any(module.training for module in model.modules())
        torch.rand(1)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
