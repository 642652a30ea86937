import pytest

from reid_lab import data
from reid_lab.runtime.errors import DataError

TRAIN = "0000/0000_000_01_0303morning_0008_0.jpg"
VAL = "0001/0001_000_15_0303noon_0008_0.jpg"
QUERY = "0000/0000_001_03_0303morning_0008_0.jpg"
GALLERY = "0000/0000_002_07_0303afternoon_0008_1.jpg"


@pytest.fixture(params=[("MSMT17_V1", "train", "test"), ("MSMT17_V2", "mask_train_v2", "mask_test_v2")])
def msmt(request, tmp_path, image):
    name, train, test = request.param
    root = tmp_path / name
    for split, folder, file, pid in (
        ("train", train, TRAIN, 0),
        ("val", train, VAL, 1),
        ("query", test, QUERY, 0),
        ("gallery", test, GALLERY, 0),
    ):
        image(root / folder / file)
        (root / f"list_{split}.txt").write_text(f"{file} {pid}\n\n")
    return root


def test_both_releases_are_read_from_their_lists_with_cameras_from_the_names(msmt):
    bench = data.msmt17(msmt)
    assert [(record.pid, record.camid) for record in bench.train] == [(1, 1), (2, 15)]
    assert [(record.pid, record.camid) for record in [*bench.query, *bench.gallery]] == [(3, 3), (3, 7)]
    assert all(record.path.is_file() for records in bench.splits.values() for record in records)


def test_identity_0_of_train_and_test_are_two_people_and_no_distractor(msmt):
    assert [finding.level for finding in data.msmt17(msmt).findings()] == [
        "error",  # one test identity
        "warning",  # partial
        "warning",  # lonely
    ]
    assert "partial copy of MSMT17" in str(data.msmt17(msmt).notes[0])


def test_the_root_may_be_one_level_too_high_or_too_low(msmt):
    train = next(path for path in msmt.iterdir() if "train" in path.name and path.is_dir())
    for other in (msmt.parent, train):
        assert data.msmt17(other).root == msmt
        assert data.recognize(other)[0] == "msmt17"


def test_listed_images_are_found_in_another_format_or_case(msmt):
    for path in msmt.rglob("*.jpg"):
        path.rename(path.with_suffix(".PNG" if "0303noon" in path.name else ".JPG"))
    assert all(record.path.is_file() for record in data.msmt17(msmt).train)


def test_validation_images_may_be_absent(msmt):
    (msmt / "list_val.txt").unlink()
    assert len(data.msmt17(msmt).train) == 1


@pytest.mark.parametrize("line", ["0000/picture.jpg 0", TRAIN, f"{TRAIN} someone"])
def test_a_line_that_does_not_parse_is_named_with_list_and_number(msmt, line):
    (msmt / "list_query.txt").write_text(f"{QUERY} 0\n{line}\n")
    with pytest.raises(DataError, match=r"\b2 of .*list_query\.txt"):
        data.msmt17(msmt)


def test_lists_without_their_image_folders_are_refused(msmt):
    train = next(path for path in msmt.iterdir() if "train" in path.name and path.is_dir())
    train.rename(msmt / "elsewhere")
    with pytest.raises(DataError, match="train and test .*mask_train_v2 and mask_test_v2"):
        data.msmt17(msmt)


def test_a_listed_image_that_is_not_there_is_an_error_of_the_check(msmt):
    next(msmt.rglob("*0303noon*")).unlink()
    with pytest.raises(DataError, match=r"0303noon_0008_0\.jpg"):
        data.msmt17(msmt).check()


def test_no_number_means_two_people_also_where_the_lists_leave_numbers_out(msmt):
    train = (msmt / "list_train.txt").read_text()
    (msmt / "list_train.txt").write_text(train.replace(f"{TRAIN} 0", f"{TRAIN} 7"))
    bench = data.msmt17(msmt)
    assert {record.pid for record in bench.train} == {8, 2}
    assert {record.pid for record in [*bench.query, *bench.gallery]} == {9}


@pytest.mark.parametrize(("told", "camids"), [("none", {-1}), (r"_(\d+)_0\.jpg$|_(\d+)_1", None), (None, {1, 15})])
def test_cameras_that_are_told_replace_the_names(msmt, told, camids):
    if camids is None:
        with pytest.raises(DataError, match="None"):
            data.msmt17(msmt, told)
    else:
        assert {record.camid for record in data.recognize(msmt, told)[1].train} == camids


def test_images_that_no_list_names_are_counted(msmt, image):
    train = next(path for path in msmt.iterdir() if "train" in path.name and path.is_dir())
    image(train / "0009" / "0009_000_01_0303morning_0008_0.jpg")
    assert "1 image is not read" in data.msmt17(msmt).notes[1].sentence


def test_a_label_that_does_not_fit_64_bits_is_refused(msmt):
    (msmt / "list_query.txt").write_text(f"{QUERY} {10**19}\n")
    with pytest.raises(DataError, match=str(10**19)[:19]):
        data.msmt17(msmt)
