"""What a ranking will take: memory and operations, before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from reid_lab.retrieval.distances import MEMORY
from reid_lab.retrieval.kernels import Kernels

GIB = 2**30


@dataclass(frozen=True)
class Plan:
    """Bytes that a ranking takes beside the features it is given, and the operations of its products.

    Attributes:
        features: the comparable copy of the features.
        blocks: distances of one block, and what is computed from it.
        neighbors: encodings of re-ranking (0 without): about, since they depend on how the features cluster.
        operations: multiplications and additions.
    """

    features: int
    blocks: int
    neighbors: int
    operations: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.features + self.blocks + self.neighbors

    def __str__(self) -> str:
        """Say it in a sentence."""
        return (
            f"about {self.total / GIB:.2f} GiB beside the features ({self.features / GIB:.2f} a comparable "
            f"copy, {self.blocks / GIB:.2f} blocks of distances, {self.neighbors / GIB:.2f} encodings) and "
            f"{self.operations / 1e12:.2f} T operations"
        )


def plan(
    queries: int,
    gallery: int,
    dimension: int,
    rerank: bool = False,
    k1: int = 20,
    k2: int = 6,
    memory: int = MEMORY,
) -> Plan:
    """Estimate memory and work of `rank` (or `rerank`, beside the distances that it returns).

    Args:
        queries: how many there are.
        gallery: how many images it holds.
        dimension: of the features.
        rerank: whether the ranking is re-ranked.
        k1: as in `rerank`, and so is k2.
        k2: as there.
        memory: bytes that one block may take.
    """
    images = queries + gallery
    products = queries * gallery + rerank * images**2
    # An encoding has k1 / 2 to 2 k1 entries, query expansion multiplies them by less than k2; an
    # entry costs some 50 bytes while it is sorted into columns.
    entries = images * (k1 + 1) * (1 + k2) // 2 if rerank else 0
    distances = images**2 if rerank else queries * gallery  # few of them fill no block
    blocks = 3 * min(memory, distances * Kernels.bytes_per_distance)
    return Plan(images * dimension * 4, blocks, entries * 50, 2 * products * dimension)
