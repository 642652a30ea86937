"""What is asked of a run: which rows come out, of which network and of which images; nothing is trained."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from reid_lab import data, methods, retrieval
from reid_lab.ablations import measures
from reid_lab.analysis import conditions, cost, gradcam
from reid_lab.models.weights import passersby_weights
from reid_lab.retrieval import codes, rank_distances
from reid_lab.retrieval.protocol import Protocol

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run():
    """A run's network, recipe, seed and history; its weights are not those that its seed would draw."""
    recipe = methods.residual_pooling("smoke", dim=8)
    torch.manual_seed(99)
    history = pd.DataFrame({"epoch": [1, 2], "loss": [3.00004, 2.0], "accuracy": [0.25, 0.125], "lr": [0.1, 0.2]})
    return SimpleNamespace(recipe=recipe, model=recipe.network(12), environment={"seed": 5}, history=history)


def result_of(smoke, seed, top=10):
    """A ranking of chance, as `retrieval.evaluate` gives it."""
    random = np.random.default_rng(seed)
    features = [random.normal(size=(len(part), 6)) for part in (smoke.query, smoke.gallery)]
    labels = Protocol.of(smoke.query, smoke.gallery).arrays()
    return replace(retrieval.rank(*features, **labels, top=top), query=smoke.query, gallery=smoke.gallery)


@pytest.fixture
def ranked(smoke, monkeypatch):
    """Evaluations are of chance: another one when re-ranked. Gives what was asked for."""
    asked = []

    def evaluate(model, bench, rerank=False, device=None, top=10):
        asked.append((model, bench, rerank, top))
        return result_of(smoke, int(rerank), top)

    monkeypatch.setattr(measures.retrieval, "evaluate", evaluate)
    return asked


def test_scores_are_in_percent_with_a_second_row_for_the_re_ranked(smoke, run, ranked):
    rows = measures.scores(run, smoke, CPU, rerank=True)
    assert [row["reranked"] for row in rows] == [asked[2] for asked in ranked] == [False, True]
    for row, seed in zip(rows, (0, 1), strict=True):
        result = result_of(smoke, seed)
        for k in (1, 5, 10, 20, 50):
            assert row[f"rank-{k}"] == pytest.approx(100 * result.cmc[k - 1], abs=6e-4)
        assert row["mAP"] == pytest.approx(100 * np.nanmean(result.ap), abs=6e-4)
        assert row["mINP"] == pytest.approx(100 * np.nanmean(result.inp), abs=6e-4)
        assert row["mAP_trapezoid"] == pytest.approx(100 * np.nanmean(result.ap_trapezoid), abs=6e-4)
        assert (row["epochs"], row["descriptor"]) == (3, 24)
        assert row["parameters"] == cost.parameters(run.model)
    assert len(measures.scores(run, smoke, CPU, rerank=False)) == 1


def test_on_the_bench_the_time_is_that_of_the_baselines_network_times_the_ratio(smoke, run, ranked, monkeypatch):
    asked = []

    def latency(model, device, repeats):
        asked.append(model)
        return SimpleNamespace(median=6.0 if model is run.model else 1.5)

    monkeypatch.setattr(cost, "latency", latency)
    rows = measures.on_the_bench(run, smoke, CPU, rerank=True)
    assert [row.pop("time") for row in rows] == [4.0, 4.0]
    assert rows == measures.scores(run, smoke, CPU, rerank=True)
    assert {type(model).__name__ for model in asked} == {"ResidualPooling", "Classification"}
    assert asked[0] is not asked[1] and asked[0] is asked[2]  # in turns


def test_each_code_is_scored_alone_and_then_all_of_them_from_coarse_to_fine(smoke, monkeypatch):
    torch.manual_seed(0)
    fitted = []
    near = {64: 14, 32: 8, 16: 3}  # those of an untrained network let everything pass
    monkeypatch.setattr(measures, "fit_thresholds", lambda *training: fitted.append(training) or near)
    model = methods.coarse_to_fine("smoke", weights=None).network(12).eval()
    rows = measures.bits(SimpleNamespace(model=model), smoke, CPU, rerank=False)
    lengths = list(model.codes)
    assert [row["code"] for row in rows] == [*(f"{length} bits" for length in lengths), "coarse to fine"]
    assert [row["bits"] for row in rows] == [*lengths, sum(lengths)]
    assert [row["compared"] for row in rows[:-1]] == lengths
    assert min(lengths) < rows[-1]["compared"] < sum(lengths)
    [(images, pids, camids)] = fitted
    assert len(images[64]) == len(smoke.train) and pids.tolist() == [one.pid for one in smoke.train]
    assert camids.tolist() == [one.camid for one in smoke.train]
    labels = Protocol.of(smoke.query, smoke.gallery).arrays()
    for length, row in zip(lengths, rows, strict=False):
        query, gallery = (codes.extract(model, part, device=CPU)[length] for part in (smoke.query, smoke.gallery))
        result = rank_distances(codes.hamming(query, gallery), **labels, top=50)
        assert row["mAP"] == pytest.approx(100 * result.mAP, abs=6e-4)
        assert row["rank-50"] == pytest.approx(100 * result.rank(50), abs=6e-4)


def test_conditions_are_taken_from_the_whole_ranking(smoke, run, ranked):
    rows = pd.DataFrame(measures.by_condition(run, smoke, CPU, rerank=False)).set_index(["condition", "value"])
    assert ranked[0][3] == len(smoke.gallery)
    result = result_of(smoke, 0, top=len(smoke.gallery))
    hidden, turned = conditions.by_occlusion(result, smoke), conditions.by_angle(result, smoke, k=10)
    for name, row in hidden.iterrows():
        found = rows.loc[(measures.HIDDEN, name)]
        assert (found["count"], found["mAP"]) == (row["queries"], pytest.approx(row["mAP"], abs=6e-4))
    for name, row in turned.iterrows():
        found = rows.loc[(measures.TURNED, name)]
        assert (found["count"], found["found in 10"]) == (row["pairs"], pytest.approx(row["found in 10"], abs=6e-4))
    cameras = conditions.by_gallery_cameras(result)
    assert rows.loc[(measures.CAMERAS, "2"), "rank-1"] == pytest.approx(cameras.loc[2, "rank-1"], abs=6e-4)


def test_curves_are_losses_and_accuracies_in_percent(smoke, run):
    rows = measures.curves(run, smoke, CPU, rerank=False)
    assert rows == [{"epoch": 1, "loss": 3.0, "accuracy": 25.0}, {"epoch": 2, "loss": 2.0, "accuracy": 12.5}]
    assert all(isinstance(row["epoch"], int) for row in rows)


@pytest.mark.parametrize("queries", [7, 120, 500, 800])
def test_heat_is_of_the_trained_and_of_a_fresh_network_on_queries_from_all_over(run, queries, monkeypatch):
    asked = []

    def on_the_person(model, records, layer, target):
        asked.append((model, records, layer, target))
        heat = 0.3 if model is run.model else 0.2
        return pd.DataFrame({"heat": [heat, np.nan, heat + 0.1], "area": [0.1, 0.9, 0.3]})

    monkeypatch.setattr(gradcam, "on_the_person", on_the_person)
    bench, before = SimpleNamespace(query=list(range(queries))), torch.random.get_rng_state()
    rows = pd.DataFrame(measures.heat(run, bench, CPU, rerank=False))
    assert torch.equal(torch.random.get_rng_state(), before)
    looked_at = asked[0][1]
    assert len(looked_at) == min(queries, 120) and len(set(np.diff(looked_at))) == 1
    assert looked_at[0] == 0 and looked_at[-1] >= queries * 0.7
    assert len(rows) == 12 and not rows.duplicated(["network", "layer", "target"]).any()
    assert (rows["images"] == 2).all() and (rows["area"] == 20).all()
    assert rows.groupby("network")["heat"].first().round(3).to_dict() == {"trained": 35.0, "untrained": 25.0}
    torch.manual_seed(5)
    fresh = run.recipe.network(12).state_dict()
    other = next(model for model, *_ in asked if model is not run.model)
    assert all(torch.equal(value, fresh[name]) for name, value in other.state_dict().items())


def test_heat_is_of_a_networks_start_too_where_it_has_one(run, monkeypatch):
    asked = {}

    def on_the_person(model, records, layer, target):
        asked[id(model)] = model
        return pd.DataFrame({"heat": [0.3], "area": [0.1]})

    monkeypatch.setattr(gradcam, "on_the_person", on_the_person)
    begun = SimpleNamespace(**vars(run) | {"recipe": run.recipe.replace(weights="passersby")})
    rows = pd.DataFrame(measures.heat(begun, SimpleNamespace(query=list(range(7))), CPU, rerank=False))
    assert list(rows["network"].unique()) == ["trained", "untrained", "start"]
    first = [model.backbone.state_dict()["conv1.weight"] for model in asked.values()]
    start = passersby_weights(begun.recipe.backbone)["conv1.weight"]
    assert [torch.equal(weights, start) for weights in first] == [False, False, True]


def test_both_towns_are_asked_with_the_size_and_the_seed_of_the_data(run, monkeypatch):
    asked = []

    def evaluate(model, bench, device=None):
        asked.append((model, bench))
        return result_of(bench, len(asked))

    monkeypatch.setattr(measures.retrieval, "evaluate", evaluate)
    bench = data.passersby("smoke", seed=3)
    rows = pd.DataFrame(measures.domain(run, bench, CPU, rerank=False))
    assert [model for model, _ in asked] == [run.model, run.model]
    assert asked[0][1] is bench and asked[1][1].name == "Passersby coast smoke, seed 3"
    assert list(rows["town"]) == ["city", "coast"]
    for seed, row in enumerate(rows.itertuples(), start=1):
        assert row.mAP == pytest.approx(100 * result_of(asked[seed - 1][1], seed).mAP, abs=6e-4)
