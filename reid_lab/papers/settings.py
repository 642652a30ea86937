"""The hyper-parameters the papers state, contradict or leave open, and our reading of each."""

from __future__ import annotations

import dataclasses

import pandas as pd

from reid_lab.methods import MultiTaskRecipe, Recipe, ResidualPoolingRecipe
from reid_lab.methods.fields import STATUSES
from reid_lab.runtime.errors import DataError

RECIPES: dict[str, type[Recipe]] = {"A": MultiTaskRecipe, "B": ResidualPoolingRecipe}

__all__ = ["RECIPES", "STATUSES", "settings"]


def settings(paper: str) -> pd.DataFrame:
    """What a paper says about each field of its recipe: columns "paper says", "reading" and "status".

    The index holds names of fields of `methods.multitask` (A) or `methods.residual_pooling` (B); "reading" is
    their value at size "paper". The status is one of STATUSES; where it is "silent", the value is ours. All of it
    stands beside the fields, in the method's own file.

    Args:
        paper: "A" or "B".

    Raises:
        DataError: there is no such paper.
    """
    if paper not in RECIPES:
        raise DataError(f"There is no paper {paper!r}; choose one of {', '.join(RECIPES)}.")
    told = [field for field in dataclasses.fields(RECIPES[paper]) if field.metadata]
    return pd.DataFrame(
        {
            "paper says": [field.metadata["paper says"] for field in told],
            "reading": pd.Series([field.default for field in told], dtype=object),
            "status": [field.metadata["status"] for field in told],
        }
    ).set_index(pd.Index([field.name for field in told], name="field"))
