"""Mean, deviation, and what the seeds can tell apart."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reid_lab.ablations import statistics
from reid_lab.runtime.errors import DataError


def rows_of(values, size="classroom"):
    """From {variant: [mAP of each seed]}."""
    rest = {"descriptor": 1, "parameters": 2, "epochs": 3, "minutes": 4.0, "size": size}
    return pd.DataFrame(
        [
            {"variant": label, "seed": seed, **dict.fromkeys(statistics.METRICS, value), **rest}
            for label, of_one in values.items()
            for seed, value in enumerate(of_one)
        ]
    )


def test_means_and_deviations_are_those_of_the_seeds():
    found = statistics.variants(rows_of({"a": [1.0, 2.0, 6.0], "b": [5.0, 5.0, 5.0]}), "classroom")
    assert list(found.index) == ["a", "b"] and list(found["seeds"]) == [3, 3]
    assert found.loc["a", "mAP"] == 3 and found.loc["a", "mAP sd"] == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert statistics.variants(rows_of({"a": [1.0]}), "full").empty


def test_two_variants_are_compared_as_a_paired_t_test_would():
    """With two variants the two-way analysis of variance is the paired t test: an outside oracle."""
    a, b = [40.0, 44.0, 47.0, 41.0], [38.0, 43.5, 44.0, 40.0]
    found = statistics.difference(rows_of({"a": a, "b": b}), "classroom", "a", "b")
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.points - found.half_width, found.points + found.half_width) == pytest.approx((low, high))
    assert found.separated == (low > 0) and "4 seeds" in str(found)


def test_the_deviation_is_what_variant_and_seed_leave():
    """Seeds shift every variant alike: that is no noise of the comparison."""
    noise = np.array([[0.5, -0.5, 0.0], [-0.5, 0.0, 0.5], [0.0, 0.5, -0.5]])
    values = 30 + np.array([0.0, 10.0, -7.0])[:, None] + np.array([1.0, 2.0, 9.0])[None] + noise  # seeds x variants
    rows = rows_of(dict(zip("abc", values.T, strict=True)))
    deviation, freedom = statistics.residual_deviation(rows, "classroom")
    assert freedom == 4 and deviation == pytest.approx(np.sqrt((noise**2).sum() / 4))


def test_variants_may_have_unequally_many_seeds():
    a, b, c = [40.0, 44.0, 47.0, 41.0, 45.0], [38.0, 43.5, 44.0, 40.0, 44.5], [30.0, 33.0]
    deviation, freedom = statistics.residual_deviation(rows_of({"a": a, "b": b, "c": c}), "classroom")
    assert freedom == 12 - 3 - 5 + 1
    alone = [*c, 99.0]  # a seed that only one variant has explains itself
    lonely = statistics.residual_deviation(rows_of({"a": a[:2], "b": b[:2], "c": alone}), "classroom")
    assert lonely == pytest.approx(
        statistics.residual_deviation(rows_of({"a": a[:2], "b": b[:2], "c": c}), "classroom")
    )
    found = statistics.difference(rows_of({"a": a, "b": b, "c": c}), "classroom", "a", "b")
    assert found.seeds == 5 and found.points == pytest.approx(np.subtract(a, b).mean())
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, freedom) * deviation * np.sqrt(2 / 5))


def test_chance_is_seldom_called_an_effect():
    """Variants that are alike: about one pair in twenty is separated, as the confidence says."""
    random, called = np.random.default_rng(0), 0
    for _ in range(400):
        values = {label: random.normal(40, 2, 3) for label in "abcd"}
        called += statistics.difference(rows_of(values), "classroom", "a", "b").separated
    assert 0.02 < called / 400 < 0.09


def test_a_large_effect_is_separated_and_a_small_one_is_not():
    random = np.random.default_rng(1)
    values = {label: 40 + effect + random.normal(0, 1, 3) for label, effect in dict(a=0, b=12, c=0.1).items()}
    found = statistics.against("small", rows_of(values), "classroom", reference="a")
    assert list(found["verdict"]) == ["separated", "not separated"]


def test_a_variant_with_one_seed_is_listed_without_a_verdict():
    values = {"a": [40.0, 41.0, 42.5], "b": [45.0, 45.5, 46.0], "c": [50.0]}
    found = statistics.against("small", rows_of(values), "classroom", reference="a")
    assert list(found["verdict"]) == ["separated", "too few seeds"] and found["±"].isna().tolist() == [False, True]
    with pytest.raises(DataError, match="'c'"):
        statistics.against("small", rows_of(values), "classroom", reference="c")
    with pytest.raises(DataError, match="'d'"):
        statistics.against("small", rows_of(values), "classroom", reference="d")


def test_re_ranked_rows_do_not_make_the_deviation_smaller():
    values = {"a": [1.0, 2.0, 4.0], "b": [3.0, 3.5, 8.0]}
    plain = statistics.residual_deviation(rows_of(values), "classroom")
    assert statistics.residual_deviation(rows_of(values | {"b, re-ranked": [4.0, 4.5, 9.0]}), "classroom") == plain


def test_what_cannot_be_compared_is_refused():
    rows = rows_of({"a": [1.0, 2.0], "b": [3.0]})
    with pytest.raises(DataError, match="'a' and 'b'.* 1 "):
        statistics.difference(rows, "classroom", "a", "b")
    with pytest.raises(DataError, match="'c'.*a, b"):
        statistics.difference(rows, "classroom", "a", "c")
    with pytest.raises(DataError, match="classroom"):
        statistics.residual_deviation(rows, "classroom")


def test_a_difference_is_of_the_seeds_that_both_have_and_alone_is_the_paired_t_tests():
    a, b, c = [40.0, 44.0, 47.0, 99.0], [38.0, 43.5, 44.0], [30.0, 31.0, 33.5]
    found = statistics.difference(rows_of({"a": a, "b": b, "c": c}), "classroom", "a", "b")
    assert (found.seeds, found.points) == (3, pytest.approx(np.subtract(a[:3], b).mean()))
    low, high = stats.ttest_rel(a[:3], b).confidence_interval(0.95)
    assert found.alone == pytest.approx((high - low) / 2) != pytest.approx(found.half_width)


def test_a_re_ranked_variant_is_compared_with_its_own_runs_by_the_paired_t_test():
    a, again, b = [40.0, 44.0, 47.0], [42.5, 46.0, 49.5], [20.0, 31.0, 12.0]
    found = statistics.difference(rows_of({"a": a, "a, re-ranked": again, "b": b}), "classroom", "a, re-ranked", "a")
    low, high = stats.ttest_rel(again, a).confidence_interval(0.95)
    assert (found.points - found.half_width, found.points + found.half_width) == pytest.approx((low, high))


def test_of_two_variants_and_of_re_ranking_the_p_value_is_the_paired_t_tests():
    a, b, again = [40.0, 44.0, 47.0, 41.0], [38.0, 43.5, 44.0, 40.0], [42.5, 46.0, 49.5, 43.0]
    two = statistics.difference(rows_of({"a": a, "b": b}), "classroom", "a", "b")
    assert two.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    values = {"a": a, "b": b, "c": [1.0, 9.0, 5.0, 2.0], "a, re-ranked": again}
    rows = rows_of(values)
    reranked = statistics.difference(rows, "classroom", "a", "a, re-ranked")
    assert reranked.p == pytest.approx(stats.ttest_rel(a, again).pvalue)


def test_the_p_value_takes_the_deviation_of_all_variants_as_the_interval_does():
    values = {"a": [40.0, 44.0, 47.0], "b": [38.0, 43.5, 44.0], "c": [30.0, 31.0, 39.5]}
    found = statistics.difference(rows_of(values), "classroom", "a", "b")
    left = np.array(list(values.values()))
    left = left - left.mean(0) - left.mean(1, keepdims=True) + left.mean()
    t = np.subtract(values["a"], values["b"]).mean() / np.sqrt((left**2).sum() / 4 * 2 / 3)
    assert (
        found.p
        == pytest.approx(2 * stats.t.sf(t, 4))
        != pytest.approx(stats.ttest_rel(*list(values.values())[:2]).pvalue)
    )


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (2.0, 0.0)])
def test_where_all_differences_are_equal_chance_explains_all_or_nothing(shift, p):
    rows = rows_of({"a": [40.0 + shift, 44.0 + shift], "a, re-ranked": [40.0, 44.0]})
    assert statistics.difference(rows, "classroom", "a", "a, re-ranked").p == p


def test_an_interval_leaves_out_0_exactly_where_p_is_below_5_percent():
    random = np.random.default_rng(3)
    found = [
        statistics.difference(rows_of({x: random.normal(40, 2, 3) for x in "abc"}), "classroom", "a", "b")
        for _ in range(200)
    ]
    assert {one.separated for one in found} == {True, False}
    assert all(one.separated == (one.p < 0.05) for one in found)


def test_holms_correction_by_the_usual_worked_example():
    """At 5 % the fourth and the first are rejected: 0.005 < 0.05 / 4, 0.01 < 0.05 / 3, but not 0.03 < 0.05 / 2."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert len(statistics.holm([])) == 0


def test_holms_correction_is_the_closed_test_of_bonferronis():
    """A hypothesis is rejected where every set of hypotheses that holds it is, each by Bonferroni: the definition."""
    random = np.random.default_rng(4)
    for _ in range(20):
        p = (random.random(5) ** 3).round(2)
        sets = [chosen for size in range(1, 6) for chosen in combinations(range(5), size)]
        closed = [max(min(1, len(some) * min(p[list(some)])) for some in sets if one in some) for one in range(5)]
        assert statistics.holm(p) == pytest.approx(closed)


def test_an_interval_that_ends_at_0_separates_nothing():
    assert not statistics.Difference("a", "b", "mAP", 1.5, 1.5, 1.5, 3, 2).separated
    assert statistics.Difference("a", "b", "mAP", -1.51, 1.5, 1.5, 3, 2).separated


def test_several_rows_of_a_run_are_averaged_over_seeds_key_by_key():
    rows = pd.DataFrame(
        {"variant": "a", "size": size, "seed": seed, "epoch": epoch, "loss": loss, "accuracy": 10 * loss}
        for size, seed, epoch, loss in (
            *(("classroom", 0, 1, 1.0), ("classroom", 1, 1, 2.0), ("classroom", 2, 1, 6.0)),
            *(("classroom", 0, 2, 5.0), ("classroom", 1, 2, 7.0), ("full", 0, 1, 99.0)),
        )
    )
    found = statistics.means("erasing_fit", rows, "classroom")
    assert found["loss"].to_dict() == {("a", 1): 3.0, ("a", 2): 6.0}
    assert found["accuracy"].tolist() == [30.0, 60.0] and found["seeds"].tolist() == [3, 2]


def unlike(values, size="classroom"):
    """As `rows_of`, with rank-1 beside mAP: another score, which varies otherwise."""
    rows = rows_of(values, size)
    return rows.assign(**{"rank-1": 90 - rows["mAP"] / 2 + rows["seed"] ** 2}, minutes=1.0 + rows["seed"])


def test_each_score_is_compared_by_its_own_numbers():
    values = {"a": [40.0, 44.0, 47.0], "b": [38.0, 43.5, 44.0], "c": [30.0, 31.0, 39.5]}
    rows = unlike(values)
    alone = rows_of({label: [90 - x / 2 + seed**2 for seed, x in enumerate(some)] for label, some in values.items()})
    theirs = statistics.difference(alone, "classroom", "a", "b")
    found = statistics.difference(rows, "classroom", "a", "b", "rank-1")
    assert (found.points, found.half_width, found.alone) == (theirs.points, theirs.half_width, theirs.alone)
    assert found.half_width != pytest.approx(statistics.difference(rows, "classroom", "a", "b").half_width, rel=0.1)
    against = statistics.against("small", rows, "classroom", "rank-1", reference="b").loc["a"]
    assert against["rank-1 minus that of b"] == theirs.points and against["±"] == theirs.half_width
    of_a = statistics.variants(rows, "classroom").loc["a"]
    assert of_a["rank-1 sd"] == pytest.approx(np.std([70, 69, 70.5], ddof=1)) != of_a["mAP sd"]
    assert (of_a["rank-1"], of_a["minutes"]) == (pytest.approx(209.5 / 3), 2.0)


def test_runs_of_another_size_say_nothing_about_this_one():
    values = {"a": [40.0, 44.0, 47.0], "b": [38.0, 43.5, 44.0], "c": [30.0, 31.0, 33.5]}
    rows = rows_of(values)
    elsewhere = rows_of({"a": [90.0, 10.0], "c": [20.0, 70.0]}, "full").assign(seed=[7, 8, 7, 8])
    both = pd.concat([elsewhere, rows])
    assert statistics.residual_deviation(both, "classroom") == statistics.residual_deviation(rows, "classroom")
    assert statistics.difference(both, "classroom", "a", "c") == statistics.difference(rows, "classroom", "a", "c")
    assert statistics.variants(both, "classroom")["seeds"].tolist() == [3, 3, 3]
