"""The one rule for numbers and sizes that callers give."""

import numpy as np
import pytest

from reid_lab.runtime.validation import is_number, is_size, is_whole


@pytest.mark.parametrize("value", [2, 3, 10**400, np.int64(2), np.uint8(200)])
def test_whole_numbers_are_those_of_python_and_numpy(value):
    assert is_whole(value, 2)


@pytest.mark.parametrize("value", [1, -3, True, np.True_, 2.0, np.float32(2), "2", None, [2], float("nan")])
def test_other_things_and_smaller_ones_are_no_whole_numbers_from_2(value):
    assert not is_whole(value, 2)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_numbers_are_those_of_python_and_numpy(value):
    assert is_number(value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, True, np.True_, float("nan"), "0.5", None, 1j, [0.5]])
def test_other_things_and_what_lies_outside_are_no_numbers_from_0_to_1(value):
    assert not is_number(value, 0, 1)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 10**400])
def test_what_no_float_can_hold_is_no_number(value):
    assert not is_number(value)


def test_a_size_is_two_whole_numbers():
    assert is_size((16, 32), 16) and is_size([1, np.int64(1)])
    assert not any(map(is_size, [(0, 5), (4.0, 5), (4,), (4, 5, 6), 4, None, "45"]))
