from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab import data
from reid_lab.data.folders import open_split
from reid_lab.data.protocol import without_match
from reid_lab.data.records import Record
from reid_lab.errors import DataError

# Own folder


@pytest.fixture
def people(tmp_path, image):
    """Four people with two images from each of two cameras."""
    for person in ("anna", "bert", "cleo", "dora"):
        for camera in (1, 2):
            for i in range(2):
                image(tmp_path / "crops" / person / f"cam{camera}" / f"{i}.png")
    return tmp_path / "crops"


def test_one_sub_folder_per_identity_is_divided_by_identity(people):
    bench = data.folder(people)
    bench.check()
    assert len(bench.train) == 8 and len(bench.query) == 4 and len(bench.gallery) == 4
    assert not {r.pid for r in bench.train} & {r.pid for r in bench.query}
    assert {r.camid for r in bench.train} == {1, 2}
    assert "anna is 1, bert is 2, cleo is 3, ..." in bench.notes[0].sentence


def test_the_seed_alone_decides_the_division(people):
    assert data.folder(people, seed=1).digest == data.folder(people, seed=1).digest
    assert len({data.folder(people, seed=seed).digest for seed in range(8)}) > 1
    assert not data.folder(people, train_share=0).train


def test_train_query_and_gallery_folders_are_taken_as_they_are(tmp_path, image):
    for name in (
        "train/anna/c1_0",
        "train/bert/c2_0",
        "query/cleo/c1_0",
        "gallery/cleo/c2_0",
        "gallery/distractors/c2_1",
    ):
        image(tmp_path / f"{name}.jpg")
    bench = data.folder(tmp_path)
    assert [(r.pid, r.camid) for r in bench.train] == [(1, 1), (2, 2)]
    assert [(r.pid, r.camid) for r in bench.query] == [(3, 1)]
    assert [(r.pid, r.camid) for r in bench.gallery] == [(3, 2), (0, 2)]


@pytest.mark.parametrize(
    ("name", "camid"),
    [
        ("c3_000451.jpg", 3),
        ("0002_c1s1_000451_03.jpg", 1),
        ("CAM12-7.PNG", 12),
        ("camera_4/7.jpg", 4),
        ("007.jpg", -1),
        ("abc3.jpg", -1),
        ("c3po.jpg", -1),
    ],
)
def test_the_camera_is_looked_for_in_the_name(tmp_path, image, name, camid):
    image(tmp_path / "anna" / name)
    assert data.folder(tmp_path, train_share=0).gallery[0].camid == camid


def test_cameras_can_be_told_as_a_pattern_a_function_or_one_number(people):
    for cameras, expected in ((r"/(\d)\.png", {0, 1}), (lambda path: len(path.stem), {1}), (7, {7})):
        bench = data.folder(people, cameras=cameras)
        assert {r.camid for records in bench.splits.values() for r in records} == expected
    with pytest.raises(DataError, match=r"'view\(\\\\d\)' does not match 'cam1/0\.png'"):
        data.folder(people, cameras=r"view(\d)")


@pytest.mark.parametrize(
    ("cameras", "says"),
    [
        (r"cam\d", "has no group: put the number in brackets"),
        (r"cam(", "is no regular expression"),
        (r"(cam)", "finds 'cam' in .*anna.*, which is no number"),
        (r"cam(x)?", "finds None in"),
        (lambda path: None, "was told as None: give its number"),
        ([1], r"was told as \[1\]"),
    ],
)
def test_cameras_that_give_no_number_are_refused(people, cameras, says):
    with pytest.raises(DataError, match=says):
        data.folder(people, cameras=cameras)


def test_a_camera_may_be_a_number_of_numpy(people):
    assert {r.camid for r in data.folder(people, cameras=np.int64(3)).train} == {3}


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_an_impossible_seed_of_the_division_is_refused(people, seed):
    with pytest.raises(DataError, match="give a whole number from 0 up"):
        data.folder(people, seed=seed)


def test_hidden_folders_and_folders_named_like_images_are_passed_over(people, image):
    before = data.folder(people).digest
    image(people / "bert" / ".ipynb_checkpoints" / "cam1_0-checkpoint.jpg")
    (people / "bert" / "x.jpg").mkdir()
    assert data.folder(people).digest == before


def test_a_link_that_leads_nowhere_is_not_passed_over(people):
    (people / "bert" / "cam1" / "lost.jpg").symlink_to("nowhere.jpg")
    assert any("lost.jpg" in finding.sentence for finding in data.folder(people).findings() if finding.level == "error")


def test_a_folder_without_identities_is_refused(tmp_path, image):
    image(tmp_path / "anna.jpg")
    with pytest.raises(DataError, match="no images in sub-folders"):
        data.folder(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        data.folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"training is 1\.5"):
        data.folder(tmp_path, train_share=1.5)


crops = st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 4)), min_size=1, max_size=60)


@settings(deadline=None)
@given(crops, st.integers(0, 5))
def test_an_open_split_loses_no_image_and_every_query_has_a_match(labels, seed):
    records = [Record(f"{i}.jpg", pid, camid) for i, (pid, camid) in enumerate(labels)]
    splits = open_split(records, 0.5, seed)
    assert sorted(r.path for some in splits.values() for r in some) == sorted(r.path for r in records)
    assert without_match(splits["query"], splits["gallery"]) == []
    assert all(r.pid > 0 for r in splits["train"] + splits["query"])
    assert not {r.pid for r in splits["train"]} & {r.pid for r in splits["query"] + splits["gallery"]}
    counts = Counter((r.pid, r.camid) for r in splits["query"])
    assert all(count == 1 for count in counts.values())


@pytest.mark.parametrize(("share", "people_in_train"), [(0.0, 0), (0.25, 3), (0.5, 6), (0.7, 8), (0.9, 11)])
def test_so_many_people_are_for_training_whoever_they_are(share, people_in_train):
    records = [Record(f"{pid}_{i}.jpg", pid, i % 2) for pid in range(1, 13) for i in range(4)]
    trained = [{r.pid for r in open_split(records, share, seed)["train"]} for seed in range(60)]
    assert {len(pids) for pids in trained} == {people_in_train}
    if people_in_train:
        assert set.union(*trained) == set(range(1, 13))


def test_each_crop_of_a_camera_may_become_its_query_and_nobodys_stay_in_the_gallery():
    records = [Record(f"{i}.jpg", 1, 1 + i // 3) for i in range(6)]
    nobody = [Record("junk.jpg", -1, 1), Record("distractor.jpg", 0, 2)]
    seen = set()
    for seed in range(60):
        splits = open_split(records + nobody, 0.0, seed)
        assert [r.camid for r in splits["query"]] == [1, 2]
        assert all(record in splits["gallery"] for record in nobody)
        seen |= {r.path for r in splits["query"]}
    assert seen == {record.path for record in records}


# CSV


def write(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_a_csv_is_read_with_paths_relative_to_it(tmp_path, image):
    image(tmp_path / "a.jpg")
    text = f"path,pid,camid,split\na.jpg,1,2,train\n{tmp_path / 'a.jpg'},-1, ,Gallery\nsub\\b.jpg,5,3,query\n"
    bench = data.csv(write(tmp_path, text))
    assert bench.train == [Record(tmp_path / "a.jpg", 1, 2)]
    assert bench.gallery == [Record(tmp_path / "a.jpg", -1, -1)]
    assert bench.query == [Record(tmp_path / "sub" / "b.jpg", 5, 3)]
    assert data.recognise(tmp_path / "table.csv")[0] == "csv"


def test_names_as_pids_are_numbered_and_the_camera_column_may_be_absent(tmp_path):
    bench = data.csv(write(tmp_path, "Path, pid, split\na.jpg,zoe,train\nb.jpg,anna,train\n"))
    assert [(r.pid, r.camid) for r in bench.train] == [(2, -1), (1, -1)]
    assert "anna is 1, zoe is 2" in bench.notes[0].sentence


@pytest.mark.parametrize(
    ("written", "pids"),
    [
        (["2.0", "1.00", "-1.0", "0.0"], [2, 1, -1, 0]),
        (["7", "junk", "distractors", "0002"], [7, -1, 0, 2]),
        (["zoe", "-1", "0000", "anna"], [2, -1, 0, 1]),
        (["zoe", "junk", "distractors", "7.0"], [2, -1, 0, 1]),
    ],
)
def test_numbers_of_pandas_are_kept_and_junk_and_distractors_are_nobody(tmp_path, written, pids):
    rows = "".join(f"{i}.jpg,{pid},3.0,gallery\n" for i, pid in enumerate(written))
    bench = data.csv(write(tmp_path, f"path,pid,camid,split\n{rows}"))
    assert [(r.pid, r.camid) for r in bench.gallery] == [(pid, 3) for pid in pids]


def test_blank_lines_are_passed_over_but_counted(tmp_path):
    text = "\n\npath,pid,split\n\n \na,1,train\n\n"
    assert [r.pid for r in data.csv(write(tmp_path, text)).train] == [1]
    with pytest.raises(DataError, match="first: line 8, 'test'"):
        data.csv(write(tmp_path, text + "b,1,test\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,pid,PID,split\na,1,1,train\n", "has the column pid more than once: keep one"),
        ("path,pid,split\na,1,train\nb,-2,train\n", r"bad pid \(first: line 3, '-2'\): write -1 for junk"),
        ("file,pid,split\na,1,train\n", "has no column path but file, pid, split"),
        ("path,pid,split\na,1,train\nb,1,test\n", r"bad split \(first: line 3, 'test'\)"),
        ("path,pid,split\na,,train\n", r"bad pid \(first: line 2, ''\)"),
        ("path,pid,camid,split\na,1,left,train\n", r"bad camid \(first: line 2, 'left'\)"),
        ("", "cannot be read"),
    ],
)
def test_a_bad_csv_is_refused_with_column_and_line(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        data.csv(write(tmp_path, text))


def test_a_missing_csv_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        data.csv(tmp_path / "nowhere.csv")


# Telling folders apart


def test_each_kind_of_folder_is_recognised(market, people, tmp_path):
    assert data.recognise(market())[0] == "market1501"
    assert data.recognise(people)[0] == "folder"
    with pytest.raises(DataError, match="does not exist"):
        data.recognise(tmp_path / "nowhere")


def test_half_a_market_folder_is_not_taken_for_identities(market):
    root = market()
    (root / "query").rename(root / "queries")
    with pytest.raises(DataError, match="lacks query"):
        data.recognise(root)
