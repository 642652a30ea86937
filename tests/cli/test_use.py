"""The user interface: one check at every door, side jobs that cost no answer, sentences that fit the case."""

import io
import json
import logging
import os
import shutil
import sys
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from reid_lab import course, data, demo, doctor, export, plots, retrieval, training
from reid_lab.analysis import conditions
from reid_lab.cli import main
from reid_lab.data import Record
from reid_lab.data.crops import crops as crops_below
from reid_lab.plots import galleries, sheets
from reid_lab.retrieval import Found, features
from reid_lab.runtime.errors import CheckpointError, DataError, DeviceError, NoMatchError, ReidLabError
from reid_lab.training import tensorboard


def shot(path, person, take=0):
    """A picture of a person in clothes of their own."""
    clothes = np.random.default_rng(person).integers(0, 255, (4, 2, 3))
    seen = clothes + np.random.default_rng([person, take]).integers(-20, 20, (4, 2, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(seen.clip(0, 255).astype(np.uint8)).resize((32, 64), 0).save(path)
    return path


def table(folder, rows, columns="path,pid,camid,split"):
    """A table, and the pictures that it names."""
    for row in rows:
        name, person = row.split(",")[:2]
        if "gone" not in name:
            shot(folder / name, int(person), sum(map(ord, name)))
    path = folder / "table.csv"
    path.write_text("\n".join([columns, *rows]))
    return path


GOOD = [f"{p}_{c}.png,{p},{c},{'query' if c == 1 else 'gallery'}" for p in (1, 2, 3) for c in (1, 2)]
BAD = {
    "finds itself": [f"{p}.png,{p},,{split}" for p in (1, 2, 3) for split in ("query", "gallery")],
    "one person": [f"{k}.png,1,{k},{split}" for k, split in enumerate(("query", "gallery", "gallery"), 1)],
    "train in test": [*GOOD, "1_3.png,1,3,train", "9_3.png,9,3,train"],
    "two identities": [*GOOD, "1_2.png,3,2,gallery"],
    "gone": [*GOOD, "gone.png,2,4,gallery"],
    "junk as query": [*GOOD, "4_1.png,-1,1,query".replace("4_1", "junk")],
}


@pytest.fixture
def run(smoke_run, tmp_path):
    """A run's folder of one's own."""
    return shutil.copytree(smoke_run.folder, tmp_path / "runs" / smoke_run.folder.name)


@pytest.mark.parametrize("kind", BAD)
def test_every_door_that_scores_refuses_data_whose_score_would_mislead(run, smoke_run, tmp_path, capsys, kind):
    path = tmp_path / "own" / "table.csv"
    path.parent.mkdir()
    rows = BAD[kind]
    for row in rows:
        if "gone" not in row:
            shot(path.parent / row.split(",")[0], abs(int(row.split(",")[1])), len(row))
    path.write_text("\n".join(["path,pid,camid,split", *rows]))
    bench = data.csv(path)
    errors = [finding.sentence for finding in bench.findings(read_images=False) if finding.level == "error"]
    assert errors
    assert main(["evaluate", str(run), "--data", str(path), "--device", "cpu"]) == 2
    printed = capsys.readouterr()
    assert all(sentence in printed.err for sentence in errors) and "--anyway" in printed.err and printed.out == ""
    for ask in (retrieval.evaluate, lambda *both: retrieval.verification(SimpleNamespace(verify=None), both[1])):
        with pytest.raises(DataError) as refused:
            ask(smoke_run.model, bench)
        assert errors[0] in str(refused.value)


def test_no_match_at_all_is_told_with_its_cause_before_any_image_is_read(smoke_run, tmp_path):
    bench = data.csv(table(tmp_path, [row for row in GOOD if row.endswith("query")] + ["8_2.png,8,2,gallery"]))
    (tmp_path / "8_2.png").write_bytes(b"no picture")
    with pytest.raises(NoMatchError, match="share no identity"):
        retrieval.evaluate(smoke_run.model, bench)


def test_a_score_can_be_had_all_the_same_with_the_errors_beside_it(run, tmp_path, capsys):
    path = table(tmp_path / "own", BAD["finds itself"])
    assert main(["evaluate", str(run), "--data", str(path), "--device", "cpu", "--anyway"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split()[0] == "100.0" and "[error] 3 images are both" in printed
    assert "[warning]" in printed


def test_the_check_is_asked_once_for_a_benchmark_and_not_where_the_caller_has(smoke_run, tmp_path, monkeypatch):
    bench, asked = data.csv(table(tmp_path, GOOD)), []
    monkeypatch.setattr(data.Benchmark, "check", lambda self, read_images: asked.append(read_images))
    retrieval.evaluate(smoke_run.model, bench, check=False)
    assert asked == []
    scores = [retrieval.evaluate(smoke_run.model, bench).mAP for _ in range(2)]
    assert asked == [False] and scores[0] == scores[1]


def test_training_tells_doubts_about_the_data_before_the_work(smoke_run, run, tmp_path, monkeypatch, capsys):
    rows = [f"{p}_{k}.png,{p},,{s}" for p, s in enumerate(("train", "train", "query", "query")) for k in (0, 1) if p]
    path = table(tmp_path / "own", rows)
    told = []
    monkeypatch.setattr(training, "fit", lambda *_, **__: told.append(capsys.readouterr().err) or training.load(run))
    assert main(["train", "multitask", "--size", "smoke", "--data", str(path)]) == 0
    assert "[warning]" in told[0] and "have no camera" in told[0]
    assert capsys.readouterr().out.strip().endswith(run.name)


@pytest.mark.parametrize("told", ["none", "3", r"k([0-9]+)"])
@pytest.mark.parametrize("door", [["check"], ["train", "multitask", "--data"], ["evaluate", "RUN", "--data"]], ids=str)
def test_every_command_that_reads_data_hands_on_what_was_told_of_cameras(run, smoke, monkeypatch, door, told):
    seen = []
    monkeypatch.setattr(data, "recognize", lambda path, cameras=None: seen.append(cameras) or ("folder", smoke))
    monkeypatch.setattr(training, "fit", lambda *_, **__: training.load(run))
    main([*[str(run) if word == "RUN" else word for word in door], "own", "--cameras", told])
    assert seen == [told]


def test_a_run_is_evaluated_with_the_cameras_that_it_was_trained_with(run, smoke, tmp_path, monkeypatch, capsys):
    own = tmp_path / "own"
    for p in range(1, 7):
        for k in range(2):
            shot(own / f"{p:03d}" / f"c1_{k}.png", p, k)
    bench = data.recognize(own, cameras="none")[1]
    about = json.loads((run / "environment.json").read_text())
    about |= {"data": bench.name, "data_root": str(bench.root), "data_digest": bench.digest}
    (run / "environment.json").write_text(json.dumps(about))
    evaluate = ["evaluate", str(run), "--device", "cpu"]
    assert main(evaluate) == 2
    assert f"--data {own}" in capsys.readouterr().err
    assert main([*evaluate, "--cameras", "none"]) == 0
    monkeypatch.setattr(training, "fit", lambda *_, **__: training.load(run))
    assert main(["train", "multitask", "--size", "smoke", "--data", str(own), "--cameras", "none"]) == 0
    assert main(evaluate) == 0
    moved = own.rename(tmp_path / "moved")
    assert main(evaluate) == 2
    assert "--data PATH" in capsys.readouterr().err
    assert main([*evaluate, "--data", str(moved)]) == 0  # as they were read for the training


def test_a_table_that_is_gone_is_missed_by_its_name(run, tmp_path, capsys):
    about = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps(about | {"data": "list", "data_root": str(tmp_path)}))
    assert main(["evaluate", str(run), "--device", "cpu"]) == 2
    assert f"The table {tmp_path / 'list'}.csv is not there" in capsys.readouterr().err


def test_cameras_without_data_of_ones_own_are_refused_with_the_cure(capsys):
    assert main(["train", "multitask", "--size", "smoke", "--cameras", "none"]) == 2
    assert "--data PATH" in capsys.readouterr().err


def ranked(printed):
    """The file names of a printed search, in order."""
    return [line.split()[1] for line in printed.splitlines() if line[:5].strip().isdigit()]


def search(run, query, gallery, *more):
    return main(
        [
            "search",
            str(run),
            *sum((["--query", str(one)] for one in query), []),
            "--gallery",
            str(gallery),
            "--device",
            "cpu",
            *more,
        ]
    )


def test_a_file_that_is_gone_gets_the_sentence_of_describe_from_search(run, tmp_path, capsys):
    crops = tmp_path / "crops"
    query = shot(crops / "1.png", 1)
    os.symlink("/moved/away.png", crops / "gone.png")
    assert search(run, [query], crops) == 2
    said = capsys.readouterr().err
    assert main(["embed", str(run), "--images", str(crops), "--out", str(tmp_path / "x.npz"), "--device", "cpu"]) == 2
    assert capsys.readouterr().err == said and "gone.png does not exist" in said
    with pytest.raises(DataError, match="gone.png does not exist"):
        retrieval.extract(training.load(run).model, crops_below(crops), cache=run)
    assert search(run, [crops / "gone.png"], crops) == 2
    assert "gone.png does not exist (it is a link to /moved/away.png)" in capsys.readouterr().err


COPIES = {
    "the same file": lambda query, gallery: query,
    "a link": lambda query, gallery: os.symlink(query, gallery / "copy.png"),
    "a second name": lambda query, gallery: os.link(query, gallery / "copy.png"),
    "the same bytes": lambda query, gallery: shutil.copy(query, gallery / "copy.png"),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_query_does_not_find_itself(run, tmp_path, capsys, kind):
    crops = tmp_path / "crops"
    query = shot((crops if kind == "the same file" else tmp_path) / "anna.png", 1)
    for person in (1, 2):
        shot(crops / f"other_{person}.png", person, take=5)
    COPIES[kind](query, crops)
    assert search(run, [query], crops, "--top", "1") == 0
    printed = capsys.readouterr().out
    assert len(ranked(printed)) == 1 and ranked(printed)[0].startswith("other")
    assert "left out: the query itself" in printed
    assert search(run, [query, query], crops, "--top", "9") == 0
    assert sorted(ranked(capsys.readouterr().out)) == ["other_1.png", "other_2.png"]  # and each query once


def test_a_gallery_that_holds_the_query_alone_has_nothing_to_show(run, tmp_path, capsys):
    query = shot(tmp_path / "crops" / "anna.png", 1)
    assert search(run, [query], tmp_path / "crops", "--picture", str(tmp_path / "found.png")) == 0
    printed = capsys.readouterr().out
    assert ranked(printed) == [] and "holds nothing else" in printed and (tmp_path / "found.png").is_file()


def test_what_must_not_be_found_takes_no_place_and_the_rest_stays_in_order():
    query, gallery = np.eye(3)[:2], np.random.default_rng(0).normal(size=(6, 3))
    whole = retrieval.search(query, gallery, 6)
    found = retrieval.search(query, gallery, 5, leave_out=[[whole.indices[0, 0], whole.indices[0, 3]], []])
    assert found.indices[0].tolist() == [*whole.indices[0, [1, 2, 4, 5]], -1] and np.isnan(found.scores[0, 4])
    assert found.indices[1].tolist() == whole.indices[1, :5].tolist()
    np.testing.assert_array_equal(found.scores[0, :4], whole.scores[0, [1, 2, 4, 5]])
    with pytest.raises(ReidLabError, match="leave_out is for 1 queries, and there are 2"):
        retrieval.search(query, gallery, 5, leave_out=[[]])


def test_pictures_of_one_size_and_other_bytes_are_not_the_same(tmp_path):
    records = [Record(tmp_path / f"{value}.bmp", 0) for value in (1, 2, 3)]
    for record in records:
        Image.new("RGB", (4, 8), (int(record.path.stem),) * 3).save(record.path)
    assert retrieval.itself(records[:1], records) == [[0]]
    assert retrieval.itself([Record(tmp_path / "gone.bmp", 0)], records) == [[]]


def full(path, writer):
    raise CheckpointError(f"Could not write {path}.") from OSError(28, "No space left on device")


def test_a_search_answers_where_its_descriptors_cannot_be_kept(run, tmp_path, monkeypatch, capsys, caplog):
    query = shot(tmp_path / "1.png", 1)
    shot(tmp_path / "crops" / "2.png", 2)
    monkeypatch.setattr(features, "write_whole", full)
    with caplog.at_level(logging.WARNING, "reid_lab"):
        assert search(run, [query], tmp_path / "crops") == 0
    assert ranked(capsys.readouterr().out) == ["2.png"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(run) in line and "No space left on device" in line and "\n" not in line


DAMAGE = {
    "another file": lambda file: file.write_bytes(b"half a file"),
    "other tensors": lambda file: save_file({"weights": torch.zeros(2)}, file),
    "fewer rows": lambda file: save_file({"features": torch.zeros(1, 96)}, file),
    "another type": lambda file: save_file({"features": torch.zeros(2, 96, dtype=torch.float16)}, file),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_descriptors_that_were_kept_badly_are_made_again(smoke_run, tmp_path, kind):
    records = [Record(shot(tmp_path / f"{p}.png", p), 0) for p in (1, 2)]
    made = retrieval.extract(smoke_run.model, records, cache=tmp_path / "kept")
    DAMAGE[kind](next((tmp_path / "kept").iterdir()))
    assert torch.equal(retrieval.extract(smoke_run.model, records, cache=tmp_path / "kept"), made)


def places(queries, top):
    return Found(np.zeros((queries, top), int), np.ones((queries, top), np.float32), "cosine similarity", 1.0)


@pytest.mark.parametrize(
    ("queries", "top", "shape", "said"),
    [
        (1, 50, (1, 50), ""),
        (1, 600, (1, 50), "the first 50 of 600 images of each"),
        (31, 4, (20, 4), "the first 20 of 31 queries"),
        (500, 10**4, (11, 50), "the first 11 of 500 queries, the first 50 of 10,000 images of each"),
    ],
)
def test_a_picture_holds_so_much_and_tells_what_it_leaves_out(queries, top, shape, said):
    assert sheets.left_out(queries, top) == said
    assert sheets.most(min(queries, 20), top) == shape


@pytest.fixture
def small(monkeypatch):
    """Figures that hold 6 rows of 5 pictures, 20 in all, of one pixel each."""
    monkeypatch.setattr(galleries, "_pixels", lambda record: np.zeros((1, 1, 3), np.uint8))
    for name, value in (("PLACES", 5), ("ROWS", 6), ("CELLS", 20)):
        monkeypatch.setattr(sheets, name, value)


@pytest.mark.parametrize(
    ("queries", "top", "cells", "said"),
    [
        (2, 3, 2 * 4, ""),
        (1, 600, 1 * 6, "; the first 5 of 600 images of each"),
        (70, 2, 6 * 3, "; the first 6 of 70 queries"),
        (70, 600, 3 * 6, "; the first 3 of 70 queries, the first 5 of 600 images of each"),
    ],
)
def test_a_picture_of_a_search_has_bounds_and_needs_no_layout(small, tmp_path, queries, top, cells, said):
    record = Record(tmp_path / "x.png", 0)
    figure = plots.found(places(queries, top), [record] * queries, [record])
    assert figure.get_layout_engine() is None and len(figure.axes) == cells
    assert figure.get_suptitle() == "rank and cosine similarity" + said


@pytest.fixture
def result(smoke_run, tmp_path):
    """Five queries and their rankings, cameras unknown."""
    rows = [f"{p}_{k}.png,{p},{split}" for p in range(1, 6) for k, split in enumerate(("query", "gallery", "gallery"))]
    bench = data.csv(table(tmp_path / "own", rows, "path,pid,split"))
    return retrieval.evaluate(smoke_run.model, bench, top=10)


def test_galleries_and_heat_maps_have_bounds_too(small, result):
    figure = plots.gallery(result, [0] * 300, top=10**9)
    assert len(figure.axes) == 3 * 6
    assert figure.get_suptitle() == "the first 3 of 300 queries, the first 5 of 10 images of each"
    figure = plots.gallery(result, 10**9, top=1)
    assert len(figure.axes) == 5 * 2 and figure.get_layout_engine() is None and figure.get_suptitle() == ""
    with pytest.raises(DataError, match="a figure can hold 6 images"):
        plots.heat_maps(result.gallery[:1] * 7, {"A": np.zeros((7, 2, 2))})


def test_a_contact_sheet_of_many_cameras_shows_the_first_and_says_so(small, tmp_path):
    train = [Record(tmp_path / f"{p}_{c}.png", p, c) for p in (1, 2) for c in [-1, *range(1, 400)]]
    figure = plots.contact_sheet(data.Benchmark("many", train, [], []), identities=10**9, per_camera=10**9)
    assert len(figure.axes) == 2 * 5 and figure.get_suptitle() == "the first 5 of 400 cameras"
    assert figure.axes[0].get_title(loc="left") == "camera unknown"


def test_an_unknown_camera_is_nobodys_own(result):
    titles = [cell.get_title() for cell in plots.gallery(result, queries=2).axes]
    assert not any("cam" in title for title in titles) and titles[0].startswith("query\nAP")


class Watched(io.StringIO):
    """A stream that knows whether all that was written has left it."""

    waiting = False

    def write(self, text):
        self.waiting = self.waiting or bool(text)
        return super().write(text)

    def flush(self):
        self.waiting = False


@pytest.mark.parametrize("door", ["search", "evaluate", "passersby"])
def test_a_picture_that_cannot_be_written_costs_nobody_the_answer(run, smoke, tmp_path, monkeypatch, capsys, door):
    query = shot(tmp_path / "1.png", 1)
    shot(tmp_path / "crops" / "2.png", 2)
    picture = str(tmp_path / "x.png")
    doors = {
        "search": ["search", str(run), "--query", str(query), "--gallery", str(tmp_path / "crops"), "--picture"],
        "evaluate": ["evaluate", str(run), "--device", "cpu", "--gallery"],
        "passersby": ["passersby", "--size", "smoke", "--sheet"],
    }
    out, waited = Watched(), []

    def save(figure, path):
        waited.append(out.waiting)
        full(path, None)

    for name in ("contact_sheet", "found", "gallery"):
        monkeypatch.setattr(plots, name, lambda *_: None)
    monkeypatch.setattr(plots, "save", save)
    monkeypatch.setattr(sys, "stdout", out)
    assert main([*doors[door], picture]) == 2
    assert waited == [False], "the answer must have left before the picture is drawn"
    assert {"search": "2.png", "evaluate": "rank-1", "passersby": "gallery"}[door] in out.getvalue()
    assert "Could not write" in capsys.readouterr().err


def test_a_photograph_is_not_overwritten_by_a_picture_and_a_picture_of_before_is(run, tmp_path, capsys):
    photo = shot(tmp_path / "anna.png", 1)
    shot(tmp_path / "crops" / "2.png", 2)
    before = photo.read_bytes()
    for option in (
        ["search", "RUN", "--query", str(photo), "--gallery", ".", "--picture"],
        ["evaluate", "RUN", "--gallery"],
    ):
        assert main([*option, str(photo)]) == 2
        assert "anna.png exists already, and reid_lab did not draw it" in capsys.readouterr().err
    assert photo.read_bytes() == before
    for _ in range(2):
        assert search(run, [photo], tmp_path / "crops", "--picture", str(tmp_path / "found.png")) == 0


def test_a_folder_without_crops_is_told_by_what_it_holds(run, tmp_path, capsys):
    query = shot(tmp_path / "1.png", 1)
    assert search(run, [query], query) == 2
    assert "is a file, and a folder of crops is needed" in capsys.readouterr().err
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "IMG_1.HEIC").write_bytes(b"....")
    assert search(run, [query], tmp_path / "phone") == 2
    assert "1 files that are not read (IMG_1.HEIC)" in capsys.readouterr().err
    shot(tmp_path / "phone" / "2.png", 2)
    assert search(run, [query], tmp_path / "phone") == 0
    assert "IMG_1.HEIC" in capsys.readouterr().out


def test_a_file_that_the_system_refuses_is_named_without_a_traceback(monkeypatch, capsys):
    def refusing(path, cameras=None):
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(data, "recognize", refusing)
    assert main(["check", "own"]) == 2
    assert "/secret could not be used: Permission denied" in capsys.readouterr().err


def test_the_demonstrations_table_comes_before_pictures_that_may_fail(smoke_run, smoke, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(training, "fit", lambda *_, **__: smoke_run)
    for name in ("contact_sheet", "curves", "gallery"):
        monkeypatch.setattr(plots, name, lambda *_: None)
    monkeypatch.setattr(plots, "save", lambda figure, path: full(path, None))
    with pytest.raises(CheckpointError):
        demo.demo("smoke", device="cpu", runs=tmp_path, say=said.append)
    assert "rank-1" in said[-1] and (tmp_path / "demo" / "table.csv").is_file()


def test_logs_for_tensorboard_that_fail_cost_no_training(tmp_path, monkeypatch, caplog):
    def refusing(folder, purge_step):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorboard, "tensorboard_writer", lambda: refusing)
    with caplog.at_level(logging.WARNING, "reid_lab"):
        tensorboard.write_tensorboard(tmp_path, {"epoch": 3, "loss": 1.0})
    assert "Epoch 3 is missing" in caplog.text and "No space left on device" in caplog.text


class Broken:
    """A package that is there and does not load."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise RuntimeError("built for another machine")


def test_a_package_that_does_not_load_is_not_called_missing(smoke_run, tmp_path, monkeypatch):
    names = ["torch.utils.tensorboard", "faiss", "onnx"]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(*names), *sys.meta_path])
    rows = np.eye(3)
    for error, ask in (
        (DeviceError, tensorboard.tensorboard_writer),
        (ReidLabError, lambda: retrieval.search(rows, rows, 1, index="Flat")),
        (ReidLabError, lambda: export.to_onnx(smoke_run, tmp_path / "x.onnx")),
    ):
        with pytest.raises(error, match=r"does not load \(built for another machine\)") as told:
            ask()
        assert "not installed" not in str(told.value)


def test_a_damaged_history_is_no_reason_to_train_again(run, capsys):
    (run / "history.csv").write_bytes(b"\xff\x00")
    with pytest.raises(CheckpointError, match=r"history\.csv is damaged .*Delete that file: the run loads without it"):
        training.load(run)
    assert main(["runs", "--runs", str(run.parent)]) == 0
    printed = capsys.readouterr().out
    assert "only history.csv is damaged" in printed and "train it again" not in printed
    (run / "history.csv").unlink()
    assert training.load(run).history.empty


def test_the_doctor_bears_a_check_that_fails_and_looks_at_both_folders(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path / "file" / "runs"))

    def broken(*_):
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "_computes", broken)
    monkeypatch.setattr(doctor, "details", broken)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "[ok] Python is" in printed
    assert "libcudart.so" in printed and "REID_LAB_RUNS" in printed and printed.count("[problem]") == 2


def test_what_a_check_found_before_an_answer_raised_is_kept(tmp_path, monkeypatch):
    def check(answer):
        yield "it must be even"
        raise TypeError("no number")

    monkeypatch.setattr(course, "solutions", lambda notebook: SimpleNamespace(check_double=check))
    answer = SimpleNamespace(__name__="double")
    assert course.verdict(answer, "01") == [
        "double: not yet, it must be even",
        "double: not yet, it raised TypeError: no number",
    ]


@pytest.mark.parametrize(
    ("command", "goes_on"), [(["check", "own"], False), (["demo", "--size", "smoke"], True)], ids=str
)
def test_only_what_is_resumed_is_said_to_go_on(monkeypatch, capsys, command, goes_on):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "recognize", interrupted)
    monkeypatch.setattr(demo, "demo", interrupted)
    assert main(command) == 130
    assert ("goes on where it stopped" in capsys.readouterr().err) == goes_on


def test_sets_of_many_cameras_are_as_many_as_can_be_looked_at():
    for cameras, k in ((range(6), 3), (range(60), 30), (range(60), 60), (range(101), 1)):
        sets = conditions._sets(cameras, k)
        assert len(sets) == min(comb(len(cameras), k), 100) == len(set(sets))
        assert all(len(set(one)) == k and set(one) <= set(cameras) for one in sets)
        assert sets == conditions._sets(cameras, k)
