"""How far a detector's box is from the one that a careful person would draw."""

import numpy as np
import pytest

from reid_lab.passersby import boxes


def cells(box):
    """Which cells of a grid of 60 x 60 a box (left, top, width, height) of whole numbers covers."""
    left, top, width, height = box
    covered = np.zeros((60, 60), bool)
    covered[top : top + height, left : left + width] = True
    return covered


@pytest.mark.parametrize(
    "box",
    [(10, 10, 10, 20), (12, 13, 10, 20), (5, 4, 30, 40), (12, 15, 4, 8), (30, 30, 10, 20), (10, 40, 10, 10)],
    ids=["the same", "moved", "around it", "inside it", "elsewhere", "below it"],
)
def test_the_error_of_a_box_is_1_less_intersection_over_union(box):
    ideal = (10, 10, 10, 20)
    one, other = cells(box), cells(ideal)
    expected = 1 - (one & other).sum() / (one | other).sum()
    assert boxes.error(box, ideal) == pytest.approx(expected) == pytest.approx(boxes.error(ideal, box))
