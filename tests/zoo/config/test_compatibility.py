"""What the data decide of a model; mistakes of whole runs are in test_fit.py."""

import pytest

from datamodules.digits import Digits
from zoo.config.compatibility import data_shape
from zoo.config.errors import UserError
from zoo.config.settings import Choice

WGAN = Choice("zoo.adversarial.wgan.WGAN", {"image_size": 64, "image_channels": 3})


def test_the_data_decide_the_shape_of_the_model():
    shape = data_shape(WGAN, Digits())
    assert shape == {"image_size": 8, "image_channels": 1}
    with pytest.raises(UserError, match=r"model\.image_size=16, but the data have 8"):
        data_shape(WGAN.with_values({"image_size": 16}), Digits())


def test_data_that_do_not_tell_their_shape_leave_it_to_the_model():
    assert data_shape(WGAN, object()) == {}
