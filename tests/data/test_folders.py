import re
import shutil
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab import data
from reid_lab.data.custom.folder import open_split
from reid_lab.data.records import Record
from reid_lab.data.validation import without_match
from reid_lab.runtime.errors import DataError, NoMatchError

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
    with pytest.raises(DataError, match=r"view\(.*cam1/0\.png"):
        data.folder(people, cameras=r"view(\d)")


@pytest.mark.parametrize(
    ("cameras", "says"),
    [
        (r"cam\d", "cam"),
        (r"cam(", r"cam\("),
        (r"(cam)", "cam.*anna"),
        (r"cam(x)?", "None"),
        (lambda path: None, "None"),
        ([1], r"\[1\]"),
    ],
)
def test_cameras_that_give_no_number_are_refused(people, cameras, says):
    with pytest.raises(DataError, match=says):
        data.folder(people, cameras=cameras)


def test_a_pattern_that_finds_no_number_in_a_camera_folder_is_refused(tmp_path, image):
    for gate, person in product((1, 2), ("0001", "0002")):
        image(tmp_path / f"gate{gate}" / person / "0.jpg")
    assert {r.camid for r in data.folder(tmp_path, cameras=r"gate(\d)").train} <= {1, 2}
    with pytest.raises(DataError, match="gate"):
        data.folder(tmp_path, cameras=r"(gate\d)")


def test_a_camera_may_be_a_number_of_numpy(people):
    assert {r.camid for r in data.folder(people, cameras=np.int64(3)).train} == {3}


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_an_impossible_seed_of_the_division_is_refused(people, seed):
    with pytest.raises(DataError, match=f"seed.*{seed}"):
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
    with pytest.raises(DataError, match=tmp_path.name):
        data.folder(tmp_path)
    with pytest.raises(DataError, match="nowhere"):
        data.folder(tmp_path / "nowhere")
    for share in (1.5, "0.5", None):
        with pytest.raises(DataError, match=str(share)):
            data.folder(tmp_path, train_share=share)


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


def test_only_a_camera_that_keeps_a_crop_gives_a_query_or_else_any_one_of_all():
    """Cameras with two, one and three crops of somebody; then somebody of whom three cameras have one crop each."""
    cameras = [1, 1, 2, 3, 3, 3]
    some = [Record(f"{i}.jpg", 1, camid) for i, camid in enumerate(cameras)]
    one_each = [Record(f"{camid}.jpg", 1, camid) for camid in (4, 5, 6)]
    drawn = set()
    for seed in range(40):
        assert [r.camid for r in open_split(some, 0.0, seed)["query"]] == [1, 3]
        (query,) = open_split(one_each, 0.0, seed)["query"]
        drawn.add(query.camid)
    assert drawn == {4, 5, 6}


# Telling folders apart


def test_each_kind_of_folder_is_recognized(market, people, tmp_path):
    assert data.recognize(market())[0] == "market1501"
    assert data.recognize(people)[0] == "folder"
    with pytest.raises(DataError, match="nowhere"):
        data.recognize(tmp_path / "nowhere")


def test_half_a_market_folder_is_not_taken_for_identities(market):
    root = market()
    (root / "query").rename(root / "queries")
    with pytest.raises(DataError, match="query"):
        data.recognize(root)


# Cameras that are told, also to the other readers


@pytest.mark.parametrize(
    ("told", "camids"),
    [("none", {-1}), ("NONE", {-1}), ("7", {7}), (r"c(\d)s", {1, 2, 3, 5}), (r"_c\d(s)1", {19}), (None, {1, 2, 3, 5})],
)
def test_cameras_can_be_told_for_market(market, told, camids):
    bench = data.recognize(market(), cameras=told)[1]
    assert {record.camid for records in bench.splits.values() for record in records} == camids


def test_one_camera_is_told_as_the_cause_with_a_cure_that_works(tmp_path, image):
    for person, take in product("abcdefgh", range(3)):
        image(tmp_path / "own" / f"person_{person}" / f"c1_{take}.jpg")
        split = "bounding_box_train" if person < "e" else ("query", "bounding_box_test")[take % 2]
        image(tmp_path / "market" / split / f"{ord(person):04d}_c1s1_{take}.jpg")
    for name in ("own", "market"):
        with pytest.raises(NoMatchError if name == "market" else DataError, match="camera 1.*--cameras"):
            data.recognize(tmp_path / name)[1].check()
        data.recognize(tmp_path / name, cameras="none")[1].check()


def test_people_whom_one_camera_sees_alone_are_told_as_the_cause(tmp_path, image):
    for person, take in product(range(1, 5), range(2)):
        image(tmp_path / f"{person:03d}" / f"cam{1 + person % 2}_{take}.jpg")
    with pytest.raises(DataError, match=r"\b4 people"):
        data.folder(tmp_path, train_share=0).check()


# Nobody, and names alike


def test_minus_one_and_zero_among_numbers_are_junk_and_distractors(tmp_path, image):
    for name in ("train/0001", "query/0002", "gallery/0002", "gallery/-1", "gallery/00-1", "gallery/0000"):
        image(tmp_path / name / "0.jpg")
    bench = data.folder(tmp_path)
    assert {r.path.parent.name: r.pid for r in bench.gallery} == {"0002": 2, "-1": -1, "00-1": -1, "0000": 0}
    said = " ".join(note.sentence for note in bench.notes)
    assert "-1, 00-1 (2 images, pid -1) means junk" in said and "0000 (1 image, pid 0) means distractors" in said


def test_zero_among_names_is_a_name(tmp_path, image):
    for name in ("0", "anna", "bert"):
        image(tmp_path / name / "0.jpg")
    assert {r.pid for r in data.folder(tmp_path, train_share=0).gallery} == {1, 2, 3}


def test_names_alike_but_for_capitals_or_zeros_are_one_person(tmp_path, image):
    for name in ("query/Anna", "gallery/anna", "query/bert", "gallery/bert"):
        image(tmp_path / "words" / name / "0.jpg")
    for name in ("query/1", "gallery/001", "query/2", "gallery/2"):
        image(tmp_path / "numbers" / name / "0.jpg")
    for name in ("words", "numbers"):
        bench = data.folder(tmp_path / name)
        assert {r.pid for r in bench.query} == {r.pid for r in bench.gallery} == {1, 2}
        assert any("taken for one person" in f.sentence for f in bench.findings() if f.level == "warning")


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (["New folder"], "New folder"),
        (["Neuer Ordner (2)"], "Neuer Ordner (2)"),
        (["anna - Copy"], "anna - Copy"),
        (["unknown", "background"], "background, unknown"),
        (["0"], "0"),
        (["-2"], "-2"),
        (["newton", "valentina", "otto (a)"], ""),
    ],
)
def test_a_folder_that_is_rather_a_computers_than_a_person_is_asked_about(people, image, names, odd):
    for name in ("cleo", "dora", "emil", *names):
        image(people / name / "0.jpg")
    said = [note.sentence for note in data.folder(people).notes if note.subject == "odd"]
    assert said == ([f"{odd} may be no person: move or rename what is no person."] if odd else [])


@pytest.mark.parametrize(
    ("names", "pids"),
    [
        (["1.0", "2.0", "3.0", "-1.0", "0.0"], [1, 2, 3, -1, 0]),  # as pandas writes
        (["id_1", "id_2", "id_3", "id_-1"], [1, 2, 3, -1]),
        (["person-1", "person-2", "person-3"], [1, 2, 3]),
    ],
)
def test_numbers_as_programs_write_them_are_the_same_numbers(tmp_path, image, names, pids):
    for name in names:
        image(tmp_path / name / "0.jpg")
    read = data.folder(tmp_path, train_share=0)
    assert {r.path.parent.name: r.pid for r in read.gallery} == dict(zip(names, pids, strict=True))


def test_an_archive_given_as_a_data_set_is_to_be_unpacked(tmp_path):
    (tmp_path / "Market.ZIP").touch()
    with pytest.raises(DataError, match="Market.ZIP"):
        data.recognize(tmp_path / "Market.ZIP")


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["0001_1", "0001_2", "0002_1"], True),
        (["p1-t1", "p1-t2", "p2-t1"], True),
        (["person_1", "person_2", "person_3"], False),
        (["2024_1", "2024_2", "2024_3"], False),
        (["1_1", "2_1", "3_1"], False),
    ],
)
def test_numbers_behind_numbers_of_people_are_asked_about(tmp_path, image, names, asked):
    for name in names:
        image(tmp_path / name / "0.jpg")
    notes = data.folder(tmp_path, train_share=0).notes
    assert any("begin alike and end in a number" in note.sentence for note in notes) == asked


def test_a_word_among_many_numbers_is_asked_about(tmp_path, image):
    for name in [*map(str, range(1, 12)), "masks"]:
        image(tmp_path / name / "0.jpg")
    assert any("All names of people but masks are numbers" in f.sentence for f in data.folder(tmp_path).notes)


# What is seen and not taken


def test_train_and_test_alone_are_divided_into_query_and_gallery(tmp_path, image):
    for split, people in (("train", "ab"), ("Test", "cd")):
        for person, camera in product(people, (1, 2)):
            image(tmp_path / split / f"person_{person}" / f"cam{camera}.jpg")
    bench = data.folder(tmp_path)
    bench.check()
    assert [len(records) for records in bench.splits.values()] == [4, 2, 2]


def test_each_image_that_is_not_read_is_counted(people, image):
    image(people / "loose.jpg")
    (people / "anna" / "film.mp4").touch()
    shutil.copy(people / "loose.jpg", people / "anna" / "without")
    (people / "bert" / "gone").symlink_to("/nowhere/at/all")
    image(people / ".hidden" / "0.jpg")
    image(people / "anna" / "@eaDir" / "thumb.jpg")
    (people / "anna" / "more.zip").touch()
    found = [(note.level, note.sentence) for note in data.folder(people).notes if note.subject == "not read"]
    for level, said in (
        ("warning", "2 images are not read .*1 with .mp4, 1 with no suffix"),
        ("warning", "1 image is not read .first: loose.jpg., because they lie in no folder"),
        ("warning", "1 links lead nowhere .bert/gone"),
        ("note", "2 images are not read .*hidden"),
        ("note", "1 archives are not unpacked .anna/more.zip"),
    ):
        assert any(level == told and re.search(said, sentence) for told, sentence in found), said


@pytest.mark.parametrize(
    ("file", "says"),
    [("set.zip", "set.zip"), ("x.heic", ".heic")],
)
def test_a_folder_without_images_is_told_what_it_holds(tmp_path, file, says):
    (tmp_path / file).touch()
    with pytest.raises(DataError, match=says):
        data.folder(tmp_path)


def test_market_images_one_folder_deeper_are_read_and_all_others_counted(market, image):
    root = market()
    for path in list((root / "query").iterdir()):
        path.rename(image(root / "query" / path.name[:4] / path.name))
    image(root / "gt_bbox" / "0001_c1s1_0_0.jpg")
    image(root / "bounding_box_test" / "deep" / "0001_c1s1_0_0.jpg")
    bench = data.market1501(root)
    assert len(bench.query) == 2 and len(bench.gallery) == 4
    said = [str(note) for note in bench.notes]
    assert any(line.startswith("[warning] 1 image is not read (first: bounding_box_test/deep") for line in said)
    assert any(line.startswith("[note] 1 image is not read (first: gt_bbox") for line in said)


def test_folders_of_market_may_have_capitals(market):
    root = market()
    (root / "query").rename(root / "Query")
    (root / "bounding_box_test").rename(root / "Bounding_Box_Test")
    assert [len(records) for records in data.recognize(root)[1].splits.values()] == [4, 2, 4]


@pytest.mark.parametrize("name", ["0001_c99999999999999999999s1_0_0", "-99999999999999999999_c1s1_0_0"])
def test_a_label_in_a_name_that_does_not_fit_64_bits_is_refused(market, image, name):
    root = market()
    image(root / "query" / f"{name}.jpg")
    with pytest.raises(DataError, match=r"s1_0_0\.jpg.* -?9{20}"):
        data.recognize(root)


def test_a_camera_folder_that_does_not_fit_64_bits_is_refused(tmp_path, image):
    image(tmp_path / "cam99999999999999999999" / "001" / "0.jpg")
    with pytest.raises(DataError, match="9{20}"):
        data.recognize(tmp_path)
