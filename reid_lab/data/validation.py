"""The check of a benchmark's protocol: what would make a score wrong, meaningless or impossible.

It runs before any work. Each finding is a sentence with the first few culprits and the cure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from reid_lab.data import cameras as cameras_of
from reid_lab.data import image_checks
from reid_lab.data.finding import Finding, Level, first, some
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record, Splits, is_junk


def findings(splits: Splits, read_images: bool) -> list[Finding]:
    """Return all findings about a data set's three lists of records, in no particular order.

    Args:
        splits: the records of train, query and gallery.
        read_images: decode the images, too, which takes time.
    """
    found: list[Finding] = []
    for check in (_empty_splits, _roles, _overlap, _cameras, _few_images, _matches):
        found += check(splits)
    return found + list(image_checks.findings(splits, read_images))


def without_match(query: Sequence[Record], gallery: Sequence[Record]) -> list[Record]:
    """Return the queries that have no match in the gallery: all images of their identity are junk for them."""
    cameras: defaultdict[int, set[int]] = defaultdict(set)
    for record in gallery:
        cameras[record.pid].add(record.camid)

    def matched(record: Record) -> bool:
        pid, camid = record.pid, record.camid
        return any(not is_junk(pid, camid, pid, camera) for camera in cameras[pid])

    return [record for record in query if not matched(record)]


def _empty_splits(splits: Splits) -> Iterable[Finding]:
    if not splits["train"]:
        yield Finding("warning", "There are no train images: a model can be evaluated here, but not trained.")
    for name in ("query", "gallery"):
        if name == "query" and not splits[name] and splits["gallery"] and (cause := _no_second_camera(splits)):
            yield Finding("error", f"{cause}, so there are no query images: {cameras_of.CURE}.")
        elif not splits[name]:
            cure = f"add images to the {name} folder, or rows whose split is {name} to the CSV"
            yield Finding("error", f"There are no {name} images, so nothing can be evaluated: {cure}.")


def _no_second_camera(splits: Splits) -> str:
    """Why no image of the test can be compared with one from another camera; "" if some can."""
    test = [record for name in ("query", "gallery") for record in splits[name] if record.pid > DISTRACTOR]
    seen: defaultdict[int, set[int]] = defaultdict(set)
    for record in test:
        seen[record.pid].add(record.camid)
    used = set().union(*seen.values())
    if not test or any(len(cameras) > 1 or UNKNOWN_CAMERA in cameras for cameras in seen.values()):
        return ""
    if len(used) > 1:
        return f"Each of the {len(seen):,} people of the test is seen by one camera alone"
    of = "All images" if {record.camid for record in splits["train"]} <= used else "All query and gallery images"
    return f"{of} come from camera {next(iter(used))}, and the rule compares across cameras"


def _roles(splits: Splits) -> Iterable[Finding]:
    strange = [record for record in _all(splits) if record.pid < JUNK]
    if strange:
        yield Finding(
            "error",
            f"{len(strange):,} images have a pid below -1 ({first(strange)}), which means nothing: give -1 to junk, 0 "
            "to distractors, and a number from 1 to each person.",
        )
    for name in ("train", "query"):
        nobody = [record for record in splits[name] if record.pid in (JUNK, DISTRACTOR)]
        if nobody:
            yield Finding(
                "error",
                f"{len(nobody):,} {name} images have pid -1 or 0 ({first(nobody)}), which mean junk and "
                "distractor and belong in the gallery: number people from 1, or move these images.",
            )


def _overlap(splits: Splits) -> Iterable[Finding]:
    nobody = {JUNK, DISTRACTOR}  # reported by _roles
    train, query, gallery = ({record.pid for record in splits[name]} - nobody for name in ("train", "query", "gallery"))
    shared = sorted(train & (query | gallery))
    if shared:
        people = "1 identity is" if len(shared) == 1 else f"{len(shared):,} identities are"
        yield Finding(
            "error",
            f"{people} in both train and test (pids {some(shared)}), so the score would reward memory: keep each "
            "person on one side, or number train and test people differently.",
        )


def _cameras(splits: Splits) -> Iterable[Finding]:
    records = _all(splits)
    unknown = [record for record in records if record.camid == UNKNOWN_CAMERA]
    if unknown:
        yield Finding(
            "warning",
            f"{len(unknown):,} of {len(records):,} images have no camera ({first(unknown)}), so images of a "
            "person from the query's own camera count as matches and the score is too high: tell the cameras (names "
            "such as 0002_c1_000451.jpg, a pattern for `cameras` or --cameras, or a column camid).",
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
            f"{len(lonely):,} of {len(counts):,} train identities have only one image (pids {some(lonely)}) "
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
    cause = _no_second_camera(splits) if absent < len(unmatched) == len(query) else ""
    cure = cameras_of.CURE if cause else "check the labels and cameras, or that query and gallery belong together"
    sentence = (
        f"{len(unmatched):,} of {len(query):,} queries have no gallery image from another camera ({first(unmatched)}): "
        f"{' and '.join(causes)}; {cure}."
    )
    level: Level = "error" if len(unmatched) == len(query) else "warning"
    yield Finding(level, f"{cause}: {sentence}" if cause else sentence, subject="match")


def _all(splits: Splits) -> list[Record]:
    return [record for records in splits.values() for record in records]
