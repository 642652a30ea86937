"""The single-query protocol of Market-1501: which gallery image is a match, and which does not count.

**Junk** (:func:`reid_lab.data.records.is_junk`) is taken out of a query's ranking, as if it were not there. A **match**
is an image of the query's identity that is not junk. All others are wrong answers, **distractors** (identity 0) among
them: no query has their identity.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import JUNK, UNKNOWN_CAMERA, Record, is_junk
from reid_lab.runtime.errors import DataError, NoMatchError


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query and a gallery image: query by query, gallery indices ascending.

    Attributes:
        queries: (n,) row of the query within the block.
        gallery: (n,) column of the image in the gallery.
    """

    queries: np.ndarray
    gallery: np.ndarray

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the pairs as an index of a (b, g) tensor on ``device``."""
        return torch.from_numpy(self.queries).to(device), torch.from_numpy(self.gallery).to(device)


@dataclass(frozen=True)
class Protocol:
    """Who is on each image and which camera took it; from that, who is a match and who is junk.

    Attributes:
        query_pids: (q,) int64, identities.
        gallery_pids: (g,) int64.
        query_camids: (q,) int64, cameras.
        gallery_camids: (g,) int64.
    """

    query_pids: np.ndarray
    gallery_pids: np.ndarray
    query_camids: np.ndarray
    gallery_camids: np.ndarray

    @classmethod
    def of(cls, query: Sequence[Record], gallery: Sequence[Record]) -> Protocol:
        """Build the protocol of a benchmark's records."""
        labels = [
            [getattr(record, name) for record in records] for name in ("pid", "camid") for records in (query, gallery)
        ]
        return cls(*(np.array(values, dtype=np.int64) for values in labels))

    @classmethod
    def of_labels(cls, queries: int, images: int, labels: tuple[Any, Any, Any, Any]) -> Protocol:
        """Build the protocol of labels from outside, which are checked.

        Args:
            queries: how many queries there are.
            images: how many gallery images there are.
            labels: query_pids and gallery_pids, whole numbers; query_camids and gallery_camids, too, or None where all
                are unknown.

        Raises:
            DataError: the labels are not one whole number for each image.
        """
        query_pids, gallery_pids, query_camids, gallery_camids = labels
        return cls(
            _labels(query_pids, "query_pids", queries),
            _labels(gallery_pids, "gallery_pids", images),
            _labels(query_camids, "query_camids", queries, default=UNKNOWN_CAMERA),
            _labels(gallery_camids, "gallery_camids", images, default=UNKNOWN_CAMERA),
        )

    def arrays(self) -> dict[str, Any]:
        """Return the four arrays by name, as the keyword arguments of `rank`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def by_identity(self) -> np.ndarray:
        """The gallery indices (g,), ordered by identity."""
        return np.argsort(self.gallery_pids, kind="stable")

    def positives_and_junk(self, rows: slice) -> tuple[Pairs, Pairs]:
        """Return the matches of the queries ``rows``, and what the same-camera rule removes for them.

        Images that are junk for everybody (identity -1) are in neither.
        """
        pids, camids, order = self.query_pids[rows], self.query_camids[rows], self.by_identity
        ordered = self.gallery_pids[order]
        first = np.searchsorted(ordered, pids, side="left")
        counts = np.searchsorted(ordered, pids, side="right") - first
        counts[pids == JUNK] = 0
        queries = np.repeat(np.arange(len(pids)), counts)
        # The indices of one identity count up from `first`: a count over all, less what was used before.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        images = order[np.repeat(first, counts) + within]
        junk = is_junk(pids[queries], camids[queries], self.gallery_pids[images], self.gallery_camids[images])
        return Pairs(queries[~junk], images[~junk]), Pairs(queries[junk], images[junk])


_sound: weakref.WeakSet[Benchmark] = weakref.WeakSet()


def check_once(benchmark: Benchmark) -> None:
    """Ask the data's own check, once for each benchmark; no image is decoded for it.

    Raises:
        DataError: the check finds an error.
        NoMatchError: no query has a match.
    """
    if benchmark in _sound:
        return
    try:
        benchmark.check(read_images=False)
    except NoMatchError as error:  # of which the protocol knows the likely cause
        raise no_match(Protocol.of(benchmark.query, benchmark.gallery)) from error
    _sound.add(benchmark)


def no_match(protocol: Protocol) -> NoMatchError:
    """Return the error for a set in which no query has a match, with its likely cause."""
    counted = protocol.gallery_pids != JUNK
    shared = np.intersect1d(protocol.query_pids, protocol.gallery_pids[counted])
    if not counted.any():
        cause = "every gallery image is junk (identity -1): check how the gallery's names or labels were read"
    elif len(shared) == 0:
        cause = (
            f"query and gallery share no identity (query: {_some(protocol.query_pids)}; gallery: "
            f"{_some(protocol.gallery_pids)}): check that they are of one split and were not relabeled apart"
        )
    else:
        cause = (
            f"query and gallery share {len(shared)} identities, but only within one camera, and the "
            f"same-camera rule removes those: if the cameras are unknown or all alike, set camids to -1"
        )
    return NoMatchError(f"None of the {len(protocol.query_pids)} queries has a match in the gallery; {cause}.")


def _some(pids: np.ndarray) -> str:
    unique = np.unique(pids)
    return ", ".join(str(pid) for pid in unique[:5]) + (", ..." if len(unique) > 5 else "")


def _labels(values: Any, name: str, count: int, default: int | None = None) -> np.ndarray:
    """One whole number per image, (count,) int64; None becomes ``default`` everywhere where there is one."""
    if values is None and default is not None:
        return np.full(count, default, dtype=np.int64)
    try:
        array = np.asarray(values.tolist() if isinstance(values, Tensor) else values)
    except ValueError as error:
        raise DataError(f"{name} is a list of lists of different lengths: pass one label for each image.") from error
    if array.shape != (count,):
        raise DataError(f"{name} has shape {array.shape}, but there are {count} images: pass one label for each.")
    try:
        whole = array.astype(np.int64)
        same = bool((whole == array).all())
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise DataError(f"{name} must be whole numbers (found {array.dtype}): number the labels first.")
    return whole
