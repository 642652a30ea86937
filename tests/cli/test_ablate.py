"""`reid-lab ablate`: what it would run, what it draws, what it refuses."""

import re

import pandas as pd
import pytest

from reid_lab.__main__ import main
from reid_lab.ablations import grids, pictures, run, statistics
from reid_lab.ablations.measures import RANKS
from reid_lab.runtime.errors import CheckpointError, TrainingError


def record(folder):
    """Three seeds of every pooling, as if they had been run."""
    about = {"epochs": 3, "descriptor": 96, "parameters": 1000, "minutes": 0.5, "data": "Passersby smoke", "threads": 1}
    about |= {"device": "a CPU", "precision": "bf16", "torch": "2", "reid_lab": "0", "date": "2026-01-02T03:04:05"}
    rows = [
        {"variant": label, "size": "smoke", "seed": seed, "run": f"residual_pooling-smoke-{place}{seed}", **about}
        | {f"rank-{k}": 10.0 + place + k for k in RANKS}
        | {name: 20.0 + 3 * max(place, 3) + (seed * place) % 3 for name in ("mAP", "mAP_trapezoid", "mINP")}
        for place, label in enumerate(grids.grid("pooling").variants("smoke"))
        for seed in range(3)
    ]
    folder.mkdir()
    pd.DataFrame(rows).to_csv(folder / "pooling.csv", index=False)


def ablate(*options, folder):
    return main(["ablate", *options, "--size", "smoke", "--out", str(folder), "--runs", str(folder / "runs")])


def test_a_dry_run_lists_the_runs_and_runs_nothing(smoke, tmp_path, capsys):
    assert ablate("losses", "--seeds", "1", "--dry-run", folder=tmp_path) == 0
    said = capsys.readouterr().out
    assert "4 of 4 runs are left; how long they take is not known" in said and said.count("to do") == 4
    assert not list(tmp_path.iterdir())


def test_what_is_recorded_is_drawn_and_judged_without_running_anything(tmp_path, capsys):
    folder = tmp_path / "figures"
    record(folder)
    assert ablate("pooling", "--draw", folder=folder) == 0
    said = capsys.readouterr().out
    rows = pd.read_csv(folder / "pooling.csv")
    verdicts = statistics.against("pooling", rows, "smoke")["verdict"]
    lines = [line for line in said.splitlines() if line.endswith("separated")]
    assert ["not separated" if "not separated" in line else "separated" for line in lines] == list(verdicts)
    assert len(lines) == 9 and len(set(verdicts)) == 2
    written = {path.name for path in folder.iterdir()}
    assert {"pooling.csv", "pooling-smoke.png", "cmc-smoke.png", "claims-smoke.csv", "claims-smoke.png"} <= written
    claims = pd.read_csv(folder / "claims-smoke.csv").set_index("claim")
    expected = statistics.difference(rows, "smoke", "residual", "average")
    assert f"{expected.points:+.1f}" in claims.loc["residual beats average pooling", "ours"]


def test_the_seeds_of_data_and_training_are_told_apart_and_drawn(tmp_path, capsys):
    """Montgomery's four looms as data sets: components of 6.96 and 1.90, as variances."""
    folder, looms = tmp_path / "figures", ([98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98])
    record(folder)
    about = pd.read_csv(folder / "pooling.csv").iloc[0].to_dict()
    rows = [
        about | {"variant": f"B, data {data}", "seed": seed, "run": f"{data}{seed}", "mAP": strength}
        for data, of_loom in enumerate(looms)
        for seed, strength in enumerate(of_loom)
    ]
    pd.DataFrame(rows).to_csv(folder / "seeds.csv", index=False)
    assert ablate("seeds", "--draw", folder=folder) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("B ")]
    assert {"95.4", "2.6", "1.4"} <= set(line.split())
    assert (folder / "seeds-smoke.png").is_file()


def test_tables_of_another_machine_are_merged(tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    record(here)
    record(there)
    whole = pd.read_csv(here / "pooling.csv")
    whole[whole["seed"] < 2].to_csv(here / "pooling.csv", index=False)
    assert ablate("pooling", "--draw", "--merge", str(there), folder=here) == 0
    merged = pd.read_csv(here / "pooling.csv")
    assert len(merged) == len(whole) and sorted(set(merged["seed"])) == [0, 1, 2]


def test_machines_that_recorded_different_grids_are_merged_with_one_command(tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    record(there)
    assert ablate("all", "--draw", "--merge", str(there), folder=here) == 0
    assert pd.read_csv(here / "pooling.csv").equals(pd.read_csv(there / "pooling.csv"))
    assert "heads: nothing is recorded" in capsys.readouterr().out


@pytest.mark.parametrize(("damage", "said"), [("size", "size 'huge'"), ("heat", "no column 'heat'"), (None, "be read")])
def test_nothing_is_merged_where_one_table_is_damaged(tmp_path, capsys, damage, said):
    here, one, other = (tmp_path / name for name in ("here", "one", "other"))
    record(one)
    record(other)
    rows = pd.read_csv(other / "pooling.csv").assign(network="trained", layer="layer4", target="", heat=1.0, area=1.0)
    rows = rows.assign(size="huge") if damage == "size" else rows.drop(columns="heat")
    (other / "gradcam.csv").write_text(rows.to_csv() if damage else "")
    assert ablate("pooling", "gradcam", "--draw", "--merge", str(one), "--merge", str(other), folder=here) == 2
    assert said in capsys.readouterr().err
    assert not here.exists()


def test_a_dry_run_merges_nothing(smoke, tmp_path):
    record(tmp_path / "there")
    assert ablate("pooling", "--dry-run", "--merge", str(tmp_path / "there"), folder=tmp_path / "here") == 2
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("column", ["run", "rank-1", "minutes", "device"])
def test_a_table_that_lost_a_column_is_named(tmp_path, capsys, column):
    folder = tmp_path / "figures"
    record(folder)
    pd.read_csv(folder / "pooling.csv").drop(columns=column).to_csv(folder / "pooling.csv", index=False)
    assert ablate("pooling", "--draw", folder=folder) == 2
    assert re.search(f"pooling.csv .*{column!r}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "said"), [(["--shard", "9"], "give K/N, such as 2/8"), (["--merge", "nowhere"], "no table losses.csv")]
)
def test_a_mistake_is_a_sentence(smoke, tmp_path, capsys, options, said):
    assert ablate("losses", "--draw", *options, folder=tmp_path) == 2
    assert said in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_costs_no_table_and_no_verdict(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise CheckpointError("Could not write the picture.")

    folder = tmp_path / "figures"
    record(folder)
    monkeypatch.setattr(pictures, "draw", full)
    assert ablate("pooling", "losses", "--draw", folder=folder) == 2
    printed = capsys.readouterr()
    assert "residual" in printed.out and "losses: nothing is recorded" in printed.out
    assert (folder / "claims-smoke.csv").is_file() and "Could not write the picture." in printed.err


def test_runs_that_failed_cost_no_table_of_the_others(tmp_path, capsys, monkeypatch):
    def failing(*_, **__):
        raise TrainingError("1 runs failed; the first: it was killed")

    folder = tmp_path / "figures"
    record(folder)
    monkeypatch.setattr(run, "run", failing)
    monkeypatch.setattr(pictures, "draw", lambda *_: [])
    assert ablate("pooling", folder=folder) == 2
    printed = capsys.readouterr()
    assert "residual" in printed.out and "it was killed" in printed.err


@pytest.mark.parametrize(
    ("size", "start", "setting"),
    [
        *(("smoke", "random", "smoke"), ("smoke", "passersby", "smoke-passersby")),
        *(("classroom", "random", "classroom-random"), ("classroom", "passersby", "classroom")),
        *(("full", "random", "full"), ("full", "imagenet", "full-imagenet")),
    ],
)
def test_a_start_is_named_in_the_size_where_it_is_not_the_usual_one(tmp_path, capsys, size, start, setting):
    options = ("--size", size, "--start", start, "--seeds", "1", "--dry-run", "--out", str(tmp_path))
    assert main(["ablate", "backbone", *options]) == 0
    said = capsys.readouterr().out
    assert said.count(f" {setting} ") == len(grids.grid("backbone").variants(setting))


@pytest.mark.parametrize(("size", "start"), [("smoke", "imagenet"), ("classroom", "imagenet"), ("full", "passersby")])
def test_a_start_that_the_networks_of_a_size_do_not_have_is_refused(tmp_path, capsys, size, start):
    assert main(["ablate", "pooling", "--start", start, "--size", size, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert size in said and start in said and not list(tmp_path.iterdir())


def test_a_grid_from_a_start_is_planned_under_its_own_size(smoke, tmp_path, capsys):
    assert ablate("pooling", "--start", "passersby", "--seeds", "1", "--dry-run", folder=tmp_path) == 0
    said = capsys.readouterr().out
    assert said.count("smoke-passersby") == len(grids.grid("pooling").variants("smoke-passersby"))


def test_all_asks_every_question_and_chooses_no_recipe(smoke, tmp_path, capsys):
    assert ablate("all", "--seeds", "1", "--dry-run", folder=tmp_path) == 0
    said = capsys.readouterr().out
    assert {name for name in grids.GRIDS if f"{name} " in said} == {n for n in grids.GRIDS if "tuning" not in n}


def test_what_is_recorded_from_a_start_is_shown_and_drawn_under_its_own_size(tmp_path, capsys):
    folder = tmp_path / "figures"
    record(folder)
    rows = pd.read_csv(folder / "pooling.csv").assign(size="smoke-passersby")
    rows.to_csv(folder / "pooling.csv", index=False)
    assert ablate("pooling", "--start", "passersby", "--draw", folder=folder) == 0
    assert "separated" in capsys.readouterr().out
    written = {path.name for path in folder.iterdir()}
    assert {"pooling-smoke-passersby.png", "claims-smoke-passersby.csv", "claims-smoke-passersby.png"} <= written
