import math

import pytest

from reid_lab.errors import RecipeError
from reid_lab.training import learning_rate, recipes


def test_paper_a_warms_up_at_a_tenth_for_five_epochs_then_drops_every_forty():
    a = recipes.multitask("paper")
    expected = {0: 0.005, 4.99: 0.005, 5: 0.05, 39.9: 0.05, 40: 0.005, 79: 0.005, 80: 0.0005, 120: 5e-5}
    for epoch, lr in expected.items():
        assert learning_rate(a, epoch) == pytest.approx(lr)


def test_paper_b_rises_linearly_for_ten_epochs_then_drops_at_40_and_110_only():
    b = recipes.residual_pooling("paper")
    expected = {0: 0.003, 5: 0.0165, 10: 0.03, 39: 0.03, 40: 0.003, 109: 0.003, 110: 0.0003, 150: 0.0003, 219: 0.0003}
    for epoch, lr in expected.items():
        assert learning_rate(b, epoch) == pytest.approx(lr)


def test_a_step_schedule_does_not_change_within_an_epoch():
    a = recipes.multitask("paper")
    assert learning_rate(a, 40.0) == learning_rate(a, 40.5) == learning_rate(a, 40.99)


def test_a_cosine_falls_from_the_full_rate_to_nothing():
    recipe = recipes.multitask("classroom", epochs=12, warmup_epochs=2, lr=1.0)
    assert learning_rate(recipe, 2) == pytest.approx(1.0)
    assert learning_rate(recipe, 7) == pytest.approx(0.5)
    assert learning_rate(recipe, 9.5) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.75)))
    assert learning_rate(recipe, 12) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("progress", [-5, float("nan")])
def test_before_the_first_epoch_there_is_no_learning_rate(progress):
    with pytest.raises(RecipeError, match=f"progress is {progress} epochs"):
        learning_rate(recipes.residual_pooling("paper"), progress)
