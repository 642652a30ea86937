"""What is asked, and what is found: rules, images, a query, an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from reid_lab.data import DISTRACTOR, UNKNOWN_CAMERA, Benchmark, Record
from reid_lab.data.decoding import decode, with_grey_range
from reid_lab.data.records import is_junk
from reid_lab.retrieval import OperatingPoint, Result
from reid_lab.runtime.errors import DataError

SOURCES = ("run", "data", "crops")  # the images that the run was trained on; a data set in a folder; unnamed crops
MATCH, MISS, JUNK, UNKNOWN = "match", "miss", "junk", "unknown"
MOST_PIXELS = 2**26  # of a picture from outside: 200 MB while it is decoded
Query = int | Record  # the index of one of the images' queries, or a picture from outside


@dataclass(frozen=True)
class Rules:
    """How a gallery is ranked, and who is accepted.

    Attributes:
        same_camera: images of the query's person from the query's camera are junk, which does not count.
        rerank: k-reciprocal re-ranking, with k1, k2 and lam (see :func:`reid_lab.retrieval.rerank`).
        k1: as there.
        k2: as there.
        lam: as there.
        false_match_rate: share of the pairs of two people that the threshold accepts at most, 0..1.
    """

    same_camera: bool = True
    rerank: bool = False
    k1: int = 20
    k2: int = 6
    lam: float = 0.3
    false_match_rate: float = 0.01

    @property
    def ranking(self) -> tuple:
        """What decides about distances, and so about what is kept."""
        return (self.k1, self.k2, self.lam) if self.rerank else ()


@dataclass(frozen=True, eq=False)
class Images:
    """The images that are searched.

    Attributes:
        name: what they are called.
        query: images to look for.
        gallery: images to look among; of unnamed crops the same ones.
        benchmark: where they come from; None for crops, of which nobody knows who is on them.
        key: tells them from other images, and from the same files with other contents.
        notes: what was passed over, in sentences.
    """

    name: str
    query: Sequence[Record]
    gallery: Sequence[Record]
    benchmark: Benchmark | None
    key: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a run found for one query. Arrays are (n,): the nearest images, junk among them where it lies.

    Attributes:
        indices: in the gallery, nearest first.
        ranks: counted without junk, from 1; of a junk image 0.
        kinds: "match", "miss", "junk", or "unknown" where nobody knows who is on query or image.
        scores: in the measure.
        accepted: bool, by the threshold; all True where there is none.
        measure: what the scores are.
        point: threshold, and the rates of all pairs at it; None where nobody knows who is who.
        of_gallery: how many images of the whole gallery are accepted, and how many of these are misses.
        result: the scores of all queries under the same rules; None where nobody knows who is who.
    """

    indices: np.ndarray
    ranks: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray
    accepted: np.ndarray
    measure: str
    point: OperatingPoint | None
    of_gallery: tuple[int, int]
    result: Result | None


def record_of(images: Images, query: Query) -> Record:
    """The query's record.

    Raises:
        DataError: there is no query of that number.
    """
    if isinstance(query, Record):
        return query
    if not 0 <= query < len(images.query):
        raise DataError(f"There is no query {query} among {len(images.query):,}: click on one of them.")
    return images.query[query]


def picture(path: Path | str) -> Record:
    """Take a picture from outside as a query: nobody knows who is on it.

    Raises:
        DataError: it is no image, damaged, or larger than the page reads.
    """
    path = Path(path)
    try:
        with Image.open(path) as opened:
            pixels = opened.width * opened.height
    except Exception:  # whoever decodes it says what is wrong with it
        pixels = 0
    if pixels > MOST_PIXELS:
        raise DataError(
            f"The picture {path.name} has {pixels:,} pixels, more than the {MOST_PIXELS:,} that this page reads: cut "
            "out the person, and drop that."
        )
    record = with_grey_range({"": [Record(path, pid=DISTRACTOR)]})[""][0]
    try:
        decode(path, (128, 64), record.greys)
    except DataError as error:
        raise DataError(str(error).replace(str(path), path.name)) from error  # the name that the user knows
    return record


def kinds_of(query: Record, found: Sequence[Record], same_camera: bool) -> np.ndarray:
    """Say of each image found whether it is a match, a miss, junk, or unknown, (n,).

    Args:
        query: the query.
        found: gallery images.
        same_camera: whether images of the query's person from the query's camera are junk.
    """
    pids, camids = (np.array([getattr(record, name) for record in found], np.int64) for name in ("pid", "camid"))
    junk = is_junk(query.pid, query.camid if same_camera else UNKNOWN_CAMERA, pids, camids)
    if query.pid <= DISTRACTOR:  # nobody knows who is on the query, so nothing is right or wrong
        return np.where(pids < DISTRACTOR, JUNK, UNKNOWN)
    return np.where(junk, JUNK, np.where(pids == query.pid, MATCH, MISS))


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file, which tell one content from another; zeros where it is missing."""
    try:
        now = path.stat()
    except OSError:
        return 0, 0
    return now.st_size, now.st_mtime_ns


def key_of(records: Sequence[Record]) -> str:
    """What tells these images and their labels from others."""
    digest = sha256()
    for record in records:
        digest.update(repr((str(record.path), record.pid, record.camid, *stamp(record.path))).encode())
    return digest.hexdigest()
