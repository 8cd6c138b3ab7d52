"""Whether a model and data fit each other, and what the data decide."""

from zoo.config import catalog
from zoo.config.errors import UserError

# The parameters of models that data decide, where both have them.
DECIDED = ("image_size", "image_channels", "source_channels", "classes")
DECIDED += ("audio_length", "local_features", "hop")


def data_shape(node, data):
    """The parameters of a model that its data decide, for those that the model has."""
    parameters = catalog.describe("model", node["_target_"]).parameters
    shape = {}
    for name in DECIDED:
        if name in parameters and hasattr(data, name):
            shape[name] = getattr(data, name)
            if node[name] not in (parameters[name].default, shape[name]):
                raise UserError(
                    f"model.{name}={node[name]}, but the data have {shape[name]}: "
                    f"the data decide it, see data.{name}."
                )
    return shape


def check_batch_keys(model, data):
    provides = getattr(data, "provides", model.needs)  # data that do not say are trusted
    on_demand = getattr(data, "on_demand", ()) if getattr(data, "classes", 0) else ()
    missing = [key for key in model.needs if key not in (*provides, *on_demand)]
    if missing:
        labelled = "labels" in getattr(data, "hparams", {}) and missing[0].startswith("labelled")
        way_out = "data.labels=N, the number of labels" if labelled else "choose other data=..."
        raise UserError(
            f"{type(model).__name__} needs the batch key {', '.join(missing)}, but "
            f"{type(data).__name__} gives only {', '.join(provides)}: {way_out}"
        )


def check_labels(model, data):
    """UserError for a model that needs every label, with data of which training knows a few."""
    few = getattr(data, "hparams", {}).get("labels")
    if few and "label" in model.needs and "labelled_label" not in model.needs:
        raise UserError(f"{type(model).__name__} needs a label for each image: data.labels=0.")


def check_levels(model, data):
    """UserError for a likelihood of many levels, with data that have two."""
    binary = getattr(data, "hparams", {}).get("binarize")
    num_levels = model.hparams.get("num_levels", 2)
    if binary and hasattr(model, "nll") and num_levels != 2:
        raise UserError(
            f"model.num_levels={num_levels}, but data.binarize=true makes images of two levels: "
            "set model.num_levels=2."
        )
