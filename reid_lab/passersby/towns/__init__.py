"""The towns of Passersby, one file each, as data; their scenes are painted by the functions of a file beside it.

A data set is of one town. Another seed gives other people in the same town, and other things in the same six scenes.
Another town has other scenes, another light and other clothes: a network that was trained in one meets new conditions
in the other, as it does between two real data sets.
"""

from __future__ import annotations

from reid_lab.passersby.town import Town
from reid_lab.passersby.towns.city import CITY
from reid_lab.passersby.towns.coast import COAST
from reid_lab.runtime.errors import DataError

TOWNS: dict[str, Town] = {town.name: town for town in (CITY, COAST)}


def find(name: str) -> Town:
    """Find a town by its name.

    Raises:
        DataError: There is no such town.
    """
    if name not in TOWNS:
        raise DataError(f"Passersby has no town {name!r}; choose one of {', '.join(TOWNS)}.")
    return TOWNS[name]
