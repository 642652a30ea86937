"""Data sets in Market-1501's layout: Market-1501 itself, DukeMTMC-reID, and our own Passersby.

- ``bounding_box_train/0002_c1s1_000451_03.jpg``: identity 2, camera 1
- ``bounding_box_test/-1_c1s1_000401_00.jpg``: junk; ``0000_c1s1_...`` is a distractor
- ``query/0001_c1s1_001051_00.jpg``
"""

import json
import os
import re
from pathlib import Path
from typing import Literal

import pandas as pd

from reid_lab.data import cameras as cameras_of
from reid_lab.data.benchmark import VALIDATION, Benchmark
from reid_lab.data.cameras import Cameras, camera_of
from reid_lab.data.datasets.published import verdict
from reid_lab.data.decoding import with_grey_range
from reid_lab.data.files import child, image_files, locate, look
from reid_lab.data.finding import Finding, n_images, not_read, passed_over
from reid_lab.data.records import JUNK, Record, Splits
from reid_lab.runtime.errors import DataError

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
MARKER = "passersby.json"
NAME = re.compile(r"(-?\d+)_c(\d+)")
DUKE_NAME = re.compile(r"\d+_c\d+_f\d+")

Junk = Literal["drop", "mask"]


def market1501(root: Path | str, junk: Junk = "drop", cameras: Cameras = None) -> Benchmark:
    """Read Market-1501 (Zheng et al., ICCV 2015), or any data set in its layout.

    Args:
        root: The folder. A Passersby folder is told apart, and gets its annotations.
        junk: What becomes of gallery images of pid -1: "drop" leaves them out, as most code does; "mask" keeps them,
            which matters to the neighbors that re-ranking sees. Distractors (pid 0) stay.
        cameras: Replaces the names' cameras: a pattern that is looked for in the path, "none" if they are unknown, a
            function of the path, or one number for all.

    Raises:
        DataError: The folder has another layout or DukeMTMC-reID's names, or a name does not parse.
    """
    root = locate(root, FOLDERS.values(), "Market-1501")
    if is_duke(root):
        raise DataError(f"The folder {root} holds DukeMTMC-reID, as its names say: read it with dukemtmc_reid.")
    drops = _drops(junk)
    splits, left_out = _read(root, cameras)
    kept = _without_junk(splits) if drops else splits
    if drops:
        left_out += _dropped(splits)
    if (root / MARKER).is_file():
        annotations, notes = _annotations(root, splits)
        return Benchmark(_passersby_name(root), **kept, annotations=annotations, root=root, notes=(*notes, *left_out))
    return Benchmark("Market-1501", **kept, root=root, notes=(verdict("Market-1501", splits), *left_out))


def dukemtmc_reid(root: Path | str, cameras: Cameras = None) -> Benchmark:
    """Read DukeMTMC-reID (Zheng, Zheng and Yang, ICCV 2017).

    Its authors withdrew it in 2019; this serves people who hold a copy lawfully, and nothing downloads it.

    Args:
        root: The folder.
        cameras: As in :func:`market1501`.

    Raises:
        DataError: The folder has another layout, its queries have other names, or a name does not parse.
    """
    root = locate(root, FOLDERS.values(), "DukeMTMC-reID")
    if not is_duke(root):
        raise DataError(
            f"The folder {root} is not DukeMTMC-reID: its queries are not named as 0005_c2_f0046985.jpg is; read it "
            "with market1501, or unpack the archive again."
        )
    splits, left_out = _read(root, cameras)
    return Benchmark("DukeMTMC-reID", **splits, root=root, notes=(verdict("DukeMTMC-reID", splits), *left_out))


def passersby(size: str = "classroom", seed: int = 0, junk: Junk = "drop", town: str = "city") -> Benchmark:
    """Read Passersby, the synthetic data set with exact annotations; generate it on first use.

    Its scores say nothing about real people.

    Args:
        size: "smoke", "classroom" or "full".
        seed: Another seed is another data set of the same town.
        junk: As in :func:`market1501`.
        town: "city", or "coast" for other scenes, another light and other clothes: a domain shift.

    Raises:
        DataError: There is no such size, seed or town, or the images cannot be written.
    """
    from reid_lab.passersby import generate  # slow to import, and only needed here

    return market1501(generate(size, seed, town=town), junk)


def is_duke(root: Path) -> bool:
    """Whether the queries of a folder in Market-1501's layout have DukeMTMC-reID's names."""
    names = [path.name for path in image_files(child(root, FOLDERS["query"]), recursive=True)]
    return bool(names) and all(DUKE_NAME.match(name) for name in names)


def _read(root: Path, cameras: Cameras) -> tuple[Splits, list[Finding]]:
    """The three lists, and what lies in and beside their folders and is not read."""
    cameras_of.check(cameras)
    seen = look(root)
    left_out = passed_over(seen.passed, root)
    folders = {split: child(root, name) for split, name in FOLDERS.items()}
    splits, beside = {}, set(seen.images)
    for split, folder in folders.items():
        inside = [path for path in seen.images if str(path).startswith(os.path.join(folder, ""))]
        flat = [path for path in inside if path.parent == folder]
        splits[split] = _records(flat or inside, folder, cameras)  # or all of them one level deeper
        deeper = sorted(set(inside) - set(flat)) if flat else []
        why = f"because they lie deeper than others in {folder.name}"
        left_out += not_read(deeper, root, why, "move them up, or away")
        beside -= set(inside)
    why, cure = "because they lie beside the three folders", "move them in if they belong"
    left_out += not_read(sorted(beside), root, why, cure, "note")
    return with_grey_range(splits), left_out


def _records(files: list[Path], folder: Path, cameras: Cameras) -> list[Record]:
    parsed = [NAME.match(path.name) for path in files]
    bad = [path.name for path, match in zip(files, parsed, strict=True) if match is None]
    if bad:
        raise DataError(
            f"{len(bad):,} of {len(files):,} image names in {folder} do not begin with identity and camera, "
            f"as 0002_c1s1_000451_03.jpg does (first: {', '.join(bad[:3])}): rename them or move them away."
        )
    return [
        Record(path, int(m[1]), camera_of(path, (path.as_posix(),), cameras, int(m[2])))
        for path, m in zip(files, parsed, strict=True)
        if m is not None
    ]


def _drops(junk: str) -> bool:
    if junk not in ("drop", "mask"):
        raise DataError(f'Junk images can be treated in two ways, not {junk!r}: give junk="drop" or junk="mask".')
    return junk == "drop"


def _without_junk(splits: Splits) -> Splits:
    gallery = [record for record in splits["gallery"] if record.pid != JUNK]
    return {**splits, "gallery": gallery}


def _dropped(splits: Splits) -> list[Finding]:
    count = sum(record.pid == JUNK for record in splits["gallery"])
    sentence = f"Junk is left out of the gallery: {n_images(count)} with pid -1"
    return [Finding("note", f'{sentence}; junk="mask" keeps them.')] if count else []


def _passersby_name(root: Path) -> str:
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
        part = VALIDATION if marker.get("part") == "validation" else ""
        town = f"{marker['town']} " if "town" in marker else ""
        return f"Passersby {town}{marker['size']}, seed {marker['seed']}{part}"
    except (ValueError, KeyError, TypeError):
        return "Passersby"


def _annotations(root: Path, splits: Splits) -> tuple[pd.DataFrame | None, tuple[Finding, ...]]:
    """The table of annotations, and what of it the folder lacks."""
    path = root / "truth.csv"
    if not path.is_file():
        cure = "delete the folder, and it is generated again when next asked for"
        return None, (Finding("warning", f"This Passersby folder has lost its {path.name}: {cure}.", "copy"),)
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)  # "none" is a word
        table = table.set_index("path")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"The table {path} is damaged ({error}): delete the folder, and Passersby is generated again, or copy "
            "the table again from the original."
        ) from error
    present = {r.path.relative_to(root).as_posix() for records in splits.values() for r in records}
    absent = len(set(table.index) - present)
    if absent:
        sentence = f"This is a partial copy of Passersby: {absent:,} images that truth.csv lists are not there"
        return table, (Finding("warning", f"{sentence}: copy it again, or delete it to have it generated.", "copy"),)
    return table, (Finding("note", f"This is a full copy of Passersby: all {len(table):,} images.", "copy"),)
