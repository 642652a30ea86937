"""What another data set changes, and what another training on the same data: both papers' methods, data by training.

In the other grids one seed is both, the people who are drawn and the training. Their differences between seeds cannot
say which of the two they come from.
"""

from __future__ import annotations

from collections.abc import Mapping

from reid_lab.ablations.grid import Grid, at
from reid_lab.methods import Recipe, multitask, residual_pooling
from reid_lab.runtime.errors import DataError

DATA_SETS = range(4)
DATA = ", data "  # in a label between the method and the seed of its data


def _seeds(size: str) -> Mapping[str, Recipe]:
    methods = {"B": at(residual_pooling, size), "A": at(multitask, size)}
    return {f"{method}{DATA}{data}": recipe for method, recipe in methods.items() for data in DATA_SETS}


def method_of(label: str) -> str:
    """The method that a label names."""
    return label.rpartition(DATA)[0]


def data_of(label: str) -> int:
    """The seed of the data that a label names. Raises DataError for a label that names none."""
    method, _, data = label.rpartition(DATA)
    if not (method and data.isdecimal()):
        raise DataError(
            f"The variant {label!r} in seeds.csv names no data set, as 'B{DATA}0' does: restore the table, or move it "
            "away and run its grid again."
        )
    return int(data)


GRIDS = (
    Grid(
        "seeds",
        "Another data set, or another training on the same data",
        "ours: what the seeds of the other experiments are made of",
        _seeds,
        "",
        "Equal: recipe, start and number of people within a method. A seed is that of the training alone; the label "
        "names the seed of the data. Where both are equal, the run is that of the other experiments. A training seed "
        "has nothing in common across data sets but its number.",
        data_seed=data_of,
    ),
)
