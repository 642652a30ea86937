"""The Benchmark and its protocol check."""

import dataclasses
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid_lab import data
from reid_lab.data import Benchmark, Finding, Record
from reid_lab.runtime.errors import DataError, NoMatchError


@pytest.fixture
def sound(tmp_path, image):
    """A data set about which there is nothing to say."""

    def records(split, labels):
        return [
            Record(image(tmp_path / split / f"{pid}_c{camid}_{i}.png"), pid, camid)
            for i, (pid, camid) in enumerate(labels)
        ]

    return Benchmark(
        "sound",
        train=records("train", [(1, 1), (1, 2), (2, 1), (2, 2)]),
        query=records("query", [(3, 1), (4, 2)]),
        gallery=records("gallery", [(3, 2), (4, 1), (0, 1), (-1, 2)]),
        root=tmp_path,
    )


def only_finding(bench, read_images=True):
    (finding,) = bench.findings(read_images)
    return finding


def changed(bench, **splits):
    return dataclasses.replace(bench, **splits)


def relabeled(records, pid=None, camid=None):
    return [Record(r.path, r.pid if pid is None else pid, r.camid if camid is None else camid) for r in records]


def test_a_sound_data_set_has_no_findings_and_passes(sound):
    assert sound.findings() == []
    sound.check()


def test_the_summary_counts_people_and_nobody_apart(sound):
    table = sound.summary()
    assert table.loc["gallery"].to_dict() == {
        "images": 4,
        "identities": 2,
        "cameras": 2,
        "distractors": 1,
        "junk": 1,
    }
    assert table["images"].to_dict() == {"train": 4, "query": 2, "gallery": 4}
    assert repr(sound) == "Benchmark('sound': 4 train, 2 query, 4 gallery)"


@pytest.mark.parametrize("split", ["query", "gallery"])
def test_no_query_or_gallery_is_an_error(sound, split):
    bench = changed(sound, **{split: []})
    assert bench.findings()[0].level == "error"
    with pytest.raises(DataError, match=split):
        bench.check()


def test_no_train_images_is_a_warning(sound):
    finding = only_finding(changed(sound, train=[]))
    assert finding.level == "warning" and "not trained" in finding.sentence


def test_queries_without_a_match_are_counted_named_and_explained(sound):
    one_lost = changed(sound, gallery=sound.gallery[:1])
    finding = only_finding(one_lost)
    assert finding.level == "warning"
    assert "1 of 2 queries" in finding.sentence and "4_c2_1.png" in finding.sentence
    assert "does not hold the identity" in finding.sentence
    one_lost.check()


def test_only_same_camera_matches_is_a_no_match_error_that_names_the_cause(sound):
    bench = changed(sound, gallery=relabeled(sound.gallery, camid=1), query=relabeled(sound.query, camid=1))
    with pytest.raises(NoMatchError, match="camera"):
        bench.check()


def test_unknown_cameras_match_but_are_reported(sound):
    finding = only_finding(changed(sound, query=relabeled(sound.query, camid=-1)))
    assert finding.level == "warning" and "2 of 10 images have no camera" in finding.sentence


def test_identities_in_train_and_test_are_an_error(sound):
    bench = changed(sound, train=sound.train + relabeled(sound.train[:1], pid=3))
    assert any("1 identity is in both train and test (pids 3)" in f.sentence for f in bench.findings())
    with pytest.raises(DataError, match=r"pids 3\b"):
        bench.check()


def test_junk_and_distractors_belong_in_the_gallery(sound):
    for split in ("train", "query"):
        nobody = relabeled(getattr(sound, split)[:1], pid=0)
        bench = changed(sound, **{split: nobody + list(getattr(sound, split)[1:])})
        with pytest.raises(DataError, match=rf"\b1 {split}\b"):
            bench.check()


def test_numbers_below_junk_are_an_error_and_nobody_is_no_identity_of_two_sides(sound):
    with pytest.raises(DataError, match=r"pid\b.*-1"):
        changed(sound, gallery=[*sound.gallery, *relabeled(sound.gallery[:1], pid=-2)]).check()
    both = {
        split: [*getattr(sound, split), *relabeled(getattr(sound, split)[:1], pid=0)] for split in ("train", "gallery")
    }
    with pytest.raises(DataError, match="pid") as caught:
        changed(sound, **both).check()
    assert "both train and test (pids" not in str(caught.value)


def test_one_identity_is_an_error_and_one_image_of_an_identity_a_warning(sound):
    with pytest.raises(DataError, match=r"pid 1\b"):
        changed(sound, train=sound.train[:2]).check()
    finding = only_finding(changed(sound, train=sound.train[:3]))
    assert finding.level == "warning" and "1 of 2 train identities have only one image (pids 2)" in finding.sentence


def test_duplicate_paths_are_told_by_what_they_do(sound):
    twice = only_finding(changed(sound, train=[*sound.train, sound.train[0]]))
    assert twice.level == "warning" and "more than once" in twice.sentence
    two_people = changed(sound, train=sound.train + relabeled(sound.train[:1], pid=2))
    assert "two identities" in only_finding(two_people).sentence
    with pytest.raises(DataError, match="train and test"):
        changed(sound, gallery=[*sound.gallery, sound.train[0]]).check()
    assert changed(sound, gallery=[*sound.gallery, sound.query[0]]).findings() == []  # junk to itself
    unknown = relabeled(sound.query[:1], camid=-1)
    with pytest.raises(DataError, match="query and gallery"):
        changed(sound, query=unknown, gallery=[*sound.gallery, *unknown]).check()


def test_missing_and_empty_images_are_found_without_reading_the_others(sound):
    sound.train[0].path.unlink()
    sound.query[0].path.write_bytes(b"")
    sentence = only_finding(sound, read_images=False).sentence
    assert "1_c1_0.png does not exist" in sentence and "3_c1_0.png is empty (0 bytes)" in sentence


def test_damaged_images_are_found_when_images_are_read(sound):
    path = sound.gallery[0].path
    path.write_bytes(path.read_bytes()[:50])
    assert sound.findings(read_images=False) == []
    assert str(path) in only_finding(sound).sentence
    with pytest.raises(DataError, match=path.name):
        sound.check(read_images=True)


def test_all_errors_come_in_one_message_and_errors_come_first(sound):
    lonely = relabeled(sound.train[:1], pid=1)
    bench = changed(sound, train=lonely, query=relabeled(sound.query, pid=9))
    assert [finding.level for finding in bench.findings()] == ["error", "error", "warning"]
    with pytest.raises(DataError, match=r"pid 1\b.*2 of 2 queries") as caught:
        bench.check()
    assert not isinstance(caught.value, NoMatchError)


def test_the_digest_follows_names_labels_and_sizes_but_not_the_place(sound, tmp_path, image):
    digest = sound.digest
    assert digest == dataclasses.replace(sound).digest and len(digest) == 64
    assert changed(sound, train=relabeled(sound.train, camid=5)).digest != digest
    assert changed(sound, train=sound.train[:3]).digest != digest
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path, moved, ignore=shutil.ignore_patterns("moved"))
    there = {
        split: [Record(moved / r.path.relative_to(tmp_path), r.pid, r.camid) for r in records]
        for split, records in sound.splits.items()
    }
    assert Benchmark("moved", **there, root=moved).digest == digest
    image(there["train"][0].path, size=(9, 4))
    assert Benchmark("moved", **there, root=moved).digest != digest


def test_a_digest_of_missing_files_is_refused(sound):
    sound.query[0].path.unlink()
    with pytest.raises(DataError, match=r"query.*3_c1_0\.png"):
        _ = sound.digest


def test_a_test_side_of_one_identity_is_an_error(tmp_path, image):
    for camera in (1, 2):
        image(tmp_path / "anna" / f"c{camera}_0.jpg")
        image(tmp_path / "anna" / f"c{camera}_1.jpg")
    found = data.folder(tmp_path, train_share=0).findings()
    assert [f.level for f in found if "show one identity" in f.sentence] == ["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are not text")
def test_a_name_that_is_not_utf8_has_a_digest(tmp_path):
    path = tmp_path / os.fsdecode(b"0001_c1_\xff.png")
    path.write_bytes(b"x")
    assert len(data.Benchmark("odd", [data.Record(path, 1, 1)], [], []).digest) == 64


# Copies, by their bytes


def copied(sound, split, index, of):
    """A copy of another record's image in place of this record's."""
    record = getattr(sound, split)[index]
    shutil.copy(of.path, record.path)
    return sound


@pytest.mark.parametrize(
    ("split", "index", "of", "level", "says"),
    [
        ("gallery", 0, ("query", 0), "error", r"both query and gallery.*query/3_c1_0\.png and gallery/3_c2_0\.png"),
        ("gallery", 2, ("query", 0), "error", "with two identities"),  # a distractor
        ("gallery", 1, ("query", 0), "error", "with two identities"),
        ("train", 0, ("train", 2), "error", "with two identities"),
        ("train", 1, ("train", 0), "warning", "more than once in one split"),
    ],
)
def test_copies_under_other_names_are_found(sound, split, index, of, level, says):
    finding = only_finding(copied(sound, split, index, getattr(sound, of[0])[of[1]]), read_images=False)
    assert finding.level == level and re.search(
        f"1 images are there as byte-for-byte copies and .*{says}", str(finding)
    )


def test_a_copy_in_train_and_test_is_an_error_whoever_is_on_it(sound):
    bench = changed(
        sound, train=[*sound.train[:3], Record(sound.train[3].path, 9, 2), Record(sound.train[3].path, 9, 1)]
    )
    shutil.copy(sound.train[3].path, sound.gallery[2].path)
    bench = changed(bench, gallery=[*sound.gallery[:2], Record(sound.gallery[2].path, 9, 1)])
    assert any("byte-for-byte copies and in both train and test" in finding.sentence for finding in bench.findings())


@pytest.mark.parametrize(
    ("query", "gallery", "bad"), [((3, 1), (3, 1), False), ((3, 1), (3, 2), True), ((3, -1), (3, 1), True)]
)
def test_a_copy_from_the_same_camera_is_junk_to_itself(sound, query, gallery, bad):
    shutil.copy(sound.query[0].path, sound.gallery[2].path)
    bench = changed(
        sound,
        query=[Record(sound.query[0].path, *query), sound.query[1]],
        gallery=[*sound.gallery[:2], Record(sound.gallery[2].path, *gallery)],
    )
    assert any("find itself" in finding.sentence for finding in bench.findings()) == bad


def test_the_same_pixels_in_another_file_are_a_copy_when_images_are_read(sound):
    query = sound.query[0].path
    for end in ("bmp", "tif"):
        again = query.with_name(f"again.{end}")
        Image.open(query).save(again)
        bench = changed(sound, gallery=[*sound.gallery, Record(again, sound.query[0].pid, 9)])
        with pytest.raises(DataError, match=again.name):
            bench.check(read_images=True)
        bench.check(read_images=False)


def test_of_several_copies_two_are_named_that_ought_to_differ(sound):
    first, second = sound.gallery[0], sound.gallery[1]
    for name in ("again.png", "other.png"):
        shutil.copy(first.path, first.path.with_name(name))
    more = [
        Record(first.path.with_name("again.png"), first.pid, 7),
        Record(first.path.with_name("other.png"), second.pid),
    ]
    bench = changed(sound, gallery=[*sound.gallery, *more])
    said = [found.sentence for found in bench.findings() if "two identities" in found.sentence]
    assert f"{first.path.name} and gallery/other.png" in said[0]


def test_junk_may_be_a_copy_and_files_of_one_size_need_not_be_copies(sound):
    shutil.copy(sound.query[0].path, sound.gallery[3].path)
    assert sound.findings() == []
    for i, record in enumerate(sound.train):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 4, 3), np.uint8)).save(record.path, "BMP")
    assert len({record.path.stat().st_size for record in sound.train}) == 1 and sound.findings() == []


def test_what_a_published_set_holds_twice_is_a_warning(sound):
    bench = changed(copied(sound, "gallery", 2, sound.query[0]), notes=(Finding("note", "A full copy.", "copy"),))
    assert [finding.level for finding in bench.findings()] == ["warning", "note"]
    bench.check()


@pytest.mark.parametrize(("pid", "camid"), [(2**63, 1), (-(2**63) - 1, 1), (1, 10**19), (1, -(10**19))])
def test_a_label_that_does_not_fit_64_bits_is_refused_with_its_image(pid, camid):
    with pytest.raises(DataError, match=r"a\.jpg"):
        Record(Path("a.jpg"), pid, camid)


@pytest.mark.parametrize(("pid", "camid"), [("7", 1), (1.0, 1), (None, 1), (1, "c1")])
def test_a_label_that_is_no_whole_number_is_refused_with_its_image(pid, camid):
    with pytest.raises(DataError, match=r"a\.jpg"):
        Record(Path("a.jpg"), pid, camid)
