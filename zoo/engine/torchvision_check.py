"""Import torchvision before Lightning does, to explain a version that does not fit torch."""

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError as error:
    raise ImportError(
        f"torchvision was not built for torch {torch.__version__}: "
        "python -m pip install --upgrade torch torchvision"
    ) from error
