"""Grids: what is recorded is not run again, what is interrupted goes on."""

import dataclasses
import json
import signal

import pandas as pd
import pytest
import torch

from reid_lab.ablations import grids, measures, pictures, run, statistics, tables
from reid_lab.ablations import plan as planning
from reid_lab.cli import experiments as experiments_command
from reid_lab.methods import residual_pooling
from reid_lab.runtime.errors import DataError, DeviceError, RecipeError, TrainingError, WorkerError

SHORT = dict(epochs=1, evaluate_every=0)


def recipe(**fields):
    return residual_pooling("smoke", **SHORT | fields)


@pytest.fixture
def grid(monkeypatch):
    """Two variants, one of which is re-ranked, too."""
    small = grids.Grid(
        "small", "Small", "here", lambda size: {"wide": recipe(), "narrow": recipe(dim=16)}, "wide", "", ("narrow",)
    )
    monkeypatch.setitem(grids.GRIDS, "small", small)
    return small


def row(variant="wide", seed=0, **fields):
    metrics = dict.fromkeys([*(f"rank-{k}" for k in (1, 5, 10, 20, 50)), "mAP", "mAP_trapezoid", "mINP"], 5.0)
    rest = {"epochs": 1, "descriptor": 96, "parameters": 10, "minutes": 0.5, "run": f"residual_pooling-smoke-{seed}"}
    return {"variant": variant, "size": "smoke", "seed": seed, **metrics, **rest, **fields}


def found(**fields):
    """What is measured of a job."""
    return {name: value for name, value in row(**fields).items() if name not in tables.KEYS}


@pytest.fixture
def nothing_is_trained(monkeypatch):
    monkeypatch.setattr(run, "train_and_measure", None)  # would raise if anything were run


def test_a_grid_is_run_recorded_and_not_run_again_and_a_job_that_fails_is_named(grid, smoke, tmp_path, monkeypatch):
    three = dataclasses.replace(grid, variants=lambda size: {"bad": recipe(identities=500), **grid.variants(size)})
    monkeypatch.setitem(grids.GRIDS, "small", three)
    bad, *wanted = run.jobs(three, "smoke", [0])
    options = dict(device="cpu", runs=tmp_path / "runs", folder=tmp_path)
    assert list(planning.plan([bad, *wanted], tmp_path, tmp_path / "runs")["state"]) == ["to do"] * 3
    with pytest.raises(TrainingError, match="small: bad, seed 0: .*500"):
        run.run([bad, *wanted], workers=2, **options)  # in two processes
    rows = tables.read("small", tmp_path)
    assert list(rows["variant"]) == ["wide", "narrow", "narrow, re-ranked"]
    assert rows["run"].nunique() == 2 and (rows["epochs"] == 1).all() and (rows["data"] == smoke.name).all()
    assert rows["mAP"].between(0, 100).all() and rows["mAP"].iloc[1] != rows["mAP"].iloc[2]
    assert rows["parameters"].iloc[0] > rows["parameters"].iloc[1]
    assert list(rows["descriptor"]) == [96, 48, 48]
    result = json.loads(next((tmp_path / "runs").glob(f"{rows['run'].iloc[0]}/result.json")).read_text())
    assert rows["mAP"].iloc[0] == pytest.approx(100 * result["mAP"], abs=1e-3)
    plan = planning.plan([*wanted, bad], tmp_path, tmp_path / "runs")
    assert list(plan["state"]) == ["recorded", "recorded", "to do"] and list(plan["minutes"])[:2] == [0, 0]

    (tmp_path / "small.csv").unlink()  # one process finds the trained runs, and measures the same
    assert run.run(wanted, workers=1, **options) == 0
    assert tables.read("small", tmp_path).equals(rows)
    monkeypatch.setattr(run, "train_and_measure", None)  # would raise if anything were run
    assert run.run(wanted, workers=1, **options) == 0


def test_a_killed_process_costs_only_what_it_had_in_progress(grid, smoke, tmp_path, monkeypatch):
    def killed_at_the_second(work, orders, workers, **_):
        yield work(orders[0])
        raise WorkerError("A worker process ended early.")

    monkeypatch.setattr(run, "train_and_measure", lambda *_: [found()])
    monkeypatch.setattr(run, "ordered_map", killed_at_the_second)
    with pytest.raises(WorkerError):
        run.run(run.jobs(grid, "smoke", [0]), device="cpu", runs=tmp_path / "runs", folder=tmp_path, workers=2)
    assert list(tables.read("small", tmp_path)["variant"]) == ["wide"]


def test_variants_named_by_a_number_are_recorded_like_others(tmp_path):
    wanted = run.jobs(grids.grid("erasing"), "smoke", [0])[:3]
    for job in wanted:
        tables.add("erasing", run.rows_of(job, [found()]), tmp_path)
    assert list(tables.read("erasing", tmp_path)["variant"]) == ["0.0", "0.5", "1.0"]
    assert run.missing(wanted, tmp_path) == []


@pytest.mark.parametrize("rerank", [False, True])
def test_a_run_that_another_grid_has_recorded_is_taken_from_there(
    grid, smoke, tmp_path, monkeypatch, nothing_is_trained, rerank
):
    again = ("same",) if rerank else ()
    other = grids.Grid("other", "Other", "here", lambda size: {"same": recipe()}, "same", "", again)
    monkeypatch.setitem(grids.GRIDS, "other", other)
    (job,) = run.jobs(other, "smoke", [0])
    name = job.folder(tmp_path).name
    rows = [row(run=name, mAP=12.5), row("wide, re-ranked", run=name, mAP=20.5)]
    pd.DataFrame(rows).to_csv(tmp_path / "small.csv", index=False)
    assert run.run([job], device="cpu", runs=tmp_path / "runs", folder=tmp_path, workers=1) == 0
    first, *second = tables.read("other", tmp_path).to_dict("records")
    assert (first["variant"], first["mAP"], first["run"]) == ("same", 12.5, name)
    assert [(one["variant"], one["mAP"]) for one in second] == [("same, re-ranked", 20.5)] * rerank


@pytest.fixture
def crossed(monkeypatch):
    """The recipe "wide" of the grid "small", on the data of two seeds."""
    variants = {"B, data 0": recipe(), "B, data 1": recipe()}
    crossed = dataclasses.replace(grids.GRIDS["seeds"], variants=lambda size: variants)
    monkeypatch.setitem(grids.GRIDS, "seeds", crossed)
    return crossed


def test_where_training_and_data_have_one_seed_the_run_is_that_of_the_other_grids(
    grid, crossed, smoke, tmp_path, monkeypatch
):
    small = {job.seed: job.folder(tmp_path).name for job in run.jobs(grid, "smoke", [0, 1]) if job.variant == "wide"}
    pd.DataFrame([row(run=small[0], mAP=10.5), row(seed=1, run=small[1], mAP=11.5)]).to_csv(
        tmp_path / "small.csv", index=False
    )
    trained = []
    monkeypatch.setattr(run, "train_and_measure", lambda job, *_: trained.append(job) or [found(mAP=7.0)])
    wanted = run.jobs(crossed, "smoke", [0, 1])
    assert run.run(wanted, device="cpu", runs=tmp_path / "runs", folder=tmp_path, workers=1) == 0
    assert [(job.data_seed, job.seed) for job in trained] == [(1, 0), (0, 1)]
    recorded = tables.read("seeds", tmp_path).set_index(["variant", "seed"])["mAP"].to_dict()
    assert recorded == {
        **{("B, data 0", 0): 10.5, ("B, data 0", 1): 7.0, ("B, data 1", 0): 7.0, ("B, data 1", 1): 11.5},
    }


def test_a_training_uses_the_data_that_its_label_names(crossed, smoke, tmp_path):
    """The run's own record says which seed and which data, and a plan finds it as trained."""
    (_, wanted) = run.jobs(crossed, "smoke", [0])
    (row,) = run.train_and_measure(wanted, "cpu", tmp_path)
    environment = json.loads((tmp_path / row["run"] / "environment.json").read_text())
    assert (row["data"], environment["seed"]) == ("Passersby smoke, seed 1", 0)
    plan = planning.plan([wanted], tmp_path, tmp_path)
    assert (plan["run"][0], plan["state"][0], plan["seed"][0]) == (row["run"], "trained", 0)


def test_a_run_that_is_recorded_without_its_re_ranked_row_is_measured_again(grid, smoke, tmp_path, monkeypatch):
    job = run.jobs(grid, "smoke", [0])[1]
    other = grids.Grid("other", "Other", "here", lambda size: {"same": job.recipe}, "same", "")
    monkeypatch.setitem(grids.GRIDS, "other", other)
    pd.DataFrame([row("same", run=job.folder(tmp_path).name)]).to_csv(tmp_path / "other.csv", index=False)
    assert job.rerank and not run._take_from_other_grids(job, tmp_path, tmp_path)


def test_a_grid_that_runs_out_of_time_leaves_the_rest_and_goes_on(grid, smoke, tmp_path, monkeypatch):
    wanted = run.jobs(grid, "smoke", [0])
    options = dict(device="cpu", runs=tmp_path / "runs", folder=tmp_path, workers=1)
    assert run.run(wanted, minutes=0.001, **options) == 2
    assert not (tmp_path / "small.csv").exists()
    monkeypatch.setattr(run, "train_and_measure", lambda *_: [found()])
    assert run.run(wanted[:1], minutes=10, **options) == 0
    assert list(planning.plan(wanted, tmp_path, tmp_path / "runs")["state"])[0] == "recorded"


def test_ctrl_c_is_no_deadline(grid, smoke, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "train_and_measure", lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        options = dict(device="cpu", runs=tmp_path / "runs", folder=tmp_path, workers=1)
        run.run(run.jobs(grid, "smoke", [0]), minutes=10, **options)


@pytest.mark.parametrize(("text", "said"), [("", ""), ("variant,seed\nmax,0\n", "'size'")])
def test_a_damaged_table_is_named_with_what_it_lacks(tmp_path, text, said):
    (tmp_path / "pooling.csv").write_text(text)
    with pytest.raises(DataError, match=f"pooling.csv.*{said}"):
        tables.read("pooling", tmp_path)


@pytest.mark.parametrize(("gigabytes", "at_once"), [(8, 1), (40, 2), (80, 4), (141, 4)])
def test_a_small_gpu_is_shared_by_fewer_runs(monkeypatch, gigabytes, at_once):
    monkeypatch.setattr(run, "find_device", lambda name: torch.device("cuda:0"))
    monkeypatch.setattr(run, "memory", lambda device: (gigabytes * 2**30, 2**40))  # free, total
    assert run._gpu_holds("cuda") == at_once


def test_a_gpu_is_asked_in_another_process(monkeypatch):
    """There, nothing is changed: the other process says that this machine has no such GPU."""
    monkeypatch.setattr(run, "seen", lambda: torch.device("cuda:99"))
    monkeypatch.setattr(run, "find_device", None)
    with pytest.raises(DeviceError, match="cuda:99"):
        run.runs_at_once("cuda:99")
    assert run.runs_at_once("cpu") == torch.get_num_threads()


def test_a_plan_makes_no_data(grid, tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))
    plan = planning.plan(run.jobs(grid, "smoke", [7]), tmp_path, tmp_path / "runs")
    assert list(plan["state"]) == ["to do"] * 2 and list(plan["run"]) == ["", ""]
    assert not (tmp_path / "home").exists()


def test_a_plan_makes_no_data_either_where_the_seed_of_the_training_has_data(crossed, smoke, tmp_path):
    wanted = dataclasses.replace(run.jobs(crossed, "smoke", [0])[0], data_seed=77)
    assert planning.plan([wanted], tmp_path, tmp_path)["run"].tolist() == [""]


def test_the_estimate_is_what_recorded_runs_took(grid, smoke, tmp_path):
    rows = [row(minutes=0.5), row(seed=1, minutes=1.5)]
    pd.DataFrame(rows).to_csv(tmp_path / "small.csv", index=False)
    plan = planning.plan(run.jobs(grid, "smoke", [0]), tmp_path, tmp_path / "runs")
    assert list(plan["minutes"]) == [0.0, 1.0]


def test_shards_share_the_jobs_out_and_merge_puts_them_together():
    wanted = run.jobs(grids.grid("pooling"), "classroom", [0, 1])
    shares = [run.shard(wanted, f"{k}/4") for k in (1, 2, 3, 4)]
    assert sorted(job.name for share in shares for job in share) == sorted(job.name for job in wanted)
    assert run.shard(wanted, None) == wanted
    for wrong in ("0/4", "5/4", "2", "a/b", "²/8"):
        with pytest.raises(RecipeError, match="K/N"):
            run.shard(wanted, wrong)
    one, other = pd.DataFrame([row(mAP=1.0), row(seed=1)]), pd.DataFrame([row(mAP=2.0), row("narrow")])
    together = tables.merge("pooling", [one, pd.DataFrame(), other])
    assert len(together) == 3 and together.set_index(["variant", "seed"]).loc[("wide", 0), "mAP"] == 1.0


def test_rows_stand_in_the_grids_own_order(grid, tmp_path):
    for variant, seed in (("narrow", 1), ("wide", 1), ("narrow", 0), ("wide", 0)):
        job = next(job for job in run.jobs(grid, "smoke", [seed]) if job.variant == variant)
        tables.add("small", run.rows_of(job, [found(reranked=False)]), tmp_path)
    rows = tables.read("small", tmp_path)
    assert list(zip(rows["variant"], rows["seed"], strict=True)) == [
        ("wide", 0),
        ("wide", 1),
        ("narrow", 0),
        ("narrow", 1),
    ]


SIZES = ("smoke", "classroom", "classroom-random", "full")
TUNING = [name for name, grid in grids.GRIDS.items() if grid.split == "validation"]  # asked of a start alone
ASKED = [(name, size) for name in grids.GRIDS if name not in TUNING for size in SIZES]


@pytest.mark.parametrize(("name", "size"), [*ASKED, *((name, "classroom") for name in TUNING)])
def test_every_grid_compares_different_recipes_with_a_reference(name, size):
    variants = grids.grid(name).variants(size)
    runs = {(job.recipe.to_json(), job.data_seed) for job in run.jobs(grids.grid(name), size, [0])}
    assert len(runs) == len(variants)
    assert set(grids.grid(name).reranked) <= set(variants)
    assert grids.grid(name).compared_with(size) in variants


def test_controls_of_equal_size_are_of_equal_size():
    variants = grids.grid("pooling").variants("classroom")
    counts = {
        label: sum(p.numel() for p in variants[label].network(10).parameters())
        for label in ("residual", "average + average", "max + max", "max + average")
    }
    assert len(set(counts.values())) == 1


def test_an_unknown_grid_is_refused():
    with pytest.raises(RecipeError, match="'pools'.*pooling"):
        grids.grid("pools")


@pytest.mark.parametrize("name", ["conditions", "gradcam", "curves", "domain"])
def test_measures_with_several_rows_are_recorded_and_drawn(smoke, tmp_path, monkeypatch, name):
    whole = grids.GRIDS[name]
    some = {label: whole.variants("smoke")[label].replace(**SHORT) for label in list(whole.variants("smoke"))[-2:]}
    monkeypatch.setitem(grids.GRIDS, name, dataclasses.replace(whole, variants=lambda size: some))
    monkeypatch.setattr(measures, "LOOKED_AT", 6)
    wanted = run.jobs(grids.GRIDS[name], "smoke", [0])
    for job in wanted:  # in this process, for speed
        measured = run.rows_of(job, run.train_and_measure(job, "cpu", tmp_path / "runs"))
        tables.add(name, measured, tmp_path)
        tables.add(name, measured, tmp_path)  # twice: nothing is doubled
    rows = tables.read(name, tmp_path)
    keys = [*tables.KEYS, *whole.several]
    assert len(rows) == len(rows.drop_duplicates(keys)) == 2 * len(measured)
    assert not run.missing(wanted, tmp_path)
    if name == "gradcam":
        assert set(rows["network"]) == {"trained", "untrained"} and rows["images"].max() <= 6
        assert rows["heat"].dropna().between(0, 100).all() and (rows["images"] > 0).any()
    elif name == "curves":
        assert list(rows["epoch"]) == [1, 1] and rows["accuracy"].between(0, 100).all()
    elif name == "domain":
        assert set(rows["town"]) == {"city", "coast"} and rows["mAP"].between(0, 100).all()
    else:
        assert set(rows["condition"]) == {measures.HIDDEN, measures.TURNED, measures.CAMERAS}
        by_cameras = rows[rows["condition"] == measures.CAMERAS]
        assert sorted(set(by_cameras["value"])) == [str(k) for k in range(1, 1 + by_cameras["value"].nunique())]
    assert pictures.draw(name, rows, "smoke", tmp_path) == [tmp_path / f"{name}-smoke.png"]
    assert "2 runs, size smoke, seeds 0" in pictures.provenance(rows, "smoke")
    assert (statistics.means(name, rows, "smoke")["seeds"] == 1).all()


def test_the_command_line_offers_every_grid():
    assert list(experiments_command.NAMES) == list(grids.GRIDS)
