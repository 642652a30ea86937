"""`reid-lab embed` and `reid-lab search`; pictures that cannot be written."""

import io
import logging
import os
import re
import shutil
import sys

import numpy as np
import pytest
from shots import shot

from reid_lab import plots, retrieval, training
from reid_lab.cli import main
from reid_lab.data.crops import crops as crops_below
from reid_lab.retrieval import features
from reid_lab.runtime.errors import CheckpointError, DataError


@pytest.fixture
def run(smoke_run, tmp_path):
    """A run's folder of one's own."""
    return shutil.copytree(smoke_run.folder, tmp_path / "runs" / smoke_run.folder.name)


def gallery_of(smoke, folder):
    (folder / "one").mkdir(parents=True)
    for record in smoke.gallery[:12]:
        shutil.copy(record.path, folder / "one" / record.path.name)
    return shutil.copy(smoke.query[0].path, folder / "the query itself.PNG")


def test_embed_writes_what_it_says(run, smoke, tmp_path, capsys):
    images, out = smoke.query[0].path.parent, tmp_path / "features.npz"
    command = ["embed", str(run), "--images", str(images), "--out", str(out), "--device", "cpu"]
    assert main(command) == 0
    assert f"{len(smoke.query)} feature vectors of 96 values" in capsys.readouterr().out
    assert len(np.load(out)["paths"]) == len(smoke.query)
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["describe", *command[1:], "--force"]) == 0  # the old name


def test_search_ranks_a_folder_shows_it_and_warns(smoke, run, tmp_path, capsys, monkeypatch):
    query, other, picture = gallery_of(smoke, tmp_path / "crops"), smoke.query[1].path, tmp_path / "found.png"
    more = ["--query", str(other), "--top", "5", "--picture", str(picture)]
    assert search(run, [query], tmp_path / "crops", *more) == 0
    printed = capsys.readouterr().out
    assert f"query {query} (left out: the query itself, the query itself.PNG)\n" in printed
    assert f"query {other}\n" in printed and "always a rank 1" in printed
    assert sum(line.split()[:1] == ["5"] for line in printed.splitlines()) == 2
    assert picture.read_bytes()[:4] == b"\x89PNG"

    described, from_network = [], features._describe
    monkeypatch.setattr(features, "_describe", lambda *rest: described.append(len(rest[1])) or from_network(*rest))
    assert search(run, [query, other], tmp_path / "crops", "--top", "5") == 0  # as a shell writes crops/*.png
    assert described == [2]  # the queries; the gallery was kept
    assert capsys.readouterr().out.strip() == printed.split("Written")[0].strip()


def test_search_in_fewer_images_than_asked_for_shows_all_of_them(smoke, run, tmp_path, capsys):
    assert search(run, [gallery_of(smoke, tmp_path / "crops")], tmp_path / "crops", "--top", "99") == 0
    assert len(ranked(capsys.readouterr().out)) == 12  # all but the query itself


def ranked(printed):
    """The file names of a printed search, in order."""
    return [line.split()[1] for line in printed.splitlines() if line[:5].strip().isdigit()]


def search(run, query, gallery, *more):
    return main(["search", str(run), "--query", *map(str, query), "--gallery", str(gallery), "--device", "cpu", *more])


def test_a_file_that_is_gone_gets_the_sentence_of_describe_from_search(run, tmp_path, capsys):
    crops = tmp_path / "crops"
    query = shot(crops / "1.png", 1)
    os.symlink("/moved/away.png", crops / "gone.png")
    assert search(run, [query], crops) == 2
    said = capsys.readouterr().err
    assert main(["embed", str(run), "--images", str(crops), "--out", str(tmp_path / "x.npz"), "--device", "cpu"]) == 2
    assert capsys.readouterr().err == said and "gone.png does not exist" in said
    with pytest.raises(DataError, match="gone.png"):
        retrieval.extract(training.load(run).model, crops_below(crops), cache=run)
    assert search(run, [crops / "gone.png"], crops) == 2
    assert re.search("gone.png .*/moved/away.png", capsys.readouterr().err)


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
    assert picture in capsys.readouterr().err


def test_a_photograph_is_not_overwritten_by_a_picture_and_a_picture_of_before_is(run, tmp_path, capsys):
    photo = shot(tmp_path / "anna.png", 1)
    shot(tmp_path / "crops" / "2.png", 2)
    before = photo.read_bytes()
    for option in (
        ["search", "RUN", "--query", str(photo), "--gallery", ".", "--picture"],
        ["evaluate", "RUN", "--gallery"],
    ):
        assert main([*option, str(photo)]) == 2
        assert "anna.png" in capsys.readouterr().err
    assert photo.read_bytes() == before
    for _ in range(2):
        assert search(run, [photo], tmp_path / "crops", "--picture", str(tmp_path / "found.png")) == 0


def test_a_folder_without_crops_is_told_by_what_it_holds(run, tmp_path, capsys):
    query = shot(tmp_path / "1.png", 1)
    assert search(run, [query], query) == 2
    assert str(query) in capsys.readouterr().err
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "IMG_1.HEIC").write_bytes(b"....")
    assert search(run, [query], tmp_path / "phone") == 2
    assert "IMG_1.HEIC" in capsys.readouterr().err
    shot(tmp_path / "phone" / "2.png", 2)
    assert search(run, [query], tmp_path / "phone") == 0
    assert "IMG_1.HEIC" in capsys.readouterr().out
