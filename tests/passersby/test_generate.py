import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reid_lab import passersby
from reid_lab.passersby.splits import GALLERY, QUERY, TRAIN
from reid_lab.runtime.errors import DataError

GENERATE = sys.modules["reid_lab.passersby.generate"]
TINY = {"train_ids": 3, "train_tracklets": 9, "train_images": 18, "test_ids": 2, "queries": 6, "gallery": 6, "junk": 2}
# The same in another process: a size of a few images, which workers make a few at a time.
THERE = f"""
import sys
from dataclasses import replace
from reid_lab import passersby
passersby.SIZES["tiny"] = replace(passersby.SIZES["smoke"], **{TINY})
module = sys.modules["reid_lab.passersby.generate"]
module.CHUNK = 8
"""


@pytest.fixture(scope="module")
def folder(smoke):
    return smoke.root


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(passersby.SIZES, "tiny", replace(passersby.SIZES["smoke"], **TINY))
        patch.setattr(GENERATE, "CHUNK", 8)
        return passersby.generate("tiny", home=tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(monkeypatch, tiny_folder):
    """A size of a few images, and its folder as it should be."""
    monkeypatch.setitem(passersby.SIZES, "tiny", replace(passersby.SIZES["smoke"], **TINY))
    monkeypatch.setattr(GENERATE, "CHUNK", 8)
    return tiny_folder


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).digest() for path in files}


def test_the_folder_is_market_1501s_with_png_files_and_a_marker(folder):
    names = [path.name for split in (TRAIN, QUERY, GALLERY) for path in (folder / split).iterdir()]
    assert all(re.fullmatch(r"(-1|\d{4})_c[1-6]s[1-6]_\d{6}_\d{2}\.png", name) for name in names)
    marker = json.loads((folder / passersby.MARKER).read_text())
    assert marker["kind"] == "Passersby"
    assert marker["seed"] == 0
    assert marker["counts"] == {split: len(list((folder / split).iterdir())) for split in (TRAIN, QUERY, GALLERY)}


def test_images_are_128_by_64_rgb(folder):
    for path in list(folder.glob("*/*.png"))[::20]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 128), "RGB")


def test_another_seed_is_another_data_set(tiny, tmp_path):
    other = passersby.generate("tiny", seed=1, home=tmp_path)
    assert other.name != tiny.name
    mine, others = contents(tiny), contents(other)
    assert not {digest for name, digest in mine.items() if name.endswith(".png")} & set(others.values())


def test_a_second_call_writes_nothing(tiny):
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    assert passersby.generate("tiny", home=tiny.parents[1]) == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


def test_what_a_killed_generation_left_is_made_again(tiny, tmp_path):
    left_over = tmp_path / "passersby" / f".{tiny.name}.partial" / QUERY
    left_over.mkdir(parents=True)
    (left_over / "0005_c1s4_000100_00.png").write_bytes(b"half an ima")
    unfinished = tmp_path / "passersby" / tiny.name / TRAIN
    unfinished.mkdir(parents=True)
    (unfinished / "9999_c1s4_000100_00.png").write_bytes(b"")
    assert contents(passersby.generate("tiny", home=tmp_path)) == contents(tiny)
    assert not left_over.exists()


def test_a_data_set_that_lost_an_image_is_made_again(tiny, tmp_path):
    mine = passersby.generate("tiny", home=tmp_path)
    next((mine / QUERY).iterdir()).unlink()
    assert contents(passersby.generate("tiny", home=tmp_path)) == contents(tiny)


@pytest.mark.parametrize(
    "damage",
    [lambda folder: (folder / passersby.TABLE).unlink(), lambda folder: (folder / passersby.MARKER).write_text("[]")],
    ids=["table", "marker"],
)
def test_a_data_set_that_lost_its_table_or_marker_is_made_again(tiny, tmp_path, damage):
    mine = passersby.generate("tiny", home=tmp_path)
    damage(mine)
    assert contents(passersby.generate("tiny", home=tmp_path)) == contents(tiny)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.*REID_LAB_HOME"):
        passersby.generate("smoke", home=tmp_path / "file")


def test_two_processes_that_want_it_at_once_get_the_same_whole_data_set(tiny, tmp_path):
    code = f"{THERE}print('ready', flush=True); input(); print(passersby.generate('tiny', home=sys.argv[1]))"
    team = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(passersby.__file__).parents[2])},
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in team] == ["ready\n"] * 2
    for process in team:  # now, both at once
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate()[0].strip() for process in team]
    assert [process.returncode for process in team] == [0, 0]
    assert told[0] == told[1]
    assert contents(tmp_path / "passersby" / tiny.name) == contents(tiny)


def test_several_processes_write_the_same_bytes_also_for_a_script_without_a_main_guard(tiny, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"{THERE}passersby.generate('tiny', home=sys.argv[1], workers=3)\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(passersby.__file__).parents[2])}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=environment)
    assert contents(tmp_path / "passersby" / tiny.name) == contents(tiny)


def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, *arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DataError, match="No space left.*REID_LAB_HOME"):
        passersby.generate("smoke", home=tmp_path)
    assert not [path for path in (tmp_path / "passersby").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("size", "more", "culprit"),
    [
        ("huge", {}, "'huge'"),
        ("smoke", {"seed": -1}, "seed.*-1"),
        ("smoke", {"town": "moon"}, "'moon'.*city, coast"),
        ("smoke", {"town": None}, "None.*city, coast"),
    ],
)
def test_what_cannot_be_made_is_refused_by_its_name(size, more, culprit, tmp_path):
    with pytest.raises(DataError, match=culprit):
        passersby.generate(size, **more, home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_truth_table_has_one_row_per_image(folder):
    table = passersby.annotations(folder)
    assert isinstance(table, pd.DataFrame)
    assert set(table.index) == {path.relative_to(folder).as_posix() for path in folder.glob("*/*.png")}
    assert ((table["occluded"] >= 0) & (table["occluded"] <= 1)).all()
    assert ((table["box_error"] >= 0) & (table["box_error"] < 1)).all()
    people = table[table["pid"] > 0]
    assert (people.groupby("pid")[["hair", "upper_colour", "bag", "shoes"]].nunique() == 1).all().all()
    assert people["view_angle"].astype(float).between(0, 360).all()


def test_queries_have_better_boxes_than_the_gallery(folder):
    table = passersby.annotations(folder)
    known = table[table["pid"] > 0]
    splits = known.groupby(known.index.str.split("/").str[0])["box_error"].mean()
    assert splits[QUERY] < splits[GALLERY]


def test_pixels_on_the_disk_are_those_that_the_digest_is_of(folder):
    marker = json.loads((folder / passersby.MARKER).read_text())
    paths, step = passersby.annotations(folder).index, GENERATE.CHUNK
    whole = hashlib.sha256()
    for start in range(0, len(paths), step):
        pixels = [np.asarray(Image.open(folder / path)).tobytes() for path in paths[start : start + step]]
        whole.update(hashlib.sha256(b"".join(pixels)).hexdigest().encode())
    assert whole.hexdigest() == marker["digest"]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_worker_that_may_not_write_says_why_without_a_traceback(tmp_path):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from reid_lab import passersby\nfrom reid_lab.runtime import errors\n"
        "try: passersby.generate('smoke', home=sys.argv[1], workers=2)\n"
        "except errors.DataError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(passersby.__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert "could not be written" in run.stdout and "File too large" in run.stdout
    assert "Traceback" not in run.stderr
    assert not [path for path in (tmp_path / "passersby").iterdir() if path.is_dir()]
