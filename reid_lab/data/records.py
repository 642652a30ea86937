"""One image of a data set, and the field's conventions about who is on it and which camera took it.

Conventions of Market-1501, which the whole package keeps: ``pid`` -1 is *junk* (neither right nor wrong),
``pid`` 0 is a *distractor* (a gallery image of nobody in particular), every other ``pid`` is a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

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


def is_junk(query_pid: Any, query_camid: Any, gallery_pid: Any, gallery_camid: Any) -> Any:
    """Whether a gallery image does not count for a query, neither as right nor as wrong.

    It is junk for everybody (identity -1), or it shows the query's identity from the query's own camera: finding it is
    no feat. A camera of -1 is unknown and never the same as another. Every other image of the query's identity is a
    match. This is the rule of Market-1501's single-query protocol.

    Args:
        query_pid: the query's identity; as all of them a number, or an array.
        query_camid: the query's camera.
        gallery_pid: the gallery image's identity.
        gallery_camid: the gallery image's camera.

    Returns:
        A truth value, or an array of them.
    """
    same_camera = (query_camid == gallery_camid) & (query_camid != UNKNOWN_CAMERA)
    return (gallery_pid == JUNK) | ((query_pid == gallery_pid) & same_camera)
