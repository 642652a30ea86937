"""Read a folder of one's own: crops with one sub-folder per identity."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reid_lab.data import cameras as cameras_of
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.cameras import Cameras, camera_of
from reid_lab.data.custom import layout
from reid_lab.data.custom.numbering import number
from reid_lab.data.decoding import with_grey_range
from reid_lab.data.files import Seen, existing_folder, look
from reid_lab.data.finding import Finding, not_read, passed_over, some
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.validation import is_number, whole

SPLITS = ("train", "query", "gallery")


def folder(root: Path | str, cameras: Cameras = None, train_share: float = 0.5, seed: int = 0) -> Benchmark:
    """Read crops of one's own, with one sub-folder per identity.

    The identities' folders lie in ``root``, or in its folders train, query and gallery. Folders of cameras (cam1,
    side_a) may lie above them, and images may lie flat if their names begin as Market-1501's do: see
    :mod:`reid_lab.data.custom.layout`. Identities are numbered from 1 in the order of their folders' names;
    ``distractors`` and ``junk`` are nobody (pids 0 and -1), and so are 0 and -1 among numbers.

    Without train, query and gallery the identities are divided as :func:`open_split` says. With train and test alone,
    queries are drawn from test.

    Args:
        root: The folder.
        cameras: A regular expression whose first group is the camera's number, matched in the path below the identity,
            or else below ``root``; "none" if cameras are unknown; a function of the path; or one number for all. By
            default c1, cam1 or camera_1 is looked for (``0007/cam2/003.jpg``).
        train_share: The share of identities for training, 0 to less than 1, where nothing divides them.
        seed: The seed of the division.

    Raises:
        DataError: There are no people's folders, a camera is not found or no number, or a value cannot work.
    """
    root = existing_folder(root)
    _check(train_share, seed, cameras)
    seen = look(root)
    if not seen.images:
        raise nothing_in(root, seen)
    reading = layout.read([path.relative_to(root).as_posix() for path in seen.images], root, cameras)
    pids, notes = number([image.person for image in reading.images], "their folders' names")
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for image in reading.images:
        path = root / image.name
        camid = camera_of(path, (image.rest, image.name), cameras, image.camera)
        found[image.split].append(Record(path, pids[image.person], camid))
    return Benchmark(
        root.name,
        **with_grey_range(_divided(found, train_share, seed)),
        root=root,
        notes=(*notes, *_left_out(reading, seen, root)),
    )


def _check(train_share: float, seed: int, cameras: Cameras) -> None:
    cameras_of.check(cameras)
    if not (is_number(train_share, 0) and train_share < 1):
        raise DataError(f"The share of identities for training is {train_share}: give 0 to less than 1.")
    whole("The seed of the division", seed, 0, DataError)


def _divided(found: dict[str, list[Record]], train_share: float, seed: int) -> dict[str, list[Record]]:
    undivided, untested = found.get("", []), found.get("test", [])
    drawn = open_split(undivided, train_share, seed), open_split(untested, 0.0, seed)
    return {split: [*found.get(split, []), *drawn[0][split], *drawn[1][split]] for split in SPLITS}


def _left_out(reading: layout.Reading, seen: Seen, root: Path) -> list[Finding]:
    found = passed_over(seen.passed, root)
    if reading.taken:
        found.append(Finding("note", f"By their names, {'; '.join(reading.taken)} were taken: rename what is not so."))
    for (why, cure), names in reading.unread.items():
        found += not_read([root / name for name in names], root, why, cure)
    return found


def nothing_in(root: Path, seen: Seen) -> DataError:
    """Make the error for a folder without an image, which says what is there."""
    there = passed_over(seen.passed, root)
    if there:
        return DataError(f"The folder {root} holds no image that can be read. {there[0].sentence}")
    cure = f"make one sub-folder per identity ({root.name}/anna/cam1_001.jpg), or give the folder above it"
    kinds = Counter(Path(name).suffix.lower() or "no suffix" for name in seen.others)
    if kinds:
        holds = some(f"{count:,} with {suffix}" for suffix, count in kinds.most_common())
        cure = f"it holds other files ({holds}); {cure}"
    return DataError(f"The folder {root} holds no images in sub-folders: {cure}.")


def open_split(records: Sequence[Record], train_share: float, seed: int) -> dict[str, list[Record]]:
    """Divide records by identity into train, query and gallery, as Market-1501 does.

    Of a test identity, one image of each camera that has two or more of it becomes a query (if no camera has, one
    image of one camera). All else is gallery. An identity seen by one camera has no match in another and is gallery
    only; where cameras are unknown, one image is the query.

    Args:
        records: All images.
        train_share: The share of identities for training.
        seed: The seed of the drawing.
    """
    random = np.random.default_rng(seed)
    by_pid: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_pid[record.pid].append(record)
    people = sorted(by_pid.keys() - {JUNK, DISTRACTOR})
    in_train = set(random.permutation(people)[: round(len(people) * train_share)].tolist())
    splits: dict[str, list[Record]] = {
        "train": [record for record in records if record.pid in in_train],
        "query": [],
        "gallery": [record for record in records if record.pid in (JUNK, DISTRACTOR)],
    }
    for pid in people:
        if pid not in in_train:
            queries = _queries(by_pid[pid], random)
            splits["query"] += queries
            splits["gallery"] += [record for record in by_pid[pid] if record not in queries]
    return splits


def _queries(crops: Sequence[Record], random: np.random.Generator) -> list[Record]:
    """The crops of one identity that become queries, so that each still has a match."""
    by_camera: dict[int, list[Record]] = {}
    for record in crops:
        by_camera.setdefault(record.camid, []).append(record)
    drawn = {camid: some_of[random.integers(len(some_of))] for camid, some_of in by_camera.items()}
    if set(by_camera) == {UNKNOWN_CAMERA}:
        return list(drawn.values()) if len(crops) > 1 else []
    if len(by_camera) == 1:
        return []
    spare = [drawn[camid] for camid, some_of in by_camera.items() if len(some_of) > 1]
    return spare or [drawn[random.choice(sorted(drawn))]]
