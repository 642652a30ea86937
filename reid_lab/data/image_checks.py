"""What the check finds in the files themselves: bad images, pictures that show nothing, and copies."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from PIL import Image

from reid_lab.data.decoding import decode
from reid_lab.data.finding import SHOWN, Finding, Level, first, n_images
from reid_lab.data.records import JUNK, UNKNOWN_CAMERA, Record, Splits
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.progress import bar

FEW_GREYS = 8  # of a picture that was deeper than 8 bits
NARROW = 16
Value = TypeVar("Value")

# What is wrong with an image that is there twice, worst first
TWO_PEOPLE = "listed with two identities"
BOTH_SIDES = "in both train and test"
FINDS_ITSELF = "both query and gallery without a camera or with two, so each would find itself"
COUNTED_TWICE = "listed more than once in one split, and count as often"
DUPLICATES: dict[str, tuple[Level, str]] = {
    TWO_PEOPLE: ("error", "correct the identity, or remove one of them"),
    BOTH_SIDES: ("error", "keep each in one of them"),
    FINDS_ITSELF: ("error", "remove them from the gallery, or tell their camera"),
    COUNTED_TWICE: ("warning", "remove the repeats"),
}


def findings(splits: Splits, read_images: bool) -> Iterator[Finding]:
    """Find what is wrong with the files of a data set.

    Args:
        splits: The records of a data set.
        read_images: Whether every image is decoded.

    Yields:
        Bad images, and copies byte for byte. If all images are read, also pictures that show nothing, and copies
        pixel for pixel.
    """
    records = list({record.path: record for some in splits.values() for record in some}.values())
    looked = _map(_look if read_images else _glance, records, "checking images")
    bad = [look.problem for look in looked if look.problem]
    if bad:
        more = [f"{len(bad) - SHOWN:,} more images are bad, too."] if len(bad) > SHOWN else []
        yield Finding("error", " ".join(bad[:SHOWN] + more))
    yield from _nothing_to_see([r for r, look in zip(records, looked, strict=True) if look.few])
    contents = _contents([record.path for record in records])
    seen = {record.path: look.pixels for record, look in zip(records, looked, strict=True) if look.pixels}
    yield from _duplicates(splits, contents | seen)


def _map(work: Callable[[Record], Value], records: Sequence[Record], description: str) -> list[Value]:
    with ThreadPoolExecutor() as pool:
        return list(bar(pool.map(work, records), len(records), description, "image"))


class _Look(NamedTuple):
    """What is wrong with an image, whether it shows too few grey levels to show anything, and a hash of its pixels."""

    problem: str | None = None
    few: bool = False
    pixels: bytes = b""  # of a picture that shows something


def _look(record: Record) -> _Look:
    try:
        pixels = decode(record.path, span=record.greys)
    except DataError as error:
        return _Look(str(error))
    grey = Image.fromarray(pixels).convert("L")
    darkest, brightest = cast(tuple[int, int], grey.getextrema())
    few = record.greys is not None and sum(count > 0 for count in grey.histogram()) < FEW_GREYS
    if few or brightest - darkest < NARROW:
        return _Look(few=True)
    return _Look(pixels=sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest())


def _glance(record: Record) -> _Look:
    """As :func:`_look`, but only at images that are missing or empty."""
    try:
        usable = record.path.is_file() and record.path.stat().st_size > 0
    except OSError:
        usable = False
    return _Look() if usable else _look(record)


def _nothing_to_see(records: Sequence[Record]) -> Iterable[Finding]:
    if not records:
        return
    spans = [record.greys for record in records if record.greys]
    cause, cure = "", "remove them if they show nobody; if they are deeper than 8 bits, save them as 8-bit pictures"
    if spans:
        low, high = spans[0]
        cause = f", scaled from the values {low:g} to {high:g} that the set's deep grey pictures use"
        cure = "remove what has values far from the others', or save all as 8-bit pictures by one scale"
    yield Finding(
        "warning",
        f"{n_images(len(records))} show next to nothing, fewer than {FEW_GREYS} grey levels or a range of less than "
        f"{NARROW} of 256 after reading ({first(records)}){cause}: {cure}.",
        "greys",
    )


# Copies


def _contents(paths: Sequence[Path]) -> dict[Path, object]:
    """What tells each file's content from the others': itself, or for files of one size a hash of their bytes."""
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        size = _size(path)
        if size:
            by_size[size].append(path)
    alike = [path for some in by_size.values() if len(some) > 1 for path in some]
    with ThreadPoolExecutor() as pool:
        return dict.fromkeys(paths) | dict(zip(alike, pool.map(_digest, alike), strict=True))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path) -> bytes | None:
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return None


def _duplicates(splits: Splits, contents: dict[Path, object]) -> Iterable[Finding]:
    uses: defaultdict[object, list[tuple[str, Record]]] = defaultdict(list)
    for split, records in splits.items():
        for record in (record for record in records if record.pid != JUNK):
            uses[contents[record.path] or record.path].append((split, record))
    culprits: defaultdict[str, list[list[Record]]] = defaultdict(list)
    for used in uses.values():
        if len(used) > 1:
            culprits[_kind_of_duplicate(used)].append([record for _, record in used])
    for kind, (level, cure) in DUPLICATES.items():
        if kind in culprits:
            yield Finding(level, f"{_say(culprits[kind], kind)}: {cure}.", "copies")


def _say(culprits: Sequence[Sequence[Record]], kind: str) -> str:
    copies = any(len({record.path for record in used}) > 1 for used in culprits)
    same_bytes = all(len({_digest(record.path) for record in used}) == 1 for used in culprits)
    kind_of_copy = "byte-for-byte copies" if same_bytes else "copies, pixel for pixel,"
    what = f" there as {kind_of_copy} and" if copies else ""
    pairs = ([used[0], next((r for r in used if r.pid != used[0].pid), used[1])] for used in culprits[:SHOWN])
    names = "; ".join(" and ".join(dict.fromkeys(_name(record) for record in pair)) for pair in pairs)
    return f"{len(culprits):,} images are{what} {kind} (first: {names})"


def _name(record: Record) -> str:
    """The image's name, and its folder's, since copies are often called alike."""
    return "/".join(record.path.parts[-2:])


def _kind_of_duplicate(used: Sequence[tuple[str, Record]]) -> str:
    """What is wrong, worst first; "" for an image that is query and gallery with one camera: junk to itself."""
    splits = Counter(split for split, _ in used)
    if len({record.pid for _, record in used}) > 1:
        return TWO_PEOPLE
    if "train" in splits and len(splits) > 1:
        return BOTH_SIDES
    cameras = {record.camid for _, record in used}
    if len(splits) > 1 and (UNKNOWN_CAMERA in cameras or len(cameras) > 1):
        return FINDS_ITSELF
    return COUNTED_TWICE if max(splits.values()) > 1 else ""
