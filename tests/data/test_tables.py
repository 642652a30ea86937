import os
import unicodedata

import pytest

from reid_lab import data
from reid_lab.data.records import Record
from reid_lab.runtime.errors import DataError

NOT_WINDOWS = pytest.mark.skipif(os.name == "nt", reason="paths of Windows are this machine's")


def write(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_is_read_with_paths_relative_to_it(tmp_path, image):
    image(tmp_path / "a.jpg")
    text = f"path,pid,camid,split\na.jpg,1,2,train\n{tmp_path / 'a.jpg'},-1, ,Gallery\nsub\\b.jpg,5,3,query\n"
    bench = data.csv(write(tmp_path, text))
    assert bench.train == [Record(tmp_path / "a.jpg", 1, 2)]
    assert bench.gallery == [Record(tmp_path / "a.jpg", -1, -1)]
    assert bench.query == [Record(tmp_path / "sub" / "b.jpg", 5, 3)]
    assert data.recognize(tmp_path / "table.csv")[0] == "csv"


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
        (["7", "−1", "0"], [7, -1, 0]),  # a typesetter's minus
        (['"1,0"', "1.000", "1"], [1, 2, 1]),  # in some countries 1000
    ],
)
def test_numbers_of_pandas_are_kept_and_junk_and_distractors_are_nobody(tmp_path, written, pids):
    rows = "".join(f"{i}.jpg,{pid},3.0,gallery\n" for i, pid in enumerate(written))
    bench = data.csv(write(tmp_path, f"path,pid,camid,split\n{rows}"))
    assert [(r.pid, r.camid) for r in bench.gallery] == [(pid, 3) for pid in pids]


def test_no_value_is_an_unknown_camera_and_empty_cells_beyond_the_header_are_nothing(tmp_path):
    text = "path,pid,camid,split\na,1,nan,train,\nb,2,NA,train,,\nc,3,4.0,train\n"
    assert [(r.pid, r.camid) for r in data.csv(write(tmp_path, text)).train] == [(1, -1), (2, -1), (3, 4)]


@pytest.mark.parametrize("pid", ["1,23E+10", "1.23457e+13", "1e10"])
def test_pids_that_a_spreadsheet_has_rounded_are_asked_about(tmp_path, pid):
    notes = data.csv(write(tmp_path, f"path;pid;split\na;{pid};train\nb;2;train\n")).notes
    assert [note.level for note in notes if "a spreadsheet had rounded them" in note.sentence] == ["warning"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_put_together_or_apart_are_the_same_name(tmp_path, image, form):
    there = image(tmp_path / unicodedata.normalize(form, "é.png"))
    other = unicodedata.normalize({"NFC": "NFD", "NFD": "NFC"}[form], "é.png")
    path = tmp_path / "table.csv"
    path.write_text(f"path,pid,split\n{other},1,train\n", encoding="utf-8")
    assert data.csv(path).train[0].path.samefile(there)


def test_blank_lines_are_passed_over_but_counted(tmp_path):
    text = "\n\npath,pid,split\n\n \na,1,train\n\n"
    assert [r.pid for r in data.csv(write(tmp_path, text)).train] == [1]
    with pytest.raises(DataError, match="line 8, 'test'"):
        data.csv(write(tmp_path, text + "b,1,test\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,pid,PID,split\na,1,1,train\n", "column pid"),
        ("path,pid,split\na,1,train\nb,-2,train\n", "pid .*line 3, '-2'"),
        ("file,pid,split\na,1,train\n", "column path .*file, pid, split"),
        ("path,pid,split\na,1,train\nb,1,test\n", "split .*line 3, 'test'"),
        ("path,pid,split\na,,train\n", "pid .*line 2, ''"),
        ("path,pid,camid,split\na,1,left,train\n", "camid .*line 2, 'left'"),
        ("", r"table\.csv"),
        ("path,pid,split\na,1,train\nb,9223372036854775808,train\n", "pid .*line 3"),
        ("path,pid,split\na,-10000000000000000000,train\n", "pid .*line 2"),
        (f"path,pid,split\na,{'9' * 5000},train\n", "pid .*line 2"),
        ("path,pid,camid,split\na,1,10000000000000000000,train\n", "camid .*line 2"),
        ("path,pid,camid,split\na,1,-5,train\n", "camid .*'-5'"),
        ("path,pid,split\na,1,train\nb,nan,train\n", "pid .*line 3"),
        ("path,pid,split\na,#N/A,train\n", "pid .*line 2"),
        ("path,pid,split\nx, y.jpg,1,train\n", "line 2.*','"),
        ("path,pid,pid,split\na,1,2,train\n", "column pid"),
        ('path,pid,split\n"a,1,train\nb,2,train\n', r"table\.csv"),
        pytest.param("path,pid,split\nC:\\a\\b.jpg,1,train\n", "path .*line 2, 'C:", marks=NOT_WINDOWS),
        pytest.param("path,pid,split\nhttps://x/b.jpg,1,train\n", "path .*line 2, 'https", marks=NOT_WINDOWS),
    ],
)
def test_a_bad_csv_is_refused_with_column_and_line(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        data.csv(write(tmp_path, text))


def test_a_cell_may_be_long(tmp_path):
    assert len(data.csv(write(tmp_path, f"path,pid,split,picture\na,1,train,{'x' * 200_000}\n")).train) == 1


def test_a_byte_of_nothing_in_a_table_is_no_other_encoding(tmp_path):
    with pytest.raises(DataError, match=r"\.csv"):
        data.csv(write(tmp_path, "path,pid,split\na\0.jpg,1,train\n"))


def test_a_name_that_is_too_long_is_a_file_that_is_not_there(tmp_path):
    bench = data.csv(write(tmp_path, f"path,pid,split\n{'ä' * 5000},1,train\n"))
    for read_images in (False, True):
        assert any("does not exist" in finding.sentence for finding in bench.findings(read_images))


def test_a_missing_csv_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        data.csv(tmp_path / "nowhere.csv")


TEXT = "path,pid,camid,split\né.jpg,1,2,train\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("note", ["", "sep={}\n"])
def test_a_table_is_read_whatever_separates_and_encodes_it(tmp_path, encoding, separator, note):
    text = note.format(separator) + TEXT.replace(",", separator)
    (tmp_path / "table.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert data.csv(tmp_path / "table.csv").train == [Record(tmp_path / "é.jpg", 1, 2)]


def test_other_separators_may_stand_in_names_and_numbers(tmp_path):
    bench = data.csv(write(tmp_path, 'pid;path;split\n1,0;"a;b,c.jpg";train\n'))
    assert bench.train == [Record(tmp_path / "a;b,c.jpg", 1)]


@pytest.mark.parametrize("content", [b"PK\x03\x04\0\0\0\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_what_is_no_text_is_told_so(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"table\.csv"):
        data.csv(tmp_path / "table.csv")


@pytest.mark.parametrize(("told", "camid"), [(None, 2), ("none", -1), ("5", 5), (r"cam(\d)", 3)])
def test_cameras_that_are_told_replace_the_column(tmp_path, told, camid):
    path = write(tmp_path, "path,pid,camid,split\ncam3/a.jpg,1,2,train\n")
    assert data.recognize(path, told)[1].train[0].camid == camid


def test_images_beside_the_listed_ones_are_counted(tmp_path, image):
    for name in ("a", "b", "c"):
        image(tmp_path / "crops" / f"{name}.jpg")
    bench = data.csv(write(tmp_path, "path,pid,split\ncrops/a.jpg,1,train\n"))
    assert "2 images are not read (first: crops/b.jpg, crops/c.jpg), because table.csv" in bench.notes[0].sentence
