"""Whether a model and data fit each other, and the parameters that the data decide."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.config import catalog
from zoo.config.errors import NEEDS_LABELS, UserError
from zoo.config.settings import Choice

# The parameters of models that data decide, where both have them.
DECIDED: tuple[str, ...]
DECIDED = ("image_size", "image_channels", "source_channels", "classes")
DECIDED += ("audio_length", "local_features", "hop", "num_levels")


def data_shape(choice: Choice, data: Any) -> dict[str, Any]:
    """Return the parameters of a model that its data decide, for those that the model has.

    Raises:
        UserError: The settings give one another value.
    """
    parameters = catalog.describe("model", choice.target).parameters
    shape = {}
    for name in DECIDED:
        if name in parameters and hasattr(data, name):
            shape[name] = getattr(data, name)
            if choice.values[name] not in (parameters[name].default, shape[name]):
                raise UserError(
                    f"model.{name}={choice.values[name]}, but the data have {shape[name]}: "
                    f"the data determine it, see data.{name}."
                )
    return shape


@contextmanager
def labels_hint(model: str, data: Any) -> Iterator[None]:
    """Add to the error of a model that needs labels how the data can have them.

    Args:
        model: Dotted path of the model's class.
        data: The data module.

    Raises:
        UserError: The model needs labels.
    """
    try:
        yield
    except ValueError as error:
        if NEEDS_LABELS not in str(error):
            raise
        needed = str(error).replace(NEEDS_LABELS, "needs data with labels")
        hint = getattr(data, "labels_hint", "") or f"Choose {fitting_data(catalog.name_of(model))}."
        raise UserError(f"{needed}, and {type(data).__name__} has none. {hint}") from error


def fitting_data(model: str) -> str:
    """Return data=NAME of the recipes of a model, by its name, or else other data=..."""
    fitting = catalog.data_of_recipes(model)
    return f"data={' or data='.join(fitting)}" if fitting else "other data=NAME"


def check_fit(model: Any, data: Any) -> None:
    """Check that a model can be trained on data.

    Raises:
        UserError: It cannot.
    """
    check_batch_keys(model, data)
    check_labels(model, data)
    check_levels(model, data)


def check_batch_keys(model: Any, data: Any) -> None:
    """Check that the data provide the batch keys that the model needs.

    Raises:
        UserError: They do not.
    """
    provides = getattr(data, "provides", model.needs)  # other data modules are trusted
    on_demand = getattr(data, "on_demand", ()) if getattr(data, "classes", 0) else ()
    missing = [key for key in model.needs if key not in (*provides, *on_demand)]
    if missing:
        labeled = "labels" in getattr(data, "hparams", {}) and missing[0].startswith("labeled")
        others = fitting_data(type(model).__module__.rpartition(".")[2])
        way_out = "set data.labels=N, the number of labels" if labeled else f"choose {others}"
        raise UserError(
            f"{type(model).__name__} needs the batch key {', '.join(missing)}, but "
            f"{type(data).__name__} provides only {', '.join(provides)}: {way_out}"
        )


def check_labels(model: Any, data: Any) -> None:
    """Check that a model that needs every label is not trained with only some of them.

    Raises:
        UserError: It would be.
    """
    some = getattr(data, "hparams", {}).get("labels")
    if some and "label" in model.needs and "labeled_label" not in model.needs:
        raise UserError(f"{type(model).__name__} needs a label for each image: set data.labels=0.")


def check_levels(model: Any, data: Any) -> None:
    """Check that a likelihood has the levels of the images.

    Raises:
        UserError: The images are binary or codes, and it has a different number.
    """
    levels, only = getattr(data, "num_levels", None), getattr(type(model), "num_levels", None)
    if None not in (levels, only) and levels != only:
        raise UserError(
            f"{type(model).__name__} needs images of {only} levels, but {type(data).__name__} has "
            f"{levels}: choose another model or other data."
        )
    binary = getattr(data, "hparams", {}).get("binarize")
    num_levels = model.hparams.get("num_levels", 2)
    if binary and hasattr(model, "nll") and num_levels != 2:
        raise UserError(
            f"model.num_levels={num_levels}, but data.binarize=true makes images of two levels: "
            "set model.num_levels=2."
        )
