"""The one rule for numbers, choices and sizes that callers give, and its one sentence."""

import numpy as np
import pytest

from reid_lab.runtime.errors import FeatureError, RecipeError
from reid_lab.runtime.validation import is_number, is_size, is_whole, number, one_of, size, whole


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


def test_what_is_right_is_given_back_as_pythons_own():
    assert whole("k", np.int64(3), 1) == 3 and type(whole("k", np.int64(3), 1)) is int
    assert size("crop", [np.int64(16), 8]) == (16, 8)
    assert number("lr", 0.5, 0) == 0.5 and one_of("sign", "a", ("a", "b")) == "a"


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda **kind: whole("k", 0, 1, **kind), "k is 0, but it must be a whole number from 1."),
        (lambda **kind: number("lr", -1, 0, **kind), "lr is -1, but it must be a number from 0."),
        (lambda **kind: number("lr", 2, 0, 1, **kind), "lr is 2, but it must be a number from 0 to 1."),
        (lambda **kind: one_of("sign", [], ("a", 1), **kind), "sign is [], but it must be one of 'a', 1."),
        (lambda **kind: size("crop", 4, **kind), "crop is 4, but it must be (height, width) in whole pixels."),
        (
            lambda **kind: size("crop", (4, 40), 16, **kind),
            "crop is (4, 40), but it must be (height, width) in whole pixels of at least 16 each.",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_form_by_the_class_that_was_asked_for(check, sentence):
    with pytest.raises(RecipeError) as caught:
        check()
    assert str(caught.value) == sentence
    with pytest.raises(FeatureError):
        check(error=FeatureError)
