import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_lab.passersby.rng import Draw, cosine, sine, value_noise


@given(st.floats(-200, 200))
def test_the_tabled_sine_is_the_sine_to_a_thousandth(turns):
    assert sine(turns) == pytest.approx(math.sin(2 * math.pi * turns), abs=1e-3)
    assert cosine(turns) == pytest.approx(math.cos(2 * math.pi * turns), abs=1e-3)


@given(st.lists(st.integers(-1, 2**40), min_size=1, max_size=5))
def test_the_same_key_draws_the_same_and_another_key_draws_otherwise(key):
    first, again, other = Draw(*key), Draw(*key), Draw(*key, 7)
    drawn = [first.uniform() for _ in range(40)]
    assert drawn == [again.uniform() for _ in range(40)]
    assert drawn != [other.uniform() for _ in range(40)]


@given(st.integers(0, 10**6))
def test_draws_stay_where_they_are_told_to(key):
    draw = Draw(key)
    assert 0 <= draw.integer(6) < 6
    assert 2.0 <= draw.between(2.0, 3.0) < 3.0
    assert abs(draw.triangular(0.5)) < 0.5
    assert draw.weighted({"never": 0, "always": 3}) == "always"
    assert sorted(draw.permutation(range(9))) == list(range(9))


def test_value_noise_passes_through_its_lattice_and_stays_between_zero_and_one():
    noise = value_noise(Draw(3), 40, 50, 8, 10)
    assert noise.shape == (40, 50)
    assert noise.dtype == np.float32
    assert 0 <= noise.min() < noise.max() < 1
    assert np.array_equal(noise[::8, ::10], Draw(3).array(7, 7)[:5, :5])
