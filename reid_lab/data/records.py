"""One image of a data set, and the field's conventions about who is on it and which camera took it.

Conventions of Market-1501, which the whole package keeps: ``pid`` -1 is *junk* (neither right nor wrong),
``pid`` 0 is a *distractor* (a gallery image of nobody in particular), every other ``pid`` is a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from reid_lab.runtime.errors import DataError
from reid_lab.runtime.validation import is_whole

JUNK = -1
DISTRACTOR = 0
UNKNOWN_CAMERA = -1
LARGEST = 2**63 - 1  # of the int64 that labels become


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a data set.

    Attributes:
        path: Its file.
        pid: The identity it shows; -1 is junk, 0 a distractor.
        camid: The camera that took it; -1 if nobody knows.
        greys: The darkest and brightest value of the set's images that are deeper than 8 bits; None for an image of
            8 bits (see :mod:`reid_lab.data.decoding`).

    Raises:
        DataError: A number is not whole, or does not fit 64 bits.
    """

    path: Path
    pid: int
    camid: int = UNKNOWN_CAMERA
    greys: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        whole = is_whole(self.pid, -LARGEST) and is_whole(self.camid, -LARGEST)
        if whole and self.pid <= LARGEST and self.camid <= LARGEST:
            return
        labels = f"identity {self.pid} and camera {self.camid}"
        if not isinstance(self.pid, Integral) or not isinstance(self.camid, Integral):
            raise DataError(f"The image {self.path} has {labels}, which are no whole numbers: number them.")
        raise DataError(f"The image {self.path} has {labels}, which do not fit 64 bits: give smaller numbers.")


Splits = Mapping[str, Sequence[Record]]  # "train", "query" and "gallery"
