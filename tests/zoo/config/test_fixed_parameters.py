"""Parameters that a model fixes are merged, and other values are refused."""

import pytest

from zoo.config import catalog
from zoo.config.fixed_parameters import with_fixed


def test_fixed_values_are_added_to_those_that_are_passed():
    passed = {"lr": 0.1, "clip": None}  # as from a checkpoint
    merged = with_fixed(object(), passed, {"clip": None, "norm": False})
    assert merged == {"lr": 0.1, "clip": None, "norm": False}
    assert passed == {"lr": 0.1, "clip": None}


def test_another_value_is_refused():
    with pytest.raises(ValueError, match=r"object always has clip=None: leave out clip=0\.01"):
        with_fixed(object(), {"clip": 0.01}, {"clip": None})


def test_fixed_parameters_are_not_offered_on_the_command_line():
    assert not {"clip", "critic_norm"} & set(catalog.describe("model", "wgan_gp").parameters)
