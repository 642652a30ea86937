"""One image of a data set, and the field's conventions about who is on it and which camera took it.

Conventions of Market-1501, which the whole package keeps: ``pid`` -1 is *junk* (neither right nor wrong),
``pid`` 0 is a *distractor* (a gallery image of nobody in particular), every other ``pid`` is a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

JUNK = -1
DISTRACTOR = 0
UNKNOWN_CAMERA = -1


@dataclass(frozen=True, slots=True)
class Record:
    """One image: where it lies, who it shows and which camera took it (-1: nobody knows)."""

    path: Path
    pid: int
    camid: int = UNKNOWN_CAMERA


Splits = Mapping[str, Sequence[Record]]  # "train", "query" and "gallery"
