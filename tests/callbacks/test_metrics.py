"""The distance during training, whatever the number of processes."""

import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule

from callbacks.checkpoint import Checkpoint
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:Fréchet distance")


def test_before_every_so_many_batches_and_at_the_end(tmp_path):
    model = kit.build("wgan")
    kit.fit(model, tmp_path, 3, callbacks=[Metrics(every=2, count=250)])
    assert list(model.results["fid_digits_250"]) == [0, 2, 3]
    assert list(model.results["real_fid_digits_64"]) == [0]


def test_other_metrics_of_another_extractor(tmp_path):
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = "pixels"
    kit.fit(model, tmp_path, 1, data, callbacks=[Metrics(count=50, metrics=("kid", "prdc"))])
    assert {name for name in model.results if not name.startswith("real_")} == {
        "kid_subset50_pixels_50",
        "kid_subset50_std_pixels_50",
        "precision_k3_pixels_50",
        "recall_k3_pixels_50",
        "density_k5_pixels_50",
        "coverage_k5_pixels_50",
        "sharpness_50",
        "spectrum_db_50",
    }


def test_a_resumed_run_measures_at_once_what_is_new_and_nothing_twice(tmp_path):
    measured = []

    class Noting(Metrics):
        def measure(self, trainer, model):
            measured.append(trainer.global_step)
            super().measure(trainer, model)

    saving = Checkpoint(every=0)
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Noting(every=2, count=20), saving])
    last = tmp_path / "checkpoints/last.ckpt"
    same = Noting(every=2, count=20)
    kit.fit(kit.build("wgan"), tmp_path / "same", 4, checkpoint=last, callbacks=[same])
    assert measured == [0, 2, 4]
    measured.clear()
    model = kit.build("wgan")
    more = Noting(every=0, count=20, metrics=("fid", "kid"))
    kit.fit(model, tmp_path / "more", 4, checkpoint=last, callbacks=[more])
    assert measured == [2, 4]
    assert list(model.results["real_fid_digits_20"]) == [0]
    assert list(model.results["real_kid_subset20_digits_20"]) == [2]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_test_images_only_leave_out_their_own_numbers(count, tmp_path):
    class Few(kit.Toy):
        def load(self, split):
            images, labels = super().load(split)
            return (images[:count], labels[:count]) if split == "test" else (images, labels)

    model = kit.build("wgan")
    metrics = Metrics(count=20, metrics=("fid", "is"))
    kit.fit(model, tmp_path, 1, Few(), callbacks=[metrics])
    real = [name for name in model.results if name.startswith(("real_fid", "real_is"))]
    assert real == (["real_fid_digits_5"] if count == 5 else [])
    assert "is_digits_20" in model.results


def test_the_count_is_by_default_the_extractors(tmp_path):
    model = kit.build("wgan")
    kit.fit(model, tmp_path, 1, callbacks=[Metrics()])
    assert "fid_digits_2k" in model.results


def test_a_metric_that_does_not_exist_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match=r"no metric fdi\. Did you mean fid"):
        kit.fit(kit.build("wgan"), tmp_path, 1, callbacks=[Metrics(metrics=("fdi",))])


def test_missing_weights_are_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = "inception"
    with pytest.raises(FileNotFoundError, match=r"(?s)weights.*download.*~callbacks\.metrics"):
        kit.fit(model, tmp_path, 1, data, callbacks=[Metrics()])


def test_the_samples_are_the_same_each_time(tmp_path):
    model = kit.build("wgan", lr=0.0)
    model.generator = kit.generator_without_statistics()
    kit.fit(model, tmp_path, 4, callbacks=[Metrics(every=2, count=250)])
    assert len(set(model.results["fid_digits_250"].values())) == 1


def test_a_model_that_measures_itself_needs_no_extractor(tmp_path, recwarn):
    model, data = kit.build("autoencoder"), kit.Toy()
    data.extractor = None
    kit.fit(model, tmp_path, 1, data, callbacks=[Metrics()])
    assert list(model.results) == ["psnr_test"]
    assert not [warning for warning in recwarn if "no extractor" in str(warning.message)]


def test_data_without_an_extractor_are_not_measured(tmp_path):
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = None
    with pytest.warns(UserWarning, match="no extractor is made for Toy"):
        kit.fit(model, tmp_path, 2, data, callbacks=[Metrics(every=1)])
    assert model.results == {}


def test_data_without_a_loader_are_refused(tmp_path):
    class Other(LightningDataModule):
        pass

    with pytest.raises(ValueError, match=r"~callbacks\.metrics"):
        kit.fit(kit.build("wgan"), tmp_path, 1, Other(), callbacks=[Metrics()])


def test_the_number_does_not_depend_on_the_processes(tmp_path, monkeypatch):
    """W = 1, 2, 3, with ragged shards of 129 images and chunks of samples for two of three."""
    values = {}

    class Noting(Metrics):
        def measure(self, trainer, model):
            super().measure(trainer, model)
            if trainer.is_global_zero and trainer.global_step == 0:
                note[0] = model.results["fid_digits_150"][0]
                note[1] = model.results["real_fid_digits_129"][0]

    for processes in (1, 2, 3):
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / f"cache{processes}"))
        note = torch.zeros(2, dtype=torch.float64).share_memory_()
        torch.manual_seed(0)
        model = kit.build("wgan")
        several = kit.forked(processes) if processes > 1 else {}
        data = kit.Toy(count=129, batch_size=8)
        kit.fit(model, tmp_path, 1, data, callbacks=[Noting(every=0, count=150)], **several)
        values[processes] = note.tolist()
    assert values[1][0] > 0
    assert values[1] == pytest.approx(values[2], rel=1e-11)
    assert values[1] == pytest.approx(values[3], rel=1e-11)


def test_what_only_a_model_has_is_measured_with_and_without_an_extractor(tmp_path):
    """In eval mode, with the same draws each time."""
    for extractor in ("digits", None):
        model, data, draws = kit.build("wgan"), kit.Toy(), []
        data.extractor = extractor

        def own(given, model=model, draws=draws):
            draws.append((given.name, model.training, torch.rand(1).item()))
            return {"accuracy_toy": float(len(draws))}

        model.measure = own
        kit.fit(model, tmp_path, 3, data, callbacks=[Metrics(every=2, count=20)])
        assert model.results["accuracy_toy"] == {0: 1.0, 2: 2.0, 3: 3.0}
        assert len(set(draws)) == 1
        assert draws[0][:2] == ("kit", False)
        assert ("fid_digits_20" in model.results) == (extractor is not None)


def test_the_process_that_measures_tells_the_others(tmp_path):
    """The first process alone measures what only a model has; each has the number."""
    seen = torch.zeros(2).share_memory_()

    class Watching(Callback):
        def on_train_end(self, trainer, model):
            seen[trainer.global_rank] = model.results["accuracy_toy"][2]

    model = kit.build("wgan")
    model.measure = lambda data: {"accuracy_toy": 7.0 + torch.distributed.get_rank()}
    kit.fit(model, tmp_path, 2, callbacks=[Metrics(0, 20), Watching()], **kit.forked(2))
    assert seen.tolist() == [7, 7]


@pytest.mark.parametrize(("val_count", "watched"), [(137, "val"), (0, "test")])
def test_likelihoods_are_of_the_validation_set_in_training_and_of_the_test_set_at_its_end(
    val_count, watched, tmp_path
):
    model = kit.build("pixelcnn", levels=17)
    data = Digits(val_count=val_count)
    kit.fit(model, tmp_path, 4, data, callbacks=[Metrics(every=2, count=100)])
    name = "bits_per_dim_exact_levels17"
    assert list(model.results[f"{name}_{watched}"]) == [0, 2, 4]
    assert list(model.results[f"{name}_test"])[-1] == 4
    if watched == "val":
        assert list(model.results[f"{name}_test"]) == [4]
    first = next(what for what in model.results if not what.startswith("real_"))
    assert first == f"nats_exact_levels17_{watched}", "what checkpoints are judged by"


def test_an_extractor_of_digits_is_refused_for_colour_before_any_work(tmp_path):
    model = kit.build("wgan", 8, 3)
    with pytest.raises(UserError, match="extractor=digits is made for grey images"):
        kit.fit(model, tmp_path, 1, kit.Toy(image_channels=3), callbacks=[Metrics(count=20)])
