"""The single-query protocol of Market-1501: which gallery image is a match, and which does not count.

A gallery image is **junk** for a query if it shows the same identity from the same camera (finding it is no
feat), or if its identity is -1 (a bad box, junk for everybody). Junk is taken out of the ranking, as if it
were not there. Identity 0, a **distractor**, stays: no query has it. A camera of -1 is unknown, and the
same-camera rule leaves it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.records import JUNK, UNKNOWN_CAMERA, Record
from reid_lab.runtime.errors import NoMatchError


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query and a gallery image: query by query, gallery places ascending.

    queries  (n,) row within the block
    gallery  (n,) column in the gallery
    """

    queries: np.ndarray
    gallery: np.ndarray

    def __getitem__(self, keep: np.ndarray) -> Pairs:
        return Pairs(self.queries[keep], self.gallery[keep])

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """As an index of a (b, g) tensor on `device`."""
        return torch.from_numpy(self.queries).to(device), torch.from_numpy(self.gallery).to(device)


@dataclass(frozen=True)
class Protocol:
    """Labels of both sides, each (q,) or (g,) int64."""

    query_pids: np.ndarray
    gallery_pids: np.ndarray
    query_camids: np.ndarray
    gallery_camids: np.ndarray

    @classmethod
    def of(cls, query: Sequence[Record], gallery: Sequence[Record]) -> Protocol:
        """From records."""
        labels = [
            [getattr(record, name) for record in records] for name in ("pid", "camid") for records in (query, gallery)
        ]
        return cls(*(np.array(values, dtype=np.int64) for values in labels))

    @cached_property
    def by_identity(self) -> np.ndarray:
        """(g,) gallery places, ordered by identity."""
        return np.argsort(self.gallery_pids, kind="stable")

    @cached_property
    def counted(self) -> np.ndarray:
        """(g,) bool: False for images that are junk for every query."""
        return self.gallery_pids != JUNK

    def same_identity(self, rows: slice) -> Pairs:
        """All pairs of one identity between the queries `rows` and the gallery."""
        pids = self.query_pids[rows]
        ordered = self.gallery_pids[self.by_identity]
        first = np.searchsorted(ordered, pids, side="left")
        counts = np.searchsorted(ordered, pids, side="right") - first
        queries = np.repeat(np.arange(len(pids)), counts)
        # Places within one identity's run count up from `first`: a count over all, less what was used before.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return Pairs(queries, self.by_identity[np.repeat(first, counts) + within])

    def positives_and_junk(self, rows: slice) -> tuple[Pairs, Pairs]:
        """The matches of the queries `rows`, and what the same-camera rule removes for them.

        Columns that are junk for everybody (`counted` is False) are in neither.
        """
        pairs = self.same_identity(rows)
        pairs = pairs[self.counted[pairs.gallery]]
        camids = self.query_camids[rows][pairs.queries]
        junk = (camids == self.gallery_camids[pairs.gallery]) & (camids != UNKNOWN_CAMERA)
        return pairs[~junk], pairs[junk]


def no_match(protocol: Protocol) -> NoMatchError:
    """The error for a set in which no query has a match, with its likely cause."""
    shared = np.intersect1d(protocol.query_pids, protocol.gallery_pids[protocol.counted])
    if not protocol.counted.any():
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
