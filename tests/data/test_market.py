import json
import re
import shutil
from pathlib import Path

import pytest

from reid_lab import data
from reid_lab.data.datasets import market as module
from reid_lab.data.datasets import published
from reid_lab.data.records import Record
from reid_lab.runtime.errors import DataError


def names(records):
    return [record.path.name for record in records]


def pids_and_cameras(records):
    return [(record.pid, record.camid) for record in records]


def test_identity_and_camera_are_read_from_the_name(market):
    bench = data.market1501(market())
    assert pids_and_cameras(bench.train) == [(2, 1), (2, 2), (7, 1), (7, 3)]
    assert pids_and_cameras(bench.query) == [(1, 1), (3, 2)]
    assert bench.name == "Market-1501"


def test_junk_is_dropped_or_kept_and_distractors_stay(market):
    root = market()
    dropped, kept = data.market1501(root), data.market1501(root, junk="mask")
    assert [record.pid for record in dropped.gallery] == [0, 1, 1, 3]
    assert sorted(record.pid for record in kept.gallery) == [-1, 0, 1, 1, 3]
    with pytest.raises(DataError, match="junk"):
        data.market1501(root, junk="hide")


def test_thumbs_db_hidden_and_foreign_files_are_passed_over(market):
    root = market()
    for name in ("Thumbs.db", ".DS_Store", "._0002_c1s1_000451_03.jpg", "readme.txt"):
        (root / "bounding_box_train" / name).write_bytes(b"no image")
    assert len(data.market1501(root).train) == 4


@pytest.mark.parametrize("suffix", [".JPG", ".png", ".PNG", ".jpeg"])
def test_other_suffixes_are_images_too(market, suffix):
    root = market()
    for path in root.rglob("*.jpg"):
        path.rename(path.with_suffix(suffix))
    bench = data.market1501(root)
    assert (len(bench.train), len(bench.query), len(bench.gallery)) == (4, 2, 4)


def test_the_root_may_be_one_level_too_high_or_too_low(market):
    root = market()
    expected = names(data.market1501(root).train)
    for other in (root.parent, root / "bounding_box_train", root / "query"):
        bench = data.market1501(other)
        assert names(bench.train) == expected and bench.root == root


def test_two_copies_side_by_side_are_not_guessed_between(market, tmp_path):
    market()
    market(root=tmp_path / "copy")
    with pytest.raises(DataError, match="copy"):
        data.market1501(tmp_path)


def test_a_wrong_or_missing_folder_is_named_with_what_it_lacks(market, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        data.market1501(tmp_path / "nowhere")
    with pytest.raises(DataError, match="bounding_box_train, query, bounding_box_test"):
        data.market1501(tmp_path)
    root = market()
    with pytest.raises(DataError, match=r"\.jpg"):
        data.market1501(next(root.rglob("*.jpg")))


def test_names_that_do_not_parse_are_counted_and_named(market, image):
    root = market()
    image(root / "query" / "holiday.jpg")
    with pytest.raises(DataError, match=r"query.*holiday\.jpg"):
        data.market1501(root)


DUKE_NAMES = {
    "bounding_box_train": ["0001_c2_f0046182.jpg", "0001_c3_f0046302.jpg"],
    "query": ["0005_c2_f0046985.jpg"],
    "bounding_box_test": ["0005_c6_f0046985.jpg", "7140_c8_f0046985.jpg"],
}


def test_market_and_duke_are_not_taken_for_each_other(market, tmp_path):
    with pytest.raises(DataError, match="dukemtmc_reid"):
        data.market1501(market(DUKE_NAMES, tmp_path / "duke"))
    with pytest.raises(DataError, match="market1501"):
        data.dukemtmc_reid(market(root=tmp_path / "market"))


def test_duke_is_recognized_by_its_names(market):
    kind, bench = data.recognize(market(DUKE_NAMES))
    assert kind == "dukemtmc_reid" and bench.name == "DukeMTMC-reID"
    assert pids_and_cameras(bench.gallery) == [(5, 6), (7140, 8)]


def marked(root: Path, listed: list[str]) -> Path:
    (root / "passersby.json").write_text(json.dumps({"size": "smoke", "seed": 3}))
    rows = [f"{name},{0.5}" for name in listed]
    (root / "truth.csv").write_text("\n".join(["path,occluded", *rows]))
    return root


def test_passersby_is_never_taken_for_market_and_brings_its_truth(market):
    root = market()
    listed = [path.relative_to(root).as_posix() for path in root.rglob("*.jpg")]
    kind, bench = data.recognize(marked(root, listed).parent)
    assert kind == "passersby" and bench.name == "Passersby smoke, seed 3"
    assert bench.annotations.loc[bench.relative(bench.query[0]), "occluded"] == 0.5
    assert [finding.level for finding in bench.notes] == ["note", "note"]
    assert "Junk is left out of the gallery: 1 image with pid -1" in bench.notes[1].sentence
    assert "Market" not in " ".join(map(str, bench.findings()))


def test_a_passersby_folder_that_lost_images_or_truth_says_so(market):
    root = market()
    marked(root, ["query/0009_c1s1_1_1.jpg"])
    assert "partial copy of Passersby: 1 images" in str(data.market1501(root).notes[0])
    (root / "truth.csv").unlink()
    assert "lost its truth.csv" in str(data.market1501(root).notes[0])


def test_passersby_is_generated_and_read(market, monkeypatch):
    asked = []
    generate = lambda *given, **more: asked.append((*given, more)) or marked(market(), [])  # noqa: E731
    monkeypatch.setattr("reid_lab.passersby.generate", generate, raising=False)
    assert module.passersby("smoke", seed=3).name == "Passersby smoke, seed 3"
    assert asked == [("smoke", 3, {"town": "city"})]


def fake_market(train=12_936, people=751, suffix=".jpg"):
    """Records with Market-1501's counts; the verdict opens no file."""
    path = Path("x").with_suffix(suffix)

    def some(count, pids):
        return [Record(path, 1 + i % pids, 1) for i in range(count)]

    gallery = some(13_115, 750) + [Record(path, 0, 1)] * 2_798 + [Record(path, -1, 1)] * 3_819
    return {"train": some(train, people), "query": some(3_368, 750), "gallery": gallery}


@pytest.mark.parametrize(
    ("splits", "level", "says"),
    [
        (fake_market(), "note", "full copy of Market-1501: train 12,936 images of 751 identities"),
        (fake_market(train=100, people=50), "warning", "partial copy .*train 100 images of 50 identities"),
        (fake_market(train=13_000), "warning", "an altered copy .*train 13,000 images"),
        (fake_market(suffix=".png"), "warning", r"altered copy .*\.png instead of \.jpg"),
    ],
)
def test_the_verdict_tells_full_partial_and_altered_copies_apart(splits, level, says):
    finding = published.verdict("Market-1501", splits)
    assert finding.level == level
    assert re.search(says, finding.sentence)


def test_a_small_copy_is_reported_as_partial(market):
    assert "partial copy of Market-1501" in str(data.market1501(market()).findings()[0])


@pytest.mark.parametrize("damage", [b"", b"x\n1\n", b'x,y\n"1', b"\xff\xfe\x00"])
def test_a_damaged_truth_table_is_named(smoke, tmp_path, damage):
    copy = shutil.copytree(smoke.root, tmp_path / "copy")
    (copy / "truth.csv").write_bytes(damage)
    with pytest.raises(DataError, match="truth.csv"):
        data.market1501(copy)


def test_a_camera_may_have_two_digits_and_an_identity_any_number(market):
    names = {
        "bounding_box_train": ["0002_c12s1_1_1.jpg", "0002_c1s12_1_1.jpg", "12345_c3s1_1_1.jpg"],
        "query": ["0001_c10s1_001051_00.jpg"],
        "bounding_box_test": ["0001_c1s3_001051_00.jpg", "-1_c11s1_000401_00.jpg"],
    }
    bench = data.market1501(market(names), junk="mask")
    assert sorted(pids_and_cameras(bench.train)) == [(2, 1), (2, 12), (12345, 3)]
    assert pids_and_cameras(bench.query) == [(1, 10)]
    assert sorted(pids_and_cameras(bench.gallery)) == [(-1, 11), (1, 1)]
