"""Verdicts: what the papers say against what was recorded."""

import pandas as pd
import pytest
from scipy import stats

from reid_lab.ablations import claims, grids, statistics
from reid_lab.ablations.claims import CLAIMS, FAILS, HOLDS, MISSING, NOT_ASKED, OPEN, Verdict


def record(folder, grid, values):
    """A table of a grid from {variant: [score of each seed]}."""
    rows = [
        {"variant": label, "size": "classroom", "seed": seed, **dict.fromkeys([*statistics.METRICS, "heat"], value)}
        for label, of_one in values.items()
        for seed, value in enumerate(of_one)
    ]
    pd.DataFrame(rows).to_csv(folder / f"{grid}.csv", index=False)


def claim(says):
    return next(one for one in CLAIMS if one.says == says)


@pytest.mark.parametrize(
    ("residual", "verdict"),
    [([50.0, 51.0, 49.5], HOLDS), ([30.0, 31.2, 29.5], FAILS), ([41.0, 39.5, 40.5], OPEN), ([50.0], MISSING)],
)
def test_a_claim_holds_fails_or_is_open_as_the_seeds_say(tmp_path, residual, verdict):
    record(tmp_path, "pooling", {"average": [40.0, 40.5, 40.2], "residual": residual, "max": [40.1, 40.0, 40.9]})
    found = claim("residual beats average pooling").verdict("classroom", tmp_path)
    assert found.told == verdict
    assert ("3 seeds" in found.ours) == (verdict != MISSING)


def test_what_is_not_recorded_is_said_to_be_so(tmp_path):
    found = claims.verdicts("classroom", tmp_path)
    assert len(found) == len(CLAIMS)
    assert found.loc[found["verdict"] == NOT_ASKED, "claim"].tolist() == [
        "the deeper Res2Net beats the shallower (its table)"
    ]
    assert set(found.loc[found["verdict"] != NOT_ASKED, "verdict"]) == {MISSING}
    assert set(claims.verdicts("full", tmp_path)["verdict"]) == {MISSING}
    assert set(found["p"]) == {""} and (found["verdict after correction"] == found["verdict"]).all()
    assert claims.write("classroom", tmp_path).name == "claims-classroom.csv"


def test_a_verdict_says_what_its_two_variants_alone_would_tell(tmp_path):
    """The other variants are quieter than these two: the deviation of all makes their interval too narrow."""
    quiet = {name: [40.0, 40.1, 40.0] for name in ("max", "max + max", "max + average", "baseline")}
    two = {"average": [30.0, 40.0, 33.0], "residual": [45.0, 41.0, 47.0]}
    record(tmp_path, "pooling", quiet | two)
    found = claim("residual beats average pooling").verdict("classroom", tmp_path)
    interval = stats.ttest_rel(two["residual"], two["average"]).confidence_interval()
    assert interval.low < 0, "a paired t-test could not tell"
    assert (found.told, found.told_alone) == (HOLDS, f"± {(interval.high - interval.low) / 2:.1f}, {OPEN}")


@pytest.mark.parametrize(("seeds", "end"), [(2, "2 seeds only"), (3, "3 seeds")])
def test_two_seeds_are_marked_as_few(seeds, end):
    assert Verdict(CLAIMS[0], 8.0, 5.0, 6.0, 0.001, seeds).ours.endswith(f", {end}")


def test_re_ranking_is_compared_with_the_same_runs_not_re_ranked(tmp_path):
    """The runs lie ten points apart; re-ranking adds two to each."""
    plain, reranked = [40.0, 50.0, 60.0], [42.0, 52.1, 61.9]
    record(tmp_path, "pooling", {"average": [45.0, 44.0, 46.0], "residual": plain, "residual, re-ranked": reranked})
    found = claim("re-ranking raises mAP").verdict("classroom", tmp_path)
    interval = stats.ttest_rel(reranked, plain).confidence_interval()
    assert found.told == HOLDS and found.ours.startswith(
        f"+2.0 ± {(interval.high - interval.low) / 2:.1f} points of mAP"
    )


def test_the_papers_numbers_are_those_of_its_tables():
    assert claim("residual beats average pooling").printed() == "mAP 87.68 against 65.97"
    assert claim("erasing half of the images helps").printed() == "mAP 76.39 against 71.14"
    assert claim("re-ranking lowers rank-10").printed() == "rank-10 99.17 against 98.90"
    assert all(one.printed() or one.numbers is None for one in CLAIMS)


def test_whose_claims_they_are():
    """What is read off a table has numbers in it; our own questions have none, and are told to be ours."""
    assert {one.kind for one in CLAIMS} == set(claims.KINDS)
    assert all(one.numbers for one in CLAIMS if one.kind == "table")
    assert not any(one.numbers for one in CLAIMS if one.kind == "ours")
    assert not any("question" in one.says or "table" in one.says for one in CLAIMS), "words are made of the kind alone"
    ends = {"says": "", "table": " (its table)", "ours": " (our question)"}
    assert all(one.words == one.says + ends[one.kind] for one in CLAIMS)
    assert all(one.kind == "ours" for one in CLAIMS if "of equal size" in one.says or "triplet" in one.says)
    assert claim("the deeper Res2Net beats the shallower").kind == "table", "paper A's text says the opposite"
    found = claims.verdicts("classroom")
    assert found["kind"].tolist() == [one.kind for one in CLAIMS]
    assert found["claim"].tolist() == [one.words for one in CLAIMS]


PRINTED = [one for one in CLAIMS if one.numbers is not None]


@pytest.mark.parametrize("one", PRINTED, ids=lambda one: one.says)
def test_in_the_papers_own_table_the_better_one_is_better(one):
    better, worse = map(float, one.printed().removeprefix(f"{one.metric} ").split(" against "))
    assert better > worse


WORDS = {  # what a claim says, and who is to beat whom in which score
    "erasing half of the images helps": ("0.5", "0.0", "mAP"),
    "erasing half of the images helps, given three times the epochs": (
        *("erasing 0.5, 3 x epochs", "erasing 0.0, 3 x epochs", "mAP"),
    ),
    "erasing half of the images helps, given ten times the epochs": (
        *("erasing 0.5, 10 x epochs", "erasing 0.0, 10 x epochs", "mAP"),
    ),
    **{
        f"residual beats {other} in a town that was not trained in": ("residual", other, "mAP")
        for other in ("average", "max", "max + average", "baseline")
    },
    "residual beats average pooling, given twice the epochs": (
        *("residual, 2 x epochs", "average, 2 x epochs", "mAP"),
    ),
    "erasing half is better than erasing all": ("0.5", "1.0", "mAP"),
    "Res2Net beats ResNet": ("Res2Net-50", "ResNet-50", "mAP"),
    "the deeper Res2Net beats the shallower": ("Res2Net-101", "Res2Net-50", "mAP"),
    "verification helps identification": ("both", "identification", "mAP"),
    "max pooling beats average pooling": ("max", "average", "mAP"),
    "residual beats average pooling": ("residual", "average", "mAP"),
    "residual beats max pooling": ("residual", "max", "mAP"),
    "residual beats the baseline": ("residual", "baseline", "mAP"),
    "the subtraction matters: residual beats max + average": ("residual", "max + average", "mAP"),
    "residual beats average + average of equal size": ("residual", "average + average", "mAP"),
    "residual beats max + max of equal size": ("residual", "max + max", "mAP"),
    "re-ranking raises mAP": ("residual, re-ranked", "residual", "mAP"),
    "re-ranking lowers rank-10": ("residual", "residual, re-ranked", "rank-10"),
    "triplet losses help cross-entropy": (
        *("cross-entropy and triplets at three scales", "cross-entropy alone, a quarter of the rate", "mAP"),
    ),
    "triplets at three scales beat one": (
        *("cross-entropy and triplets at three scales", "cross-entropy and triplets at one scale", "mAP"),
    ),
}


def test_every_claim_compares_what_its_words_say():
    told = {one.says: (one.better[0], one.worse[0], one.metric) for one in CLAIMS if one.grid != "gradcam"}
    assert told == WORDS
    assert all(one.only == {"town": "coast"} for one in CLAIMS if "not trained in" in one.says)
    heat = [one for one in CLAIMS if one.grid == "gradcam"]
    assert len(heat) == 6 and all((one.better, one.metric) == (("residual",), "heat") for one in heat)
    assert all(f"at {one.only['layer']} lies more on the person than {one.worse[0]}'s" in one.says for one in heat)


def test_of_a_heat_table_only_the_trained_network_the_layer_and_the_identity_count(tmp_path):
    """All other rows say the opposite."""
    rows = [
        {
            "variant": variant,
            "size": "classroom",
            "seed": seed,
            "heat": heat + seed / 10 + (variant == "max") * seed / 99,
        }
        | {"network": network, "layer": layer, "target": target}
        for network in ("trained", "untrained")
        for layer in ("layer2", "layer3", "layer4")
        for target in ("identity", "similarity")
        for seed in range(3)
        for variant, better in (("residual", True), ("average", False), ("max", False))
        for asked in [(network, layer, target) == ("trained", "layer3", "identity")]
        for heat in [60 if better == asked else 40]
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "gradcam.csv", index=False)
    found = claims.verdicts("classroom", tmp_path).set_index("claim")["verdict"]
    for layer in ("layer2", "layer3", "layer4"):
        for than in ("average's", "max's (our question)"):
            says = f"residual's heat at {layer} lies more on the person than {than}"
            assert found[says] == (HOLDS if layer == "layer3" else FAILS)


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.says)
def test_every_claim_is_about_variants_that_are_run(one):
    labels = {
        label + suffix
        for size in ("classroom", "full")
        for label in grids.grid(one.grid).variants(size)
        for suffix in ("", claims.RERANKED if label in grids.grid(one.grid).reranked else "")
    }
    assert set(one.better) | set(one.worse) <= labels
    assert set(one.only) <= set(grids.grid(one.grid).several)


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_names_the_one_that_scores_best_at_this_size_is_judged(tmp_path, swapped):
    """Whichever comes first; the other one where the best is recorded at another size only."""
    names = ["cross-entropy alone, a quarter of the rate", "cross-entropy alone"]
    best, other = names[::-1] if swapped else names
    three, asked = "cross-entropy and triplets at three scales", claim("triplet losses help cross-entropy")
    record(tmp_path, "losses", {three: [50.0, 51.0], other: [40.0, 41.5], best: [45.0, 46.5]})
    assert asked.verdict("classroom", tmp_path).ours.startswith("+4.8 ± ")
    rows = pd.read_csv(tmp_path / "losses.csv")
    rows.loc[rows["variant"] == best, "size"] = "full"
    rows.to_csv(tmp_path / "losses.csv", index=False)
    assert asked.verdict("classroom", tmp_path).ours.startswith("+9.8 ± ")


@pytest.mark.parametrize(("points", "told"), [(1.5, OPEN), (-1.5, OPEN), (1.51, HOLDS), (-1.51, FAILS)])
def test_an_interval_that_ends_at_0_tells_nothing(points, told):
    assert claims._told(points, 1.5) == told


ASKED = {"classroom": len(CLAIMS) - 1, "full": len(CLAIMS)}  # the slim family has no deeper Res2Net
AVERAGE = [40.0, 44.0, 47.0, 41.0]


@pytest.mark.parametrize("size", ASKED)
@pytest.mark.parametrize(
    ("above", "verdict", "corrected"),
    [
        ([5.0, 5.1, 4.9, 5.05], HOLDS, HOLDS),
        ([3.0, 1.0, 4.0, 2.0], HOLDS, OPEN),
        ([-3.0, -1.0, -4.0, -2.0], FAILS, OPEN),
        ([-5.0, -5.1, -4.9, -5.05], FAILS, FAILS),
        ([3.0, -2.0, 1.0, 0.0], OPEN, OPEN),
    ],
)
def test_a_verdict_is_corrected_for_all_claims_that_are_asked_at_its_size(tmp_path, size, above, verdict, corrected):
    """Two variants alone: p is that of a paired t-test. The other claims are not recorded, and count all the same."""
    residual = [value + more for value, more in zip(AVERAGE, above, strict=True)]
    record(tmp_path, "pooling", {"average": AVERAGE, "residual": residual})
    rows = pd.read_csv(tmp_path / "pooling.csv").assign(size=size)
    rows.to_csv(tmp_path / "pooling.csv", index=False)
    p = stats.ttest_rel(residual, AVERAGE).pvalue
    row = claims.verdicts(size, tmp_path).set_index("claim").loc["residual beats average pooling"]
    assert (row["verdict"], row["verdict after correction"], row["p"]) == (verdict, corrected, f"{p:.2g}")
    found = next(one for one in claims.judge(size, tmp_path) if one.claim.says == "residual beats average pooling")
    assert found.corrected == pytest.approx(min(1, ASKED[size] * p))
    assert (found.points, found.seeds, found.unit) == (pytest.approx(sum(above) / 4), 4, "points of mAP")


def test_what_chance_explains_least_is_corrected_most(tmp_path):
    """Three claims of four variants: the k-th smallest p counts as often as claims are left."""
    rows = {"average": [40.0, 44.0, 47.0], "max": [44.0, 47.2, 51.5], "residual": [46.0, 51.0, 52.5]}
    record(tmp_path, "pooling", rows)
    found = sorted((one for one in claims.judge("classroom", tmp_path) if not one.lacks), key=lambda one: one.p)
    assert len(found) == 3 and found[0].p < found[1].p < found[2].p
    expected = pd.Series([min(1, (28 - k) * one.p) for k, one in enumerate(found)]).cummax()
    assert [one.corrected for one in found] == pytest.approx(expected.tolist())


@pytest.mark.parametrize(("corrected", "told"), [(0.049, HOLDS), (0.051, OPEN)])
def test_a_verdict_outlasts_the_correction_below_5_percent(corrected, told):
    assert Verdict(CLAIMS[0], 8.0, 5.0, 6.0, 0.001, 3, corrected=corrected).told_corrected == told
