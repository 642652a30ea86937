"""The fields of a recipe: which values they take, and what a paper says about them.

A kind of field is a type with its limits, which pydantic checks; its description completes the sentence "it must be
...". A number stays as it was given, 1 or 1.0: the name of a run's folder depends on the recipe's JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

from reid_lab import models

STATUSES = ("stated", "contradicts itself", "silent")  # of what a paper says about a field
UNCONFIRMED = "unconfirmed"  # where the paper itself was not at hand


def _as_given(value: Any, check: Callable[[Any], object]) -> Any:
    check(value)
    return value


def _exact(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError("a whole number")
    return value


def _backbone(name: str) -> str:
    if name not in models.BACKBONES:
        raise ValueError("no backbone")
    return name


def _ascending(values: tuple[int, ...]) -> tuple[int, ...]:
    if any(a >= b for a, b in zip(values, values[1:], strict=False)):
        raise ValueError("not ascending")
    return values


def _interval(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError("the largest comes second")
    return values


def _number(description: str, **limits: Any) -> Any:
    return (Field(**limits, allow_inf_nan=False, description=description), WrapValidator(_as_given))


EXACT = BeforeValidator(_exact)  # for a Literal of whole numbers, which would take True and 1.0 for 1
Whole = Annotated[int, Field(ge=0, description="a whole number from 0")]
Count = Annotated[int, Field(ge=1, description="a whole number from 1")]
Several = Annotated[int, Field(ge=2, description="a whole number from 2")]
Share = Annotated[float, *_number("a number from 0 to 1", ge=0, le=1)]
Dropout = Annotated[float, *_number("a number from 0 to below 1", ge=0, lt=1)]
Positive = Annotated[float, *_number("a number above 0", gt=0)]
NotNegative = Annotated[float, *_number("a number from 0", ge=0)]
_Side = Annotated[int, Field(ge=16)]
Pixels = Annotated[tuple[_Side, _Side], Field(description="(height, width) of at least 16 pixels each")]
Area = Annotated[
    tuple[Positive, Annotated[float, *_number("", gt=0, le=1)]],
    AfterValidator(_interval),
    Field(description="(smallest, largest) share of the image, both above 0 and at most 1"),
]
Aspect = Annotated[
    tuple[Positive, Positive], AfterValidator(_interval), Field(description="(smallest, largest), both above 0")
]
Milestones = Annotated[
    tuple[Whole, ...],
    AfterValidator(_ascending),
    Field(description="a list of epochs in ascending order, such as [40, 110]"),
]
Backbone = Annotated[
    str, AfterValidator(_backbone), Field(description="one of " + ", ".join(map(repr, models.BACKBONES)))
]


def stated(value: Any, where: str) -> Any:
    """A field whose value the paper states, and where (section, equation, table)."""
    return dataclasses.field(default=value, metadata={"status": "stated", "paper says": where})


def silent(value: Any, says: str = "nothing") -> Any:
    """A field that the paper leaves open: the value is ours; ``says`` is what may be read between its lines."""
    return dataclasses.field(default=value, metadata={"status": "silent", "paper says": says})


def contradictory(value: Any, says: str) -> Any:
    """A field about which the paper contradicts itself: ``says`` names both places, the value is our choice."""
    return dataclasses.field(default=value, metadata={"status": "contradicts itself", "paper says": says})


def unconfirmed(value: Any, says: str) -> Any:
    """A field whose value is from memory or from others' accounts: the paper itself was not at hand."""
    return dataclasses.field(default=value, metadata={"status": UNCONFIRMED, "paper says": says})
