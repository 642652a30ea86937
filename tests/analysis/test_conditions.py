import io
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from reid_lab import data, plots, retrieval
from reid_lab.analysis import conditions, wrong_answers
from reid_lab.passersby import people
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError


def labels(bench, keep=slice(None)):
    """Arguments of `rank` after the features."""
    gallery = np.array(bench.gallery, dtype=object)[keep]
    return Protocol.of(bench.query, gallery).arrays()


def ranked(bench, features, **options):
    parts = features[: len(bench.query)], features[len(bench.query) :]
    result = retrieval.rank(*parts, **labels(bench), **options)
    return replace(result, query=bench.query, gallery=bench.gallery)


@pytest.fixture(scope="module")
def features(smoke):
    """Descriptors that know their identity a little."""
    random = np.random.default_rng(0)
    middle = random.standard_normal((9999, 16))
    pids = [record.pid for record in (*smoke.query, *smoke.gallery)]
    return middle[pids] + random.standard_normal((len(pids), 16))


@pytest.fixture(scope="module")
def result(smoke, features):
    """A whole ranking, neither perfect nor hopeless."""
    found = ranked(smoke, features, top=len(smoke.gallery))
    assert 0.3 < found.rank(1) < 0.8
    return found


def truth_of(bench, records):
    return bench.annotations.loc[[bench.relative(record) for record in records]]


# --- Queries ---
def test_intervals_of_independent_values_are_those_of_the_normal_distribution():
    values = np.random.default_rng(0).standard_normal(2000)
    low, high = conditions.interval(values, np.arange(2000))
    error = values.std() / np.sqrt(2000)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.1 * error)


def test_repeating_every_query_of_a_person_makes_no_interval_narrower():
    values, pids = np.random.default_rng(0).standard_normal(100), np.arange(100)
    assert conditions.interval(values.repeat(9), pids.repeat(9)) == pytest.approx(conditions.interval(values, pids))


def test_people_with_many_queries_count_by_their_queries():
    values, pids = np.array([0.0] * 900 + [1.0] * 100), np.arange(1000) // 9
    low, high = conditions.interval(values, pids)
    assert low < 0.1 < high and high - low < 0.2
    assert conditions.interval(np.ones(21), np.array([0] * 10 + [*range(11)])) == pytest.approx((1.0, 1.0))


def test_the_interval_between_two_bins_draws_the_same_people_for_both():
    """Every person is two points better in one bin, and people differ a lot: the difference is known exactly."""
    people_of = np.arange(40).repeat(4)
    one = np.tile([True, True, False, False], 40)
    values = 10.0 * people_of + 2.0 * one
    assert conditions.interval_between(values, people_of, one, ~one) == pytest.approx((2.0, 2.0))
    low, high = conditions.interval(values[one], people_of[one])
    assert high - low > 50, "each mean alone is hardly known"


def test_the_interval_between_bins_of_other_people_is_that_of_two_samples():
    values = np.random.default_rng(0).standard_normal(4000)
    one = np.arange(4000) < 2000
    low, high = conditions.interval_between(values, np.arange(4000), one, ~one)
    error = np.sqrt(values[one].var() / 2000 + values[~one].var() / 2000)
    middle = values[one].mean() - values[~one].mean()
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.15 * error)


@pytest.mark.parametrize("people_in_it", [0, 1, 9])
def test_of_few_people_there_is_no_interval(people_in_it):
    values, pids = np.arange(4.0 * people_in_it), np.arange(people_in_it).repeat(4)
    assert np.isnan(conditions.interval(values, pids)).all()


def test_of_ten_people_there_is_an_interval():
    assert np.isfinite(conditions.interval(np.arange(20.0), np.arange(10).repeat(2))).all()


def test_intervals_of_bins_resample_whole_people(smoke, result):
    """Not queries, of which one person has several."""
    rows, table = conditions.per_query(result, smoke), conditions.by(result, smoke, "sleeves")
    for name, row in table.iterrows():
        inside = rows[rows["sleeves"] == name]
        for score in ("mAP", "rank-1"):
            expected = conditions.interval(inside[score].to_numpy(), inside["pid"].to_numpy())
            assert row[[f"{score} low", f"{score} high"]].tolist() == pytest.approx(expected, nan_ok=True)
    assert table["mAP low"].notna().any()


def test_the_interval_of_what_errors_share_resamples_whole_people(smoke):
    """By chance features nearly all first answers are wrong, several of each person."""
    size = len(smoke.query) + len(smoke.gallery)
    result = ranked(smoke, np.random.default_rng(3).standard_normal((size, 8)))
    first = result.matches.indices[:, 0]
    shows = truth_of(smoke, smoke.gallery)["shows"].to_numpy()[first]
    wrong = np.flatnonzero(~result.matches.correct[:, 0] & (shows != "background"))
    shared = [100.0 * (smoke.query[i].camid == smoke.gallery[first[i]].camid) for i in wrong]
    pids = [smoke.query[i].pid for i in wrong]
    assert 10 <= len(set(pids)) < 0.6 * len(pids) and 0 < np.mean(shared) < 100
    errors = wrong_answers.errors_by_attributes(result, smoke).loc["camera", ["shared low", "shared high"]]
    assert errors.tolist() == pytest.approx(conditions.interval(np.array(shared), np.array(pids)))


def test_other_bins_are_those_that_were_asked_for(smoke, result):
    hidden = truth_of(smoke, smoke.query)["occluded"].to_numpy()
    table = conditions.by_occlusion(result, smoke, {"little": 0.05, "much": 1.0})
    assert table["queries"].to_dict() == {"little": (hidden <= 0.05).sum(), "much": (hidden > 0.05).sum()}
    turned = conditions.pairs(result, smoke)["turned"]
    table = conditions.by_angle(result, smoke, k=3, upper={"front": 45.0, "side": 135.0, "back": 180.0})
    front, back = (turned <= 45).sum(), (turned > 135).sum()
    assert table["pairs"].to_dict() == {"front": front, "side": len(turned) - front - back, "back": back}


def test_intervals_follow_from_their_seed():
    values, pids = np.arange(20.0), np.arange(20)
    assert conditions.interval(values, pids) == conditions.interval(values, pids)
    assert conditions.interval(values, pids) != conditions.interval(values, pids, seed=1)


def test_bins_of_occlusion_hold_the_queries_that_are_that_much_hidden(smoke, result):
    hidden = truth_of(smoke, smoke.query)["occluded"].to_numpy()
    edges = [-1.0, *conditions.HIDDEN.values()]
    table = conditions.by_occlusion(result, smoke)
    for (name, row), (above, up_to) in zip(table.iterrows(), pairwise(edges), strict=True):
        inside = (hidden > above) & (hidden <= up_to)
        assert row["queries"] == inside.sum() > 0, name
        assert row["mAP"] == pytest.approx(100 * result.ap[inside].mean())
        assert row["rank-1"] == pytest.approx(100 * result.matches.correct[inside, 0].mean())
        assert (row["mAP low"] <= row["mAP"] <= row["mAP high"]) == (row["identities"] >= 10)
    assert table["queries"].sum() == len(smoke.query)


def test_a_column_without_bins_is_taken_value_by_value(smoke, result):
    table = conditions.by(result, smoke, "camid")
    cameras = np.array([record.camid for record in smoke.query])
    assert table["queries"].to_dict() == {camera: (cameras == camera).sum() for camera in np.unique(cameras)}


@pytest.mark.parametrize(
    ("column", "upper", "said"),
    [
        ("color", None, "'color'.*upper_colour"),
        ("height", {"small": 1.6}, r"'height'.*1\.\d+"),
        ("height", {"tall": 2.0, "small": 1.6}, "'height'"),
        ("bag", {"small": 1.6}, "'bag'"),
    ],
)
def test_bins_that_would_lose_queries_are_refused(smoke, result, column, upper, said):
    with pytest.raises(DataError, match=said):
        conditions.by(result, smoke, column, upper)


def test_a_bin_tells_how_many_people_its_queries_are_of(smoke, result):
    table = conditions.by(result, smoke, "look_alike")
    assert table["identities"].sum() == len({record.pid for record in smoke.query})


def test_look_alikes_are_those_the_generator_dressed_alike(smoke, result):
    rows = conditions.per_query(result, smoke)
    expected = [people.look_alike(0, pid) for pid in rows["pid"]]
    assert rows["look_alike"].tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_queries_without_a_match_are_left_out(smoke, features):
    lonely = smoke.query[3].pid
    gallery = [i for i, record in enumerate(smoke.gallery) if record.pid != lonely]
    bench = replace(smoke, gallery=[smoke.gallery[i] for i in gallery])
    found = ranked(bench, np.concatenate([features[: len(smoke.query)], features[len(smoke.query) :][gallery]]))
    rows = conditions.per_query(found, bench)
    assert len(rows) == len(smoke.query) - len(found.unmatched) and lonely not in set(rows["pid"])
    assert conditions.by_occlusion(found, bench)["mAP"].notna().all()
    assert lonely not in set(conditions.pairs(found, bench)["pid"])


# --- Matches ---
def test_every_match_of_a_query_is_a_pair_with_its_rank(smoke, result):
    rows = conditions.pairs(result, smoke)
    for query, part in rows.groupby("query"):
        ranks = result.ranks[query][result.ranks[query] > 0]
        assert sorted(part["rank"]) == list(ranks)
        assert sorted(part["wrong_before"]) == list(ranks - np.arange(1, len(ranks) + 1))
    for row in rows.itertuples():
        one, other = smoke.query[row.query], smoke.gallery[row.match]
        assert (one.pid, one.camid, other.pid, other.camid) == (row.pid, row.query_camid, row.pid, row.match_camid)
        assert row.match == result.matches.indices[row.query, int(row.rank) - 1]


def test_ranks_beyond_what_the_result_keeps_are_unknown(smoke, features, result):
    whole, short = conditions.pairs(result, smoke), conditions.pairs(ranked(smoke, features, top=5), smoke)
    pd.testing.assert_series_equal(short["rank"], whole["rank"].where(whole["rank"] <= 5))


def test_a_turn_is_the_smaller_angle_either_way_round(smoke, result):
    rows = conditions.pairs(result, smoke)
    query = truth_of(smoke, smoke.query)["view_angle"].to_numpy()[rows["query"]]
    match = truth_of(smoke, smoke.gallery)["view_angle"].to_numpy()[rows["match"]]
    one, other = (np.deg2rad(np.asarray(angles, dtype=float)) for angles in (query, match))
    assert np.cos(np.deg2rad(rows["turned"])).to_numpy() == pytest.approx(np.cos(one - other), abs=1e-9)
    assert rows["turned"].between(0, 180).all()


def test_pairs_found_are_counted_in_the_bin_of_their_turn(smoke, result):
    rows, table = conditions.pairs(result, smoke), conditions.by_angle(result, smoke, k=7)
    near = rows[rows["turned"] <= 30]
    assert table.loc["0–30°", "pairs"] == len(near)
    assert table.loc["0–30°", "found in 7"] == pytest.approx(100 * (near["rank"] <= 7).mean())
    assert table["pairs"].sum() == len(rows)


def test_more_images_than_were_kept_are_asked_for_by_name(smoke, features):
    with pytest.raises(DataError, match="5.*top=10"):
        conditions.by_angle(ranked(smoke, features, top=5), smoke)
    with pytest.raises(DataError, match=f"top={len(smoke.gallery)}"):
        conditions.by_cameras(ranked(smoke, features))


# --- Cameras ---
@pytest.mark.parametrize("score", ["mAP", "rank-1"])
def test_one_cameras_gallery_is_ranked_as_if_it_were_the_whole_gallery(smoke, features, result, score):
    table = conditions.by_cameras(result, score)
    cameras = np.array([record.camid for record in smoke.query])
    for camera in table.columns:
        keep = np.flatnonzero([record.camid == camera for record in smoke.gallery])
        parts = features[: len(smoke.query)], features[len(smoke.query) :][keep]
        alone = retrieval.rank(*parts, **labels(smoke, keep))
        values = alone.ap if score == "mAP" else np.where(np.isnan(alone.ap), np.nan, alone.ranks[:, 0] == 1)
        expected = pd.Series(100.0 * values).groupby(cameras).mean()
        assert table[camera].to_numpy() == pytest.approx(expected.to_numpy(), nan_ok=True)


def test_another_score_of_cameras_is_refused(result):
    with pytest.raises(DataError, match="'rank-5'.*'mAP'.*'rank-1'"):
        conditions.by_cameras(result, "rank-5")


def test_a_query_has_no_match_in_its_own_camera(result):
    table = conditions.by_cameras(result)
    assert np.isnan(np.diag(table)).all() and table.notna().sum(axis=None) > 10


def test_all_cameras_left_are_the_whole_gallery(result):
    table = conditions.by_gallery_cameras(result)
    assert table.loc[6, ["mAP", "rank-1"]].tolist() == pytest.approx([100 * result.mAP, 100 * result.rank(1)])
    assert table["sets"].tolist() == [6, 15, 20, 15, 6, 1]
    assert (table["mAP worst"] <= table["mAP"]).all() and (table["mAP"] <= table["mAP best"]).all()
    assert table["queries"].is_monotonic_increasing


def test_of_one_camera_left_the_worst_the_mean_and_the_best_are_those_of_galleries_of_one_camera(
    smoke, features, result
):
    scores = []
    for camera in sorted({record.camid for record in smoke.gallery}):
        keep = np.flatnonzero([record.camid == camera for record in smoke.gallery])
        alone = retrieval.rank(features[: len(smoke.query)], features[len(smoke.query) :][keep], **labels(smoke, keep))
        scores.append((100 * alone.mAP, 100 * alone.rank(1), np.isfinite(alone.ap).sum()))
    m_ap, rank_1, queries = np.array(scores).T
    row = conditions.by_gallery_cameras(result).loc[1]
    found = row[["mAP worst", "mAP", "mAP best", "rank-1", "queries"]].tolist()
    assert found == pytest.approx([m_ap.min(), m_ap.mean(), m_ap.max(), rank_1.mean(), queries.mean()])


# --- Errors ---
def test_a_network_that_sees_one_color_only_errs_by_that_colour(smoke):
    rows = pd.concat([truth_of(smoke, part) for part in (smoke.query, smoke.gallery)])
    colors = pd.get_dummies(rows["upper_colour"]).to_numpy(float)
    noise = np.random.default_rng(0).standard_normal((len(rows), 8))
    table = wrong_answers.errors_by_attributes(ranked(smoke, np.hstack([50 * colors, noise])), smoke)
    row = table.loc["upper_colour"]
    assert row["shared"] > 90 and row["ratio"] > 3
    assert table.loc["direction within 45°", "ratio"] < 2


def test_chance_is_what_a_random_wrong_image_shares(smoke, result):
    table = wrong_answers.errors_by_attributes(result, smoke)
    gallery = truth_of(smoke, smoke.gallery)
    gallery = gallery[(gallery["pid"] != -1) & (gallery["shows"] != "background")]
    shown = truth_of(smoke, smoke.gallery)["shows"].to_numpy()[result.matches.indices[:, 0]]
    wrong = ~result.matches.correct[:, 0] & (shown != "background")
    expected = {"hair": [], "height within 5 cm": [], "bag": [], "direction within 45°": [], "look-alike": []}
    for _, query in truth_of(smoke, smoke.query)[wrong].iterrows():
        others = gallery[gallery["pid"] != query["pid"]]
        block = (others["pid"] > 0) & (others["pid"].map(people.block_of) == people.block_of(query["pid"]))
        same_color = others["bag_colour"] == query["bag_colour"]
        turn = np.deg2rad(others["view_angle"].astype(float) - query["view_angle"])
        expected["hair"].append((others["hair"] == query["hair"]).mean())
        millimeters = (1000 * (others["height"].astype(float) - query["height"])).abs().round()
        expected["height within 5 cm"].append((millimeters <= 50).mean())
        expected["bag"].append(((others["bag"] == query["bag"]) & (same_color | (query["bag"] == "none"))).mean())
        expected["direction within 45°"].append((np.cos(turn) >= np.sqrt(0.5)).mean())
        expected["look-alike"].append((block & people.look_alike(0, query["pid"])).mean())
    for name, shares in expected.items():
        assert table.loc[name, "random"] == pytest.approx(100 * np.mean(shares)), name
    assert (table["errors"] == wrong.sum()).all()
    first = [smoke.gallery[i].camid for i in result.matches.indices[wrong, 0]]
    same = np.array(first) == np.array([record.camid for record in smoke.query])[wrong]
    assert table.loc["camera", "shared"] == pytest.approx(100 * same.mean())


def test_false_alarms_and_junk_show_nobody_to_be_taken_for():
    bench = data.passersby("smoke", junk="mask")
    shows = truth_of(bench, bench.gallery)["shows"].to_numpy()
    junk = np.array([record.pid == data.JUNK for record in bench.gallery])
    alarm = np.flatnonzero((shows == "background") & ~junk)[0]
    features = np.random.default_rng(0).standard_normal((len(bench.query) + len(bench.gallery), 8))
    features[: len(bench.query) : 2] = features[len(bench.query) + alarm]  # found first by every other query
    result = ranked(bench, features)
    table = wrong_answers.errors_by_attributes(result, bench)
    counted = ~result.matches.correct[:, 0] & (shows[result.matches.indices[:, 0]] != "background")
    assert (table["errors"] == counted.sum()).all() and counted.sum() <= len(bench.query) / 2
    people_in_it = ~junk & (shows != "background")
    cameras = np.array([record.camid for record in bench.gallery])
    pids = np.array([record.pid for record in bench.gallery])
    expected = [
        (cameras[people_in_it & (pids != query.pid)] == query.camid).mean()
        for query, counts in zip(bench.query, counted, strict=True)
        if counts
    ]
    assert table.loc["camera", "random"] == pytest.approx(100 * np.mean(expected))


def compared(name, *rows):
    """Whether two rows of truth share what is called so."""
    other = dict.fromkeys(people.ATTRIBUTES, "none") | {"height": 1.7, "view_angle": 0.0, "group": "-", "camid": 1}
    one, two = (pd.DataFrame([other | row]) for row in rows)
    return bool(dict(wrong_answers._comparisons(one, two))[name])


@pytest.mark.parametrize(("one", "other", "alike"), [(1.70, 1.75, True), (1.60, 1.65, True), (1.70, 1.751, False)])
def test_five_centimeters_are_within_five_centimeters(one, other, alike):
    assert compared("height within 5 cm", {"height": one}, {"height": other}) == alike


@pytest.mark.parametrize(
    ("name", "garment", "alike"),
    [
        ("front_logo", {"upper": "hoodie", "open_front": True}, True),
        ("front_logo", {"upper": "hoodie", "open_front": False}, False),
        ("front_logo", {"upper": "coat", "open_front": False}, True),
        ("back_print", {"upper": "dress", "open_front": False}, True),
        ("back_print", {"upper": "hoodie", "open_front": True}, False),
    ],
)
def test_prints_that_a_garment_hides_are_none(name, garment, alike):
    assert compared(name, garment | {name: "disc", "logo_colour": "red"}, garment | {name: "none"}) == alike


def test_look_alikes_share_clothes_within_a_block(smoke, result):
    rows = pd.concat([truth_of(smoke, part) for part in (smoke.query, smoke.gallery)]).query("pid > 0")
    groups = pd.Series(conditions._groups(rows)).groupby(rows["pid"]).first()
    for one, other in pairwise(groups.index):
        same_block = people.block_of(one) == people.block_of(other)
        assert (groups[one] == groups[other]) == (same_block and people.look_alike(0, one))


def test_a_perfect_ranking_has_no_errors_to_explain(smoke):
    pids = [record.pid for record in (*smoke.query, *smoke.gallery)]
    with pytest.raises(DataError):
        wrong_answers.errors_by_attributes(ranked(smoke, np.eye(max(pids) + 1)[pids]), smoke)


# --- Refusals and the figure ---
def test_a_result_of_bare_features_is_refused(smoke, result):
    for function in (conditions.by_occlusion, conditions.by_angle, wrong_answers.errors_by_attributes):
        with pytest.raises(DataError, match="retrieval.evaluate"):
            function(replace(result, query=None), smoke)
    with pytest.raises(DataError, match="retrieval.evaluate"):
        conditions.by_cameras(replace(result, gallery=None))


def test_a_benchmark_without_truth_is_refused(smoke, result):
    with pytest.raises(DataError, match="truth"):
        conditions.by_occlusion(result, replace(smoke, annotations=None))


def test_the_result_of_another_benchmark_is_refused(smoke, result):
    with pytest.raises(DataError, match="query/"):
        conditions.by_occlusion(result, replace(smoke, annotations=smoke.annotations.iloc[:5]))


def test_the_figure_draws_each_score_inside_its_interval(smoke, result):
    table = conditions.by_occlusion(result, smoke)
    assert 0 < table["rank-1 low"].isna().sum() < len(table)  # bins of few people have none
    figure = plots.conditions({"one": table, "two": table}, score="rank-1", x="hidden")
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    axes = figure.axes[0]
    for container in axes.containers:
        points, (lower, upper), _ = container.lines
        assert points.get_ydata() == pytest.approx(table["rank-1"])
        assert lower.get_ydata() == pytest.approx(table["rank-1 low"], nan_ok=True)
        assert upper.get_ydata() == pytest.approx(table["rank-1 high"], nan_ok=True)
    one, two = (container.lines[0].get_xdata() for container in axes.containers)
    assert (one < two).all()  # side by side
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        f"{name}\n({count})" for name, count in table["queries"].items()
    ]


def test_sets_of_many_cameras_are_as_many_as_can_be_looked_at():
    for cameras, k in ((range(6), 3), (range(60), 30), (range(60), 60), (range(101), 1)):
        sets = conditions._sets(cameras, k)
        assert len(sets) == min(math.comb(len(cameras), k), 100) == len(set(sets))
        assert all(len(set(one)) == k and set(one) <= set(cameras) for one in sets)
        assert sets == conditions._sets(cameras, k)
