"""`reid-lab check`, `train` and `evaluate`: data that would mislead, data that are gone, how cameras were read."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from shots import shot, table

from reid_lab import data, retrieval, training
from reid_lab.cli import data_of_run, main
from reid_lab.runtime.errors import DataError, NoMatchError


def test_check_of_a_good_folder_ends_with_status_0(smoke, capsys):
    assert main(["check", str(smoke.root)]) == 0
    printed = capsys.readouterr().out
    assert "passersby" in printed.splitlines()[0].lower()
    assert "Ready to use." in printed


def test_check_of_a_broken_folder_ends_with_status_1(smoke, tmp_path, capsys):
    copy = shutil.copytree(smoke.root, tmp_path / "copy")
    culprit = next((copy / "query").glob("*.png"))
    culprit.write_bytes(b"")
    assert main(["check", str(copy)]) == 1
    printed = capsys.readouterr().out
    assert "[error]" in printed and culprit.name in printed


def test_train_then_evaluate_gives_the_recorded_scores(smoke, tmp_path, capsys):
    runs = ["--runs", str(tmp_path), "--device", "cpu"]
    assert (
        main(["train", "residual_pooling", "--size", "smoke", "--set", "pooling=max", "--set", "epochs=1", *runs]) == 0
    )
    printed = capsys.readouterr().out
    folder = Path(printed.strip().splitlines()[-1])
    assert '"pooling": "max"' in (folder / "recipe.json").read_text()
    assert main(["evaluate", str(folder), "--device", "cpu", "--gallery", str(tmp_path / "gallery.png")]) == 0
    score = capsys.readouterr().out.splitlines()[1].split()
    assert f"rank-1 {float(score[0]):.1f} %" in printed
    assert (tmp_path / "gallery.png").read_bytes()[:4] == b"\x89PNG"


def relative_csv(smoke, folder):
    """A table beside copies of the images."""
    shutil.copytree(smoke.root, folder / "images")
    lines = ["path,pid,camid,split"]
    for split, records in smoke.splits.items():
        lines += [f"images/{smoke.relative(r)},{r.pid},{r.camid},{split}" for r in records]
    (folder / "my people.csv").write_text("\n".join(lines))


def test_a_run_on_ones_own_table_is_evaluated_from_anywhere_until_the_data_goes(smoke, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    relative_csv(smoke, tmp_path)
    train = ["train", "multitask", "--size", "smoke", "--set", "epochs=1", "--data", "my people.csv"]
    assert main([*train, "--runs", "é runs", "--device", "cpu"]) == 0
    folder = tmp_path / capsys.readouterr().out.strip().splitlines()[-1]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0

    table = tmp_path / "my people.csv"
    table.write_text(table.read_text().rsplit("\n", 1)[0])  # one image less
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--device", "cpu", "--data", str(table)]) == 0


def test_a_run_whose_data_is_gone_says_where_it_was(smoke, smoke_run, tmp_path, capsys):
    folder = shutil.copytree(smoke_run.folder, tmp_path / "run")
    told = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(told | {"data": "mine", "data_root": str(tmp_path / "gone")}))
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "gone") in said and "--data PATH" in said


def test_passersby_is_made_again_for_a_run_when_the_cache_was_cleared(smoke, smoke_run, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(smoke_run.folder, tmp_path / "run")
    told = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(told | {"data_root": str(tmp_path / "cleared")}))
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0
    score = capsys.readouterr().out.splitlines()[1].split()
    assert float(score[0]) == pytest.approx(100 * smoke_run.result["rank-1"], abs=0.01)


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
    with pytest.raises(NoMatchError):
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
    assert f"{tmp_path / 'list'}.csv" in capsys.readouterr().err


def test_a_run_of_the_validation_split_is_evaluated_on_it_and_on_the_test_when_that_is_told(
    smoke, tmp_path, monkeypatch, capsys
):
    train = ["train", "multitask", "--size", "smoke", "--set", "epochs=1", "--runs", str(tmp_path), "--device", "cpu"]
    assert main([*train, "--validation"]) == 0
    printed = capsys.readouterr().out
    folder = Path(printed.strip().splitlines()[-1])
    run, scored, evaluate = training.load(folder), [], retrieval.evaluate
    monkeypatch.setattr(
        retrieval, "evaluate", lambda model, bench, **more: scored.append(bench) or evaluate(model, bench, **more)
    )
    assert run.environment["data"] == f"{smoke.name}, validation"
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0
    assert float(capsys.readouterr().out.splitlines()[1].split()[3]) == pytest.approx(100 * run.result["mAP"], abs=0.01)
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))  # where there is no validation split yet
    assert main(["evaluate", str(folder), "--device", "cpu", "--data", str(smoke.root)]) == 0
    about = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(about | {"data_root": str(tmp_path / "cleared")}))
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0
    assert [bench.digest for bench in scored] == [smoke.validation().digest, smoke.digest, smoke.validation().digest]


def people_of_ones_own(folder):
    """Twenty people, half of them to train on, four images each; only a told pattern finds the cameras."""
    for p in range(1, 21):
        for k in range(4):
            shot(folder / f"{p:03d}" / f"k{k % 2}_{k}.png", p, k)
    return folder


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_run_knows_its_validation_split_of_a_set_of_ones_own(run, tmp_path, monkeypatch, capsys, share):
    own = people_of_ones_own(tmp_path / "own")
    bench = data.recognize(own, cameras=r"k([0-9]+)_")[1].validation(share)
    about = json.loads((run / "environment.json").read_text())
    about |= {
        "data": bench.name,
        "data_root": str(bench.root),
        "data_digest": bench.digest,
        "data_cameras": "k([0-9]+)_",
    }
    (run / "environment.json").write_text(json.dumps(about))
    if share == 0.2:  # the command's
        found = data_of_run.data_of(training.load(run))
        assert (found.query, found.digest) == (bench.query, bench.digest)
        moved = own.rename(tmp_path / "moved")
        test = data_of_run.data_at(training.load(run), moved, None)
        assert {r.camid for r in test.query} == {0, 1} and not {r.pid for r in test.query} & {
            r.pid for r in bench.query
        }
    else:
        assert main(["evaluate", str(run), "--device", "cpu"]) == 2
        assert "another share or seed" in capsys.readouterr().err


def test_train_hands_the_validation_split_of_ones_own_table_on(run, smoke, tmp_path, monkeypatch):
    splits = {(p, c): "train" if p < 7 else ("query", "gallery")[c - 1] for p in range(1, 9) for c in (1, 2)}
    rows = [f"{p}_{c}.png,{p},{c},{split}" for (p, c), split in splits.items()]
    path, seen = table(tmp_path / "own", rows), []
    monkeypatch.setattr(training, "fit", lambda _, bench, *__, **___: seen.append(bench) or training.load(run))
    for more in ([], ["--validation"]):
        assert main(["train", "multitask", "--size", "smoke", "--data", str(path), *more]) == 0
    bench = data.csv(path)
    assert [bench.digest for bench in seen] == [bench.digest, bench.validation().digest]
    about = json.loads((run / "environment.json").read_text())
    about |= {"data": seen[1].name, "data_root": str(seen[1].root), "data_digest": seen[1].digest}
    (run / "environment.json").write_text(json.dumps(about))
    assert data_of_run.data_of(training.load(run)).query == bench.validation().query


def test_train_ends_with_a_warning_for_each_unhealthy_sign(run, smoke, monkeypatch, capsys):
    told = training.load(run).history
    for changed, signs in (({"paying": 0.5}, []), ({"paying": 0.95}, ["active"])):
        healthy = {"spread": told["length"], "same_position": 0.1, "gradient_norm": 1.0, "accuracy": 0.9}
        told.assign(**healthy | changed).to_csv(run / "history.csv", index=False)
        monkeypatch.setattr(training, "fit", lambda *_, **__: training.load(run))
        assert main(["train", "multitask", "--size", "smoke"]) == 0
        warned = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("[warning]")]
        assert warned == signs
