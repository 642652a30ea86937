"""Rows with few entries, on any device: just what re-ranking needs, where `torch.sparse` still lacks it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sparse:
    """A matrix by rows: row i has the entries starts[i] to starts[i + 1].

    Attributes:
        starts: (rows + 1,) int64.
        columns: (entries,) int32, ascending within a row.
        values: (entries,) float32.
        width: how many columns there are.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    width: int

    @classmethod
    def from_codes(cls, codes: Tensor, values: Tensor, height: int, width: int) -> Sparse:
        """Build a matrix of entries ordered by code, row x width + column, each code once."""
        edges = torch.arange(height + 1, device=codes.device) * width
        return cls(torch.searchsorted(codes, edges), (codes % width).int(), values, width)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    def __getitem__(self, part: slice) -> Sparse:
        """Return some rows, one after another."""
        start, stop, _ = part.indices(len(self))
        entries = slice(int(self.starts[start]), int(self.starts[stop]))
        starts = self.starts[start : stop + 1] - self.starts[start]
        return Sparse(starts, self.columns[entries], self.values[entries], self.width)

    def lengths(self) -> Tensor:
        """Return the number of entries of each row, (rows,)."""
        return self.starts.diff()

    def rows(self) -> Tensor:
        """Return the row of each entry, (entries,)."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.starts.device), self.lengths())


def ragged(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Join runs of ``lengths`` (n,) from ``starts`` (n,): which run and which entry, (total,) each."""
    run = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    before = lengths.cumsum(0) - lengths
    return run, torch.arange(len(run), device=lengths.device) + (starts - before)[run]
