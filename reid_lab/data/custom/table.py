"""Read a data set from a table (CSV): one row per image."""

import csv as csv_module
import io
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from reid_lab.data import cameras as cameras_of
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.cameras import Cameras, camera_of
from reid_lab.data.custom.numbering import NOBODY, number, whole
from reid_lab.data.decoding import with_grey_range
from reid_lab.data.files import image_files
from reid_lab.data.finding import Finding, not_read
from reid_lab.data.records import DISTRACTOR, JUNK, LARGEST, UNKNOWN_CAMERA, Record
from reid_lab.runtime.errors import DataError

SPLITS = ("train", "query", "gallery")
COLUMNS = ("path", "pid", "camid", "split")
SEPARATORS = ",;\t|"
MISSING = r"nan|na|n/a|#n/a|#nv|none|null|nil|\?"  # as programs write that there is no value
ELSEWHERE = r"\w{2,}://.*|[a-z]:[\\/].*|\\\\.*"  # URLs, and Windows' drives and shares
SHORTENED = r"-?\d+(?:[.,]\d+)?E\+?\d+"


def csv(path: Path | str, cameras: Cameras = None) -> Benchmark:
    """Read a table with the columns path, pid, split (train, query, gallery) and, if known, camid.

    Paths are absolute or relative to the table. Numeric pids are kept, with the field's conventions (-1 or ``junk``,
    0 or ``distractors``); if any pid is a name, all but these are numbered from 1 in alphabetical order. A camid
    that is empty, or nan, is unknown. Numbers may end in .0, as pandas writes a column with gaps. Columns are
    separated by commas, semicolons, tabs or bars; text is UTF-8, UTF-16 or Windows' cp1252.

    Args:
        path: The table.
        cameras: Replaces the column camid: a pattern that is looked for in the paths as they are written, "none", a
            function of the path, or one number for all.

    Raises:
        DataError: The table cannot be read, or a column or row is wrong; the message says which.
    """
    path = Path(os.path.abspath(Path(path).expanduser()))
    cameras_of.check(cameras)
    table = _table(path)
    pids, notes = _pids(table, path)
    camids = _camids(table, path) if cameras is None else [None] * len(table)
    names = table["path"].str.replace("\\", "/")
    splits: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for name, pid, camid, split in zip(names, pids, camids, table["split"].str.lower(), strict=True):
        image = _as_written(path.parent / name)
        splits[split].append(Record(image, pid, camera_of(image, (name,), cameras, camid)))
    notes += _beside(path, (record.path for records in splits.values() for record in records))
    return Benchmark(path.stem, **with_grey_range(splits), root=path.parent, notes=tuple(notes))


def _as_written(path: Path) -> Path:
    """The path, or the same with its accents put together or apart (macOS) if only that is there."""
    spelt = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
    if path.name.isascii() or os.path.exists(path):
        return path
    return next((other for other in spelt if os.path.exists(other)), path)


def _beside(table: Path, listed: Iterable[Path]) -> list[Finding]:
    """Images in the listed images' folders that the table does not list."""
    known = {os.path.normpath(path) for path in listed}
    folders = {Path(path).parent for path in known}
    found = [path for folder in sorted(folders) if folder.is_dir() for path in image_files(folder)]
    unlisted = [path for path in found if str(path) not in known]
    return not_read(unlisted, table.parent, f"because {table.name} does not list them", "add rows for them", "note")


def _text(path: Path) -> str:
    """The table's text, whatever its encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The table {path} cannot be read ({error}): give a CSV with {', '.join(COLUMNS)}.") from error
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
    encodings = [encoding for mark, encoding in marks.items() if content.startswith(mark)] or ["utf-8", "cp1252"]
    if b"\0" in content[:200]:
        encodings += ["utf-16-le" if content[1:2] == b"\0" else "utf-16-be"]
        encodings = encodings[-1:] if encodings[0] == "utf-8" else encodings
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        guessed = encodings[0] in ("utf-16-le", "utf-16-be")
        if "\0" not in text and not (guessed and "pid" not in text.lower()):
            return text
    raise DataError(f"The table {path} cannot be read as text: save it as CSV in UTF-8 (a workbook is no CSV).")


def _header(path: Path, text: str) -> tuple[int, str]:
    """How many lines stand above the table's header, and what separates its columns."""
    for above, line in enumerate(text.splitlines()):
        told = re.fullmatch(r"\ufeff?sep=(.)\s*", line, re.IGNORECASE)  # Excel's own note
        if line.strip() and not told:
            return above, max(SEPARATORS, key=lambda separator: _named(line, separator))
    raise DataError(f"The table {path} cannot be read (it is empty): give a CSV with {', '.join(COLUMNS)}.")


def _named(line: str, separator: str) -> int:
    """How many of the columns the header names, if they are separated so."""
    return len({cell.strip().lower() for cell in _row(line, separator)} & set(COLUMNS))


def _table(path: Path) -> pd.DataFrame:
    """The table, all cells stripped strings, by its lines in the file; every cell but camid filled."""
    text = _text(path)
    above, separator = _header(path, text)
    cells = _cells(path, text, above, separator)
    named = len(_row(text.splitlines()[above], separator))
    table = cells.iloc[1:, :named].set_axis(cells.iloc[0, :named].str.lower(), axis=1)
    _check_columns(path, table)
    _check_width(path, cells, named, separator)
    for column in {"pid", "camid"} & set(table):
        table[column] = table[column].str.replace(r"^(-?\d+)[.,](?!000$)0+$", r"\1", regex=True)  # 1,000 may be 1000
        table[column] = table[column].mask(table[column].str.fullmatch(MISSING, case=False), "")
    table = table[(table != "").any(axis=1)]  # blank lines
    for column in ("path", "pid"):
        _refuse(path, table, table[column] == "", column, f"fill in the {column}")
    elsewhere = table["path"].str.fullmatch(ELSEWHERE, case=False) & (os.name != "nt")
    _refuse(path, table, elsewhere, "path", f"it is none of this machine, so write it relative to {path.parent}")
    _refuse(path, table, ~table["split"].str.lower().isin(SPLITS), "split", f"write {', '.join(SPLITS)}")
    return table


def _row(line: str, separator: str) -> list[str]:
    return next(csv_module.reader([line], delimiter=separator, skipinitialspace=True), [])


def _width(text: str, separator: str) -> int:
    """How many cells the longest row has, be they as long as they will."""
    usual = csv_module.field_size_limit(2**31 - 1)
    try:
        rows = csv_module.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        return max(map(len, rows), default=0)
    finally:
        csv_module.field_size_limit(usual)


def _cells(path: Path, text: str, above: int, separator: str) -> pd.DataFrame:
    """All cells from the header on, stripped strings, by their lines in the file; rows are as wide as the widest."""
    form = {"dtype": str, "keep_default_na": False, "skipinitialspace": True, "skip_blank_lines": False}
    try:
        names = range(_width(text, separator))
        cells = pd.read_csv(io.StringIO(text, newline=""), sep=separator, skiprows=above, names=names, **form)
    except (ValueError, csv_module.Error) as error:
        reason = str(error).strip()
        raise DataError(f"The table {path} cannot be read ({reason}): give a CSV with {', '.join(COLUMNS)}.") from error
    cells.index = pd.RangeIndex(above + 1, above + 1 + len(cells))
    return cells.fillna("").apply(lambda column: column.str.strip())


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    missing = [column for column in COLUMNS if column != "camid" and column not in table]
    if missing:
        raise DataError(
            f"The table {path} has no column {', '.join(missing)} but {', '.join(table)}: name its columns "
            f"{', '.join(COLUMNS)} in the first line, with commas between them."
        )
    twice = [column for column in COLUMNS if list(table).count(column) > 1]
    if twice:
        raise DataError(f"The table {path} has the column {', '.join(twice)} more than once: keep one.")


def _check_width(path: Path, cells: pd.DataFrame, named: int, separator: str) -> None:
    wide = cells.index[(cells.iloc[1:, named:] != "").any(axis=1).reindex(cells.index, fill_value=False)]
    if len(wide):
        raise DataError(
            f"{len(wide):,} rows of {path} have more cells than the {named} that the header names (first: line "
            f"{wide[0]}): put a cell that holds {separator!r} in quotes, or name the other columns."
        )


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, column: str, cure: str) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{int(wrong.sum()):,} rows of {path} have a bad {column} (first: line {table.index[row]}, "
            f"{table[column].iloc[row][:60]!r}): {cure}."
        )


def _too_large(column: pd.Series) -> pd.Series:
    """Which cells are numbers that do not fit 64 bits."""
    digits = column.str.extract(r"^-?0*(\d+)$")[0].fillna("")
    return (digits.str.len() > 19) | ((digits.str.len() == 19) & (digits > str(LARGEST)))


def _pids(table: pd.DataFrame, path: Path) -> tuple[list[int], list[Finding]]:
    column = table["pid"]
    cure = "it does not fit 64 bits, so write a smaller number, or a name such as p1"
    _refuse(path, table, _too_large(column), "pid", cure)
    known = {name: NOBODY[name.lower()] for name in column if name.lower() in NOBODY}
    known |= {name: pid for name in column if (pid := whole(name)) is not None}
    wrong = column.map(lambda name: known.get(name, DISTRACTOR) < JUNK)
    _refuse(path, table, wrong, "pid", "write -1 for junk, 0 for a distractor, and 1 or more or a name for a person")
    if known.keys() >= set(column):
        return [known[name] for name in column], []
    shortened = column[column.str.fullmatch(SHORTENED, case=False)]
    nobody = {name: pid for name, pid in known.items() if pid in NOBODY.values()}
    pids, notes = number([name for name in column if name not in nobody], "the alphabet")
    if len(shortened):
        sentence = f"{len(shortened):,} pids look as if a spreadsheet had rounded them (first: {shortened.iloc[0]!r})"
        notes.append(Finding("warning", f"{sentence}, so that two people may be one: write the numbers out."))
    return [(pids | nobody)[name] for name in column], notes


def _camids(table: pd.DataFrame, path: Path) -> list[int]:
    if "camid" not in table:
        return [UNKNOWN_CAMERA] * len(table)
    known = table["camid"] != ""
    wrong = known & ~table["camid"].str.fullmatch(r"-1|\d+")
    _refuse(path, table, wrong, "camid", "write the camera's number from 0 up, or leave it empty")
    _refuse(path, table, _too_large(table["camid"]), "camid", "it does not fit 64 bits, so write a smaller number")
    return [int(camid) if camid else UNKNOWN_CAMERA for camid in table["camid"]]
