"""The distance during training, whatever the number of processes."""

import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.config.errors import UserError
from zoo.metrics.extractors import digits, efficientnet_lite0

pytestmark = pytest.mark.filterwarnings("ignore:Fréchet distance")


def test_before_every_n_batches_and_at_the_end(tmp_path):
    model = kit.build("wgan")
    kit.fit(model, tmp_path, 3, callbacks=[Metrics(every=2, count=250)])
    assert list(model.results["val/fid_digits_250"]) == [0, 2, 3]
    assert list(model.results["test/fid_digits_250"]) == [3]
    assert list(model.results["test/real_fid_digits_64"]) == [3]
    assert "val/real_fid_digits_64" not in model.results


def test_a_second_run_is_measured_as_the_first_and_the_settings_are_kept(tmp_path):
    metrics = Metrics(every=0, metrics=("fid",))
    for extractor in ("pixels", "digits"):
        model, data = kit.build("wgan"), kit.Toy()
        data.extractor = extractor
        kit.fit(model, tmp_path, 1, data, callbacks=[metrics])
        (name,) = [name for name in model.results if name.startswith("val/fid")]
        assert extractor in name
        assert list(model.results[name]) == [0, 1]
        assert (metrics.count, metrics.metrics) == (None, ("fid",))


def test_other_metrics_of_another_extractor(tmp_path):
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = "pixels"
    kit.fit(model, tmp_path, 1, data, callbacks=[Metrics(count=50, metrics=("kid", "prdc"))])
    names = [name.removeprefix("val/") for name in model.results if name.startswith("val/")]
    assert set(names) == {
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
        def log_validation(self, trainer, model):
            measured.append(trainer.global_step)
            super().log_validation(trainer, model)

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
    assert list(model.results["test/fid_digits_20"]) == [2, 4]
    assert list(model.results["val/kid_subset20_digits_20"]) == [2, 4]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_test_images_only_leave_out_their_own_numbers(count, tmp_path):
    class Few(kit.Toy):
        def load(self, split):
            images, labels = super().load(split)
            return (images[:count], labels[:count]) if split == "test" else (images, labels)

    model = kit.build("wgan")
    metrics = Metrics(count=20, metrics=("fid", "is"))
    kit.fit(model, tmp_path, 1, Few(), callbacks=[metrics])
    names = [name.removeprefix("test/") for name in model.results]
    real = [name for name in names if name.startswith(("real_fid", "real_is"))]
    assert real == (["real_fid_digits_5"] if count == 5 else [])
    assert "is_digits_20" in names


def test_the_count_is_by_default_the_extractors(tmp_path):
    model = kit.build("wgan")
    kit.fit(model, tmp_path, 1, callbacks=[Metrics()])
    assert "test/fid_digits_2k" in model.results


def test_a_metric_that_does_not_exist_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match=r"no metric fdi\. Did you mean fid"):
        kit.fit(kit.build("wgan"), tmp_path, 1, callbacks=[Metrics(metrics=("fdi",))])


def test_missing_weights_are_reported_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "not_installed")
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = "inception"
    with pytest.raises(FileNotFoundError, match=r"(?s)weights.*download.*~callbacks\.metrics"):
        kit.fit(model, tmp_path, 1, data, callbacks=[Metrics()])


def test_other_features_replace_the_default_whose_weights_are_missing(
    tmp_path, monkeypatch, capsys
):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = "inception"
    kit.fit(model, tmp_path, 1, data, callbacks=[Metrics(count=20)])
    assert "test/fid_efficientnet_lite0_320_96px_20" in model.results
    assert capsys.readouterr().err.count("Metrics use extractor=efficientnet_lite0") == 1
    data.extractor = {"_target_": "inception"}  # chosen by the user
    with pytest.raises(FileNotFoundError, match="Inception's weights"):
        kit.fit(kit.build("wgan"), tmp_path, 1, data, callbacks=[Metrics(count=20)])


def test_a_resumed_run_keeps_the_extractor_that_replaced_the_default(tmp_path, monkeypatch):
    def resumed(name, chosen="digits"):
        data = kit.Toy()
        data.extractor = chosen
        model, last = kit.build("wgan"), tmp_path / "checkpoints/last.ckpt"
        callbacks = [Metrics(count=20), Checkpoint()]
        kit.fit(model, tmp_path / name, 4, data, checkpoint=last, callbacks=callbacks)
        return [name for name in model.results if name.startswith("val/fid")]

    with monkeypatch.context() as missing:
        missing.setattr(digits.Digits, "replacement", lambda: "pixels")
        callbacks = [Metrics(count=20), Checkpoint()]
        kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=callbacks)
    assert resumed("kept") == ["val/fid_pixels_20"]
    of_the_user = ["val/fid_pixels_20", "val/fid_digits_20"]
    assert resumed("chosen", {"_target_": "digits"}) == of_the_user


def test_a_resumed_run_whose_extractors_weights_are_gone_is_refused(tmp_path, monkeypatch):
    def vanish(self):
        raise FileNotFoundError("The weights of digits are gone.")

    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Metrics(count=20), Checkpoint()])
    monkeypatch.setattr(digits.Digits, "replacement", lambda: "pixels")
    monkeypatch.setattr(digits.Digits, "__init__", vanish)
    last = tmp_path / "checkpoints/last.ckpt"
    with pytest.raises(FileNotFoundError, match=r"gone\. The run to resume.*extractor=pixels, its"):
        kit.fit(
            kit.build("wgan"), tmp_path / "b", 4, checkpoint=last, callbacks=[Metrics(count=20)]
        )


def test_the_samples_are_the_same_each_time(tmp_path):
    model = kit.build("wgan", lr=0.0)
    model.generator = kit.generator_without_statistics()
    kit.fit(model, tmp_path, 4, callbacks=[Metrics(every=2, count=250)])
    (selecting,) = set(model.results["val/fid_digits_250"].values())
    (reported,) = model.results["test/fid_digits_250"].values()
    assert selecting != reported, "of other noise"


def test_a_model_that_measures_itself_needs_no_extractor(tmp_path, recwarn):
    model, data = kit.build("autoencoder"), kit.Toy(val_count=20)
    data.extractor = None
    kit.fit(model, tmp_path, 1, data, callbacks=[Metrics()])
    assert list(model.results) == ["val/psnr_val", "test/psnr_test"]
    assert not [warning for warning in recwarn if "no extractor" in str(warning.message)]


def test_data_without_an_extractor_are_not_measured(tmp_path):
    model, data = kit.build("wgan"), kit.Toy()
    data.extractor = None
    with pytest.warns(UserWarning, match="Toy has no extractor"):
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
        def on_train_end(self, trainer, model):
            super().on_train_end(trainer, model)
            if trainer.is_global_zero:
                note[0] = model.results["val/fid_digits_150"][0]
                note[1] = model.results["test/real_fid_digits_129"][1]

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

        def own(given, split, model=model, draws=draws):
            draws.append((split, given.name, model.training, torch.rand(1).item()))
            return {"accuracy_toy": float(len(draws))}

        model.measure = own
        kit.fit(model, tmp_path, 3, data, callbacks=[Metrics(every=2, count=20)])
        assert model.results["val/accuracy_toy"] == {0: 1.0, 2: 2.0, 3: 3.0}
        assert model.results["test/accuracy_toy"] == {3: 4.0}
        (*_, selecting), (*_, reported) = draws[0], draws[3]
        assert selecting != reported, "of other noise"
        assert draws[:3] == [("val", "kit", False, selecting)] * 3
        assert draws[3:] == [("test", "kit", False, reported)]
        assert ("val/fid_digits_20" in model.results) == (extractor is not None)


def test_results_are_sent_to_all_processes(tmp_path):
    """The first process alone measures what only a model has; each has the number."""
    seen = torch.zeros(2).share_memory_()

    class Watching(Callback):
        def on_train_end(self, trainer, model):
            seen[trainer.global_rank] = model.results["val/accuracy_toy"][2]

    model = kit.build("wgan")
    model.measure = lambda data, split: {"accuracy_toy": 7.0 + torch.distributed.get_rank()}
    kit.fit(model, tmp_path, 2, callbacks=[Metrics(0, 20), Watching()], **kit.forked(2))
    assert seen.tolist() == [7, 7]


def test_validation_images_select_and_test_images_are_reported(tmp_path):
    model = kit.build("pixelcnn", num_levels=17)
    kit.fit(model, tmp_path, 4, Digits(), callbacks=[Metrics(every=2, count=100)])
    name = "bits_per_dim_exact_levels17"
    assert list(model.results[f"val/{name}_val"]) == [0, 2, 4]
    assert list(model.results[f"test/{name}_test"]) == [4]
    assert next(iter(model.results)) == "val/nats_exact_levels17_val", "what checkpoints follow"


def test_without_validation_images_nothing_of_the_test_images_selects(tmp_path):
    model, saving = kit.build("autoencoder"), Checkpoint(every=0)
    data = kit.Toy(val_count=0)
    data.extractor = None
    with pytest.warns(UserWarning, match="holds no validation samples out"):
        kit.fit(model, tmp_path, 2, data, callbacks=[Metrics(every=1), saving])
    assert list(model.results) == ["test/psnr_test"]
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


class Guarded(kit.Toy):
    """Data whose test samples must not be read in training."""

    def source(self, split):
        training = self.trainer is not None and self.trainer.training
        assert not (split == "test" and training and not self.trainer.should_report)
        return super().source(split)


@pytest.mark.parametrize("name", zoo.models())
def test_no_model_reads_test_samples_before_the_report(name, tmp_path):
    """And what it measures says of which split it is."""

    class Reporting(Metrics):
        def on_train_end(self, trainer, model):
            trainer.should_report = True
            super().on_train_end(trainer, model)

    model = kit.build(name)
    labels = 20 if "labeled_image" in model.needs else 0
    data = Guarded(count=40, val_count=8, labels=labels)
    trainer = kit.trainer(tmp_path, 4, callbacks=[Reporting(every=4, count=20)])
    trainer.should_report, data.name = False, "toy"
    trainer.fit(model, datamodule=data)
    names = {stage: set() for stage in ("val", "test")}
    for result in model.results:
        stage, _, name = result.partition("/")
        names[stage].add(name)
    assert not [name for name in names["val"] if "test" in name.split("_")]
    assert not [name for name in names["test"] if "val" in name.split("_")]
    assert names["val"], "something selects"


def test_an_extractor_of_digits_is_refused_for_color_before_any_work(tmp_path):
    model = kit.build("wgan", 8, 3)
    with pytest.raises(UserError, match="extractor=digits is made for gray images"):
        kit.fit(model, tmp_path, 1, kit.Toy(image_channels=3), callbacks=[Metrics(count=20)])
