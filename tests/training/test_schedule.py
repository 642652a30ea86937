import math

import pytest

from reid_lab import methods
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import learning_rate


def test_paper_a_warms_up_at_a_tenth_for_five_epochs_then_drops_every_forty():
    a = methods.multitask("paper")
    expected = {0: 0.005, 4.99: 0.005, 5: 0.05, 39.9: 0.05, 40: 0.005, 79: 0.005, 80: 0.0005, 120: 5e-5}
    for epoch, lr in expected.items():
        assert learning_rate(a, epoch) == pytest.approx(lr)


def test_paper_b_rises_linearly_for_ten_epochs_then_drops_at_40_and_110_only():
    b = methods.residual_pooling("paper")
    expected = {0: 0.003, 5: 0.0165, 10: 0.03, 39: 0.03, 40: 0.003, 109: 0.003, 110: 0.0003, 150: 0.0003, 219: 0.0003}
    for epoch, lr in expected.items():
        assert learning_rate(b, epoch) == pytest.approx(lr)


def test_a_step_schedule_does_not_change_within_an_epoch():
    a = methods.multitask("paper")
    assert learning_rate(a, 40.0) == learning_rate(a, 40.5) == learning_rate(a, 40.99)


def test_a_cosine_falls_from_the_full_rate_to_nothing():
    recipe = methods.multitask("classroom", epochs=12, warmup_epochs=2, lr=1.0)
    assert learning_rate(recipe, 2) == pytest.approx(1.0)
    assert learning_rate(recipe, 7) == pytest.approx(0.5)
    assert learning_rate(recipe, 9.5) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.75)))
    assert learning_rate(recipe, 12) == pytest.approx(0.0, abs=1e-12)


STEPS = dict(lr=2.0, epochs=10, warmup_epochs=4, warmup_factor=0.25, schedule="steps", milestones=(5, 8), decay=0.3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"warmup": "none"}, {0: 2, 3.9: 2, 4: 2, 5: 0.6, 7.9: 0.6, 8: 0.18}),
        ({"warmup": "constant"}, {0: 0.5, 3.9: 0.5, 4: 2, 5: 0.6, 8: 0.18}),
        ({"warmup": "linear"}, {0: 0.5, 1: 0.875, 2: 1.25, 3.5: 1.8125, 4: 2, 5.5: 0.6}),
        ({"warmup": "linear", "warmup_epochs": 6}, {4.5: 1.625, 5: 0.525, 5.5: 0.5625, 6: 0.6}),  # both at once
        ({"warmup": "none", "schedule": "cosine"}, {0: 2, 2.5: 1 + 0.5**0.5, 5: 1, 10: 0, 12: 0}),
        ({"warmup": "linear", "schedule": "cosine"}, {0: 0.5, 2: 1.25, 4: 2, 7: 1, 5.5: 1 + 0.5**0.5, 10: 0}),
        ({"warmup": "constant", "schedule": "cosine", "warmup_epochs": 10}, {0: 0.5, 9.9: 0.5}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if "warmup" in value else "",
)
def test_every_field_of_the_schedule_has_its_say(fields, expected):
    recipe = methods.multitask("smoke", **STEPS | fields)
    assert {at: learning_rate(recipe, at) for at in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("progress", [-5, float("nan")])
def test_before_the_first_epoch_there_is_no_learning_rate(progress):
    with pytest.raises(RecipeError, match=f"progress is {progress}"):
        learning_rate(methods.residual_pooling("paper"), progress)
