import builtins
import io
import json
import shutil

import pandas as pd
import pytest
import torch

from reid_lab import methods
from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError
from reid_lab.runtime.files import lock
from reid_lab.training import load
from reid_lab.training import runs as shelf

NAMES = [f"residual_pooling-smoke-{digits}" for digits in ("00000000aa", "00000000ab", "00000000b0")]


@pytest.fixture
def runs(smoke_run, tmp_path):
    """Three finished runs that differ in nothing but their names."""
    for name in NAMES:
        shutil.copytree(smoke_run.folder, tmp_path / "runs" / name)
    return tmp_path / "runs"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def not_finished(folder, epochs):
    """As a run is that was killed after some epochs, half a minute each."""
    (folder / "result.json").unlink()
    (folder / "weights.safetensors").unlink()
    lines = (folder / "history.csv").read_text().splitlines()
    (folder / "history.csv").write_text("\n".join(lines[: epochs + 1]))
    about = {"recipe": {}, "history": epochs * [{}], "step": 0, "minutes": epochs / 2, "threads": 1}
    checkpoint.write(folder / "checkpoint.safetensors", {"model.x": torch.zeros(1)}, about)


def test_a_shelf_tells_what_each_finished_run_is_and_reached(runs, smoke_run):
    table = shelf.table(runs)
    assert list(table.index) == NAMES and list(table.columns) == list(shelf.COLUMNS)
    row = table.loc[NAMES[0]]
    assert (row["method"], row["size"], row["state"], row["seed"]) == ("residual_pooling", "smoke", "finished", 0)
    assert row["rank-1"] == pytest.approx(100 * smoke_run.result["rank-1"])
    assert row["mAP"] == pytest.approx(100 * smoke_run.result["mAP"])
    assert row["minutes"] == smoke_run.result["minutes"]
    assert (row["data"], row["device"]) == (smoke_run.environment["data"], smoke_run.environment["device"])
    assert smoke_run.environment["date"].startswith(row["date"].replace(" ", "T"))


def test_an_unfinished_run_says_how_far_it_has_come(runs):
    not_finished(runs / NAMES[1], epochs=2)
    row = shelf.table(runs).loc[NAMES[1]]
    assert row["state"] == "epoch 2 of 3"
    assert row["minutes"] == 1.0
    assert pd.isna(row["rank-1"])


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", ["recipe.json", "environment.json", "weights.safetensors", "result.json"])
@pytest.mark.parametrize("harm", [cut, lambda path: path.write_bytes(b"\xff\x00"), lambda path: path.write_bytes(b"")])
def test_a_damaged_run_is_a_row_that_names_the_file(runs, name, harm):
    harm(runs / NAMES[0] / name)
    table = shelf.table(runs)
    assert table.loc[NAMES[0], "state"] == f"damaged: {name}"
    assert table.loc[NAMES[1], "state"] == "finished"


@pytest.mark.parametrize("name", ["recipe.json", "environment.json", "weights.safetensors"])
def test_a_run_that_lost_a_file_is_a_row_that_names_it(runs, name):
    (runs / NAMES[0] / name).unlink()
    assert shelf.table(runs).loc[NAMES[0], "state"] == f"damaged: {name}"


def test_values_of_the_wrong_kind_are_damage_too(runs):
    change(runs / NAMES[0] / "result.json", mAP="much")
    change(runs / NAMES[1] / "environment.json", seed=None)
    (runs / NAMES[2] / "result.json").write_text("[1, 2]")
    states = list(shelf.table(runs)["state"])
    assert states == ["damaged: result.json", "damaged: environment.json", "damaged: result.json"]


def forbid(monkeypatch, path):
    """Root, whom tests often are, may read everything."""
    opened = io.open

    def refusing(file, *options, **more):
        if file == path:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(file, *options, **more)

    for place in (io, builtins):
        monkeypatch.setattr(place, "open", refusing)


@pytest.mark.parametrize(
    "name", ["recipe.json", "environment.json", "history.csv", "weights.safetensors", "result.json"]
)
def test_a_file_that_may_not_be_read_is_not_called_damaged_nor_to_be_deleted(runs, monkeypatch, name):
    forbid(monkeypatch, runs / NAMES[0] / name)
    assert shelf.table(runs).loc[NAMES[0], "state"] == f"unreadable: {name}"
    with pytest.raises(CheckpointError, match=f"unreadable: {name}"):
        shelf.compare([runs / NAMES[0], runs / NAMES[1]])
    with pytest.raises(CheckpointError, match=f"{name} .*owner"):
        load(runs / NAMES[0])


def test_a_damaged_checkpoint_is_seen_before_somebody_resumes_from_it(runs):
    not_finished(runs / NAMES[0], epochs=1)
    cut(runs / NAMES[0] / "checkpoint.safetensors")
    assert shelf.table(runs).loc[NAMES[0], "state"] == "damaged: checkpoint.safetensors"


def test_an_empty_folder_with_a_runs_name_is_damaged_and_other_folders_are_no_runs(runs):
    (runs / "multitask-full-0123456789").mkdir()
    (runs / "demo").mkdir()
    (runs / "demo" / "table.csv").write_text("a,b")
    (runs / ".hidden").mkdir()
    table = shelf.table(runs)
    assert list(table.index) == ["multitask-full-0123456789", *NAMES]
    assert table["state"].iloc[0].startswith("damaged: recipe.json")


def test_a_folder_that_is_not_there_holds_no_runs(tmp_path):
    table = shelf.table(tmp_path / "none")
    assert table.empty and list(table.columns) == list(shelf.COLUMNS)


def test_a_run_is_found_by_the_beginning_of_its_name(runs):
    assert shelf.find("residual_pooling-smoke-00000000b", runs) == runs / NAMES[2]
    (runs / (NAMES[2] + "-copy")).mkdir()
    (runs / (NAMES[2] + "-copy") / "recipe.json").touch()
    assert shelf.find(NAMES[2], runs) == runs / NAMES[2]  # a whole name is no abbreviation


@pytest.mark.parametrize(("name", "said"), [("residual", "3 .*00000000aa"), ("multi", "multi"), ("", "''")])
def test_a_name_of_no_run_or_of_several_is_refused(runs, name, said):
    with pytest.raises(CheckpointError, match=said):
        shelf.find(name, runs)


def test_a_name_that_leads_out_of_the_folder_is_no_name(runs, tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"'\.\.'"):
        shelf.find("..", runs)
    assert shelf.find(str(tmp_path / "elsewhere"), runs) == tmp_path / "elsewhere"  # given explicitly


def test_a_comparison_shows_what_differs_and_all_results(runs, smoke_run):
    other = runs / NAMES[1]
    (other / "recipe.json").write_text(smoke_run.recipe.replace(erasing=0.25, milestones=(1, 2)).to_json())
    change(other / "environment.json", seed=5, torch="0.0", data_root="/elsewhere")
    change(other / "result.json", mAP=0.5)
    table = shelf.compare([runs / NAMES[0], other])
    assert list(table.columns) == NAMES[:2]
    assert table.loc[("recipe", "erasing")].tolist() == [smoke_run.recipe.erasing, 0.25]
    assert table.loc[("recipe", "milestones")].tolist() == [(), (1, 2)]
    assert table.loc[("run", "seed")].tolist() == [0, 5]
    assert table.loc[("result", "mAP")].tolist() == [pytest.approx(100 * smoke_run.result["mAP"]), 50]
    told = {field for field in table.index if field[0] != "result"}
    assert told == {("recipe", "erasing"), ("recipe", "milestones"), ("run", "seed"), ("environment", "torch")}
    assert {field for part, field in table.index if part == "result"} == {"state", *smoke_run.result}


def test_other_data_of_the_same_name_is_a_difference(runs):
    change(runs / NAMES[1] / "environment.json", data_digest="f" * 64)
    assert ("data", "digest") in shelf.compare([runs / NAMES[0], runs / NAMES[1]]).index


def test_methods_are_compared_although_they_have_other_fields(runs):
    (runs / NAMES[1] / "recipe.json").write_text(methods.multitask("smoke").to_json())
    table = shelf.compare([runs / NAMES[0], runs / NAMES[1]])
    assert table.loc[("recipe", "method")].tolist() == ["residual_pooling", "multitask"]
    assert table.loc[("recipe", "pairs")].tolist() == ["", methods.multitask("smoke").pairs]
    assert table.loc[("recipe", "pooling")].tolist() == ["residual", ""]


def test_an_unfinished_run_is_compared_as_far_as_it_is(runs):
    not_finished(runs / NAMES[1], epochs=1)
    table = shelf.compare([runs / NAMES[0], runs / NAMES[1]])
    assert table.loc[("result", "state")].tolist() == ["finished", "epoch 1 of 3"]
    assert table.loc[("result", "mAP")].tolist()[1] == ""


def test_runs_of_one_name_in_two_folders_are_told_apart(runs, tmp_path):
    copy = shutil.copytree(runs / NAMES[0], tmp_path / "more" / NAMES[0])
    assert list(shelf.compare([runs / NAMES[0], copy]).columns) == [str(runs / NAMES[0]), str(copy)]


def test_one_run_or_a_damaged_one_is_not_compared(runs):
    with pytest.raises(CheckpointError, match="two"):
        shelf.compare([runs / NAMES[0], runs / NAMES[0]])
    cut(runs / NAMES[1] / "result.json")
    with pytest.raises(CheckpointError, match=f"{NAMES[1]} .*damaged: result.json"):
        shelf.compare([runs / NAMES[0], runs / NAMES[1]])


def test_a_run_that_is_not_there_is_not_called_damaged(runs, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        shelf.compare([runs / NAMES[0], tmp_path / "nowhere"])


def test_a_deleted_run_leaves_nothing_and_the_others_as_they_were(runs):
    with lock(runs / NAMES[0]):
        pass  # as training leaves the lock's file
    shelf.delete(runs / NAMES[0])
    assert sorted(path.name for path in runs.iterdir()) == NAMES[1:]


def test_a_run_that_another_process_holds_is_not_deleted(runs):
    with lock(runs / NAMES[0]), pytest.raises(CheckpointError, match=NAMES[0]):
        shelf.delete(runs / NAMES[0])
    assert (runs / NAMES[0] / "result.json").is_file()


def test_a_folder_that_is_no_run_is_not_deleted(runs, tmp_path):
    (runs / NAMES[0] / "recipe.json").unlink()
    for folder in (runs / NAMES[0], runs, tmp_path / "none"):
        with pytest.raises(CheckpointError, match=folder.name):
            shelf.delete(folder)
    assert (runs / NAMES[0] / "result.json").is_file() and (runs / NAMES[1] / "recipe.json").is_file()


def test_what_a_link_leads_to_is_not_deleted(runs, tmp_path):
    outside = (runs / NAMES[0]).rename(tmp_path / "outside")
    (runs / NAMES[0]).symlink_to(outside)
    with pytest.raises(CheckpointError, match=f"{NAMES[0]} is a link"):
        shelf.delete(runs / NAMES[0])
    assert (outside / "recipe.json").is_file()


def test_a_deletion_that_fails_says_what_is_left(runs, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shelf.shutil, "rmtree", refused)
    with pytest.raises(CheckpointError, match="deleted: Permission denied"):
        shelf.delete(runs / NAMES[0])
    assert list(shelf.table(runs).index) == NAMES[1:]
