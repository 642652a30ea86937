"""The protocol check: what would make a re-identification score wrong, meaningless or impossible.

It runs before any work. Each finding is a sentence with the first few culprits and the cure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reid_lab.data.images import decode
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record, Splits
from reid_lab.errors import DataError
from reid_lab.progress import bar

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN = 3  # culprits named in a sentence


@dataclass(frozen=True)
class Finding:
    """One sentence about a data set, and how bad it is. ``subject`` tells the kinds of finding apart."""

    level: Level
    sentence: str
    subject: str = ""

    def __str__(self) -> str:
        return f"[{self.level}] {self.sentence}"


def findings(splits: Splits, read_images: bool) -> list[Finding]:
    """All findings about a data set's three lists of records, in no particular order."""
    found: list[Finding] = []
    for check in (_empty_splits, _roles, _overlap, _duplicates, _cameras, _few_images, _matches):
        found += check(splits)
    return found + list(_files(splits, read_images))


def without_match(query: Sequence[Record], gallery: Sequence[Record]) -> list[Record]:
    """Queries for which the gallery holds no image of the same identity from another camera.

    Where either camera is unknown the same-camera rule cannot apply, and the image counts as a match.
    """
    cameras: defaultdict[int, set[int]] = defaultdict(set)
    for record in gallery:
        cameras[record.pid].add(record.camid)

    def matched(record: Record) -> bool:
        own = set() if record.camid == UNKNOWN_CAMERA else {record.camid}
        return bool(cameras[record.pid] - own)

    return [record for record in query if not matched(record)]


def _empty_splits(splits: Splits) -> Iterable[Finding]:
    if not splits["train"]:
        yield Finding("warning", "There are no train images: a model can be evaluated here, but not trained.")
    for name in ("query", "gallery"):
        if not splits[name]:
            cure = f"add images to the {name} folder, or rows whose split is {name} to the CSV"
            yield Finding("error", f"There are no {name} images, so nothing can be evaluated: {cure}.")


def _roles(splits: Splits) -> Iterable[Finding]:
    for name in ("train", "query"):
        nobody = [record for record in splits[name] if record.pid in (JUNK, DISTRACTOR)]
        if nobody:
            yield Finding(
                "error",
                f"{len(nobody):,} {name} images have pid -1 or 0 ({_first(nobody)}), which mean junk and "
                "distractor and belong in the gallery: number people from 1, or move these images.",
            )


def _overlap(splits: Splits) -> Iterable[Finding]:
    train, query, gallery = ({record.pid for record in splits[name]} for name in ("train", "query", "gallery"))
    shared = sorted(train & (query | gallery))
    if shared:
        people = "1 identity is" if len(shared) == 1 else f"{len(shared):,} identities are"
        yield Finding(
            "error",
            f"{people} in both train and test (pids {_list(shared)}), so the score would reward memory: keep each "
            "person on one side, or number train and test people differently.",
        )


TWO_PEOPLE = "listed with two identities"
BOTH_SIDES = "in both train and test"
FINDS_ITSELF = "both query and gallery without a camera, so each would find itself"
COUNTED_TWICE = "listed more than once in one split, and count as often"
DUPLICATES: dict[str, tuple[Level, str]] = {
    TWO_PEOPLE: ("error", "correct the pid, or remove one line"),
    BOTH_SIDES: ("error", "keep each in one of them"),
    FINDS_ITSELF: ("error", "remove them from the gallery, or tell the cameras"),
    COUNTED_TWICE: ("warning", "remove the repeats"),
}


def _duplicates(splits: Splits) -> Iterable[Finding]:
    uses: defaultdict[Path, list[tuple[str, Record]]] = defaultdict(list)
    for name, records in splits.items():
        for record in records:
            uses[record.path].append((name, record))
    culprits: defaultdict[str, list[Record]] = defaultdict(list)
    for used in uses.values():
        if len(used) > 1:
            culprits[_kind_of_duplicate(used)].append(used[0][1])
    for kind, (level, cure) in DUPLICATES.items():
        if kind in culprits:
            sentence = f"{len(culprits[kind]):,} images are {kind} ({_first(culprits[kind])}): {cure}."
            yield Finding(level, sentence)


def _kind_of_duplicate(used: Sequence[tuple[str, Record]]) -> str:
    """What is wrong, worst first; "" for an image that is query and gallery with a camera: junk to itself."""
    names = [name for name, _ in used]
    if len({record.pid for _, record in used}) > 1:
        return TWO_PEOPLE
    if "train" in names and len(set(names)) > 1:
        return BOTH_SIDES
    if len(set(names)) > 1 and any(record.camid == UNKNOWN_CAMERA for _, record in used):
        return FINDS_ITSELF
    return COUNTED_TWICE if len(set(names)) < len(names) else ""


def _cameras(splits: Splits) -> Iterable[Finding]:
    records = _all(splits)
    unknown = [record for record in records if record.camid == UNKNOWN_CAMERA]
    if unknown:
        yield Finding(
            "warning",
            f"{len(unknown):,} of {len(records):,} images have no camera ({_first(unknown)}), so images of a "
            "person from the query's own camera count as matches and the score is too high: tell the cameras "
            "(a name such as 0002_c1_000451.jpg, the argument `cameras`, or a camid column).",
        )


def _few_images(splits: Splits) -> Iterable[Finding]:
    counts = Counter(record.pid for record in splits["train"])
    if len(counts) == 1:
        yield Finding(
            "error",
            f"All train images show one identity (pid {next(iter(counts))}), and telling people apart takes "
            "two: add people, or check that each has a sub-folder or pid of their own.",
        )
    tested = {record.pid for name in ("query", "gallery") for record in splits[name]} - {JUNK}
    if len(tested) == 1 and splits["query"]:
        yield Finding(
            "error",
            f"All query and gallery images show one identity (pid {next(iter(tested))}), so that every ranking is "
            "right: add people, or check that each has a sub-folder or pid of their own.",
        )
    lonely = sorted(pid for pid, count in counts.items() if count == 1)
    if lonely:
        yield Finding(
            "warning",
            f"{len(lonely):,} of {len(counts):,} train identities have only one image (pids {_list(lonely)}) "
            "which can only be compared with itself: add images of them, or leave them out.",
        )


def _matches(splits: Splits) -> Iterable[Finding]:
    query, gallery = splits["query"], splits["gallery"]
    unmatched = without_match(query, gallery)
    if not unmatched or not gallery:
        return
    pids = {record.pid for record in gallery}
    absent = sum(record.pid not in pids for record in unmatched)
    causes = []
    if absent:
        causes.append(f"for {absent:,} the gallery does not hold the identity at all")
    if absent < len(unmatched):
        causes.append(f"for {len(unmatched) - absent:,} it holds only images from the query's own camera")
    yield Finding(
        "error" if len(unmatched) == len(query) else "warning",
        f"{len(unmatched):,} of {len(query):,} queries have no gallery image from another camera "
        f"({_first(unmatched)}): {' and '.join(causes)}; check the labels and cameras, or that query and "
        "gallery belong together.",
        subject="match",
    )


def _files(splits: Splits, read_images: bool) -> Iterable[Finding]:
    paths = list(dict.fromkeys(record.path for record in _all(splits)))
    problem = _problem_of_image if read_images else _problem_of_file
    with ThreadPoolExecutor() as pool:
        problems = list(bar(pool.map(problem, paths), len(paths), "checking images", "image"))
    bad = [sentence for sentence in problems if sentence]
    if bad:
        more = [f"{len(bad) - SHOWN:,} more images are bad, too."] if len(bad) > SHOWN else []
        yield Finding("error", " ".join(bad[:SHOWN] + more))


def _all(splits: Splits) -> list[Record]:
    return [record for records in splits.values() for record in records]


def _problem_of_image(path: Path) -> str | None:
    try:
        decode(path)
    except DataError as error:
        return str(error)
    return None


def _problem_of_file(path: Path) -> str | None:
    if path.is_file() and path.stat().st_size > 0:
        return None
    return _problem_of_image(path)


def _first(records: Sequence[Record]) -> str:
    return f"first: {', '.join(record.path.name for record in records[:SHOWN])}"


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:SHOWN])) + (", ..." if len(values) > SHOWN else "")
