"""Data of one's own: crops with one sub-folder per identity, or a CSV; and telling folders apart."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.files import candidates, existing_folder, image_files, locate
from reid_lab.data.market import FOLDERS, MARKER, dukemtmc_reid, is_duke, market1501
from reid_lab.data.msmt import LISTS, RELEASES, msmt17
from reid_lab.data.protocol import Finding
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record
from reid_lab.errors import DataError
from reid_lab.values import is_whole

SPLITS = ("train", "query", "gallery")
COLUMNS = ("path", "pid", "camid", "split")
# c1, cam1, camera_01 as a word of its own in the path below the identity; also Market's c1s1
CAMERA = r"(?:^|[/_\-. ])c(?:am(?:era)?)?[_\-]?(\d+)(?:s\d+)?(?=[/_\-. ]|$)"
MARKET_ONLY = ("bounding_box_train", "bounding_box_test")  # a folder of that name is no identity
NOBODY = {"junk": JUNK, "distractors": DISTRACTOR}

Cameras = str | Callable[[Path], int] | int | None


def folder(root: Path | str, cameras: Cameras = None, train_share: float = 0.5, seed: int = 0) -> Benchmark:
    """Crops of one's own, with one sub-folder per identity, below ``root`` or its train, query, gallery.

    With no such folders, ``train_share`` of the identities (drawn with ``seed``) are for training and all
    others for the test, as in Market-1501. Of a test identity one image becomes a query from each camera that
    has two or more of it (if none has, one image of one camera); all else is gallery. An identity seen by one
    camera has no match in another and is gallery only; where cameras are unknown, one image is the query.

    ``cameras`` says which camera took an image: a regular expression whose first group is the number, matched
    in the path below the identity; a function of the path; or one number for all. By default c1, cam1 or
    camera_1 is looked for there (``0007/cam2/003.jpg``, ``0007/c2_003.jpg``); where none is, it is unknown.
    Identities are numbered from 1 in the order of their folders' names; ``distractors`` and ``junk`` are
    nobody (pids 0 and -1).
    Raises DataError if there are no such sub-folders, a camera that was told is not found or no number (-1 where it
    is unknown), or ``train_share`` or ``seed`` cannot work.
    """
    root = existing_folder(root)
    if not 0 <= train_share < 1:
        raise DataError(f"The share of identities for training is {train_share}: give 0 to less than 1.")
    if not is_whole(seed, 0):
        raise DataError(f"The seed of the division is {seed!r}: give a whole number from 0 up.")
    if isinstance(cameras, str):
        _check_pattern(cameras)
    tops = {split: root / split for split in SPLITS if (root / split).is_dir()} or {"": root}
    pids = _number(sorted({person.name for top in tops.values() for person in _people(top)}))
    found = {split: _crops(top, pids, cameras) for split, top in tops.items()}
    if not any(found.values()):
        raise DataError(
            f"The folder {root} holds no images in sub-folders: make one sub-folder per identity "
            f"({root.name}/anna/cam1_001.jpg), or give the folder above it."
        )
    splits = found if "" not in found else open_split(found[""], train_share, seed)
    note = Finding("note", f"Identities are numbered in the order of their folders' names: {_say(pids)}.")
    return Benchmark(root.name, **{split: splits.get(split, []) for split in SPLITS}, root=root, notes=(note,))


def _people(top: Path) -> list[Path]:
    return sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))


def _number(names: Sequence[str]) -> dict[str, int]:
    people = [name for name in names if name not in NOBODY]
    return {name: pid for pid, name in enumerate(people, 1)} | {name: NOBODY[name] for name in names if name in NOBODY}


def _crops(top: Path, pids: dict[str, int], cameras: Cameras) -> list[Record]:
    return [
        Record(path, pids[person.name], _camera(path, path.relative_to(person).as_posix(), cameras))
        for person in _people(top)
        for path in image_files(person, recursive=True)
    ]


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise DataError(f"The camera pattern {pattern!r} is no regular expression ({error}): correct it.") from error
    if not groups:
        raise DataError(
            f"The camera pattern {pattern!r} has no group: put the number in brackets, as in 'cam([0-9]+)'."
        )


def _camera(path: Path, name: str, cameras: Cameras) -> int:
    if cameras is None or isinstance(cameras, str):
        return _camera_in(path, name, cameras)
    told = cameras(path) if callable(cameras) else cameras
    if not is_whole(told, UNKNOWN_CAMERA):
        raise DataError(f"The camera of {path} was told as {told!r}: give its number, or -1 if it is unknown.")
    return int(told)


def _camera_in(path: Path, name: str, pattern: str | None) -> int:
    match = re.search(CAMERA if pattern is None else pattern, name, re.IGNORECASE)
    if match is None and pattern is None:
        return UNKNOWN_CAMERA
    if match is None:
        raise DataError(f"No camera is found in {path}: the pattern {pattern!r} does not match {name!r}; correct one.")
    try:
        return int(match[1])
    except (TypeError, ValueError) as error:  # None is a group that was left out
        found = f"The camera pattern {pattern!r} finds {match[1]!r} in {path}"
        raise DataError(f"{found}, which is no number: put the number alone in brackets.") from error


def _say(pids: dict[str, int]) -> str:
    shown = [f"{name} is {pid}" for name, pid in pids.items()]
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")


def open_split(records: Sequence[Record], train_share: float, seed: int) -> dict[str, list[Record]]:
    """Divide records by identity into train, query and gallery (the rule is in :func:`folder`)."""
    random = np.random.default_rng(seed)
    people = sorted({record.pid for record in records} - {JUNK, DISTRACTOR})
    in_train = set(random.permutation(people)[: round(len(people) * train_share)].tolist())
    splits: dict[str, list[Record]] = {
        "train": [record for record in records if record.pid in in_train],
        "query": [],
        "gallery": [record for record in records if record.pid in (JUNK, DISTRACTOR)],
    }
    for pid in people:
        if pid not in in_train:
            crops = [record for record in records if record.pid == pid]
            queries = _queries(crops, random)
            splits["query"] += queries
            splits["gallery"] += [record for record in crops if record not in queries]
    return splits


def _queries(crops: Sequence[Record], random: np.random.Generator) -> list[Record]:
    """The crops of one identity that become queries, so that each still has a match."""
    by_camera: dict[int, list[Record]] = {}
    for record in crops:
        by_camera.setdefault(record.camid, []).append(record)
    drawn = {camid: some[random.integers(len(some))] for camid, some in by_camera.items()}
    if set(by_camera) == {UNKNOWN_CAMERA}:
        return list(drawn.values()) if len(crops) > 1 else []
    if len(by_camera) == 1:
        return []
    spare = [drawn[camid] for camid, some in by_camera.items() if len(some) > 1]
    return spare or [drawn[random.choice(sorted(drawn))]]


def csv(path: Path | str) -> Benchmark:
    """A table with the columns path, pid, split (train, query, gallery) and, if known, camid.

    Paths are absolute or relative to the table. Numeric pids are kept, with the field's conventions (-1 or ``junk``,
    0 or ``distractors``); if any pid is a name, all but these are numbered from 1 in alphabetical order. An empty
    camid is unknown. Numbers may end in .0, as pandas writes a column with gaps; blank lines are passed over.
    Raises DataError if the table cannot be read, or which column and row is wrong.
    """
    path = Path(os.path.abspath(Path(path).expanduser()))
    table = _table(path)
    pids, note = _pids(table, path)
    camids = _camids(table, path)
    places = [path.parent / name for name in table["path"].str.replace("\\", "/")]
    splits: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for place, pid, camid, split in zip(places, pids, camids, table["split"].str.lower(), strict=True):
        splits[split].append(Record(place, pid, camid))
    return Benchmark(path.stem, **splits, root=path.parent, notes=note)


def _table(path: Path) -> pd.DataFrame:
    """The table, all cells stripped strings, by its lines in the file; every cell but camid filled."""
    try:
        with path.open("rb") as file:
            above = next((i for i, line in enumerate(file) if line.strip()), 0)
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, skipinitialspace=True, skiprows=above, skip_blank_lines=False
        )
    except (OSError, ValueError) as error:
        raise DataError(f"The table {path} cannot be read ({error}): give a CSV with {', '.join(COLUMNS)}.") from error
    table = table.rename(columns=str.strip).rename(columns=str.lower)
    missing = [column for column in COLUMNS if column != "camid" and column not in table]
    if missing:
        raise DataError(
            f"The table {path} has no column {', '.join(missing)} but {', '.join(table)}: name its columns "
            f"{', '.join(COLUMNS)}."
        )
    twice = [column for column in COLUMNS if list(table).count(column) > 1]
    if twice:
        raise DataError(f"The table {path} has the column {', '.join(twice)} more than once: keep one.")
    table.index = pd.RangeIndex(above + 2, above + 2 + len(table))
    table = table.apply(lambda column: column.str.strip())
    for column in {"pid", "camid"} & set(table):
        table[column] = table[column].str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    table = table[(table != "").any(axis=1)]  # blank lines
    for column in ("path", "pid"):
        _refuse(path, table, table[column] == "", column, f"fill in the {column}")
    _refuse(path, table, ~table["split"].str.lower().isin(SPLITS), "split", f"write {', '.join(SPLITS)}")
    return table


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, column: str, cure: str) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{int(wrong.sum()):,} rows of {path} have a bad {column} (first: line {table.index[row]}, "
            f"{table[column].iloc[row]!r}): {cure}."
        )


def _pids(table: pd.DataFrame, path: Path) -> tuple[list[int], tuple[Finding, ...]]:
    column = table["pid"]
    known = NOBODY | {name: int(name) for name in column if re.fullmatch(r"-?\d+", name)}
    wrong = column.map(lambda name: known.get(name, DISTRACTOR) < JUNK)
    _refuse(path, table, wrong, "pid", "write -1 for junk, 0 for a distractor, and 1 or more or a name for a person")
    if known.keys() >= set(column):
        return [known[name] for name in column], ()
    nobody = {name: pid for name, pid in known.items() if pid in NOBODY.values()}
    pids = {name: pid for pid, name in enumerate(sorted(set(column) - nobody.keys()), 1)}
    note = Finding("note", f"Identities are numbered in alphabetical order: {_say(pids)}.")
    pids |= nobody
    return [pids[name] for name in column], (note,)


def _camids(table: pd.DataFrame, path: Path) -> list[int]:
    if "camid" not in table:
        return [UNKNOWN_CAMERA] * len(table)
    known = table["camid"] != ""
    wrong = known & ~table["camid"].str.fullmatch(r"-?\d+")
    _refuse(path, table, wrong, "camid", "write the camera's number, or leave it empty")
    return [int(camid) if camid else UNKNOWN_CAMERA for camid in table["camid"]]


def recognise(root: Path | str) -> tuple[str, Benchmark]:
    """What a path is, and the benchmark read from it.

    Kinds: "passersby", "market1501", "dukemtmc_reid", "msmt17", "folder", "csv". Raises DataError if it is
    none of them, or is one that cannot be read.
    """
    path = Path(root).expanduser()
    if path.is_file() and path.suffix.lower() == ".csv":
        return "csv", csv(path)
    path = existing_folder(path)
    if candidates(path, FOLDERS.values()) or any((path / name).is_dir() for name in MARKET_ONLY):
        top = locate(path, FOLDERS.values(), "a data set in Market-1501's layout")
        if (top / MARKER).is_file():
            return "passersby", market1501(top)
        return ("dukemtmc_reid", dukemtmc_reid(top)) if is_duke(top) else ("market1501", market1501(top))
    inside = [name for release in RELEASES for name in release]
    if candidates(path, LISTS, inside) or any((path / name).is_file() for name in LISTS):
        return "msmt17", msmt17(path)
    return "folder", folder(path)
