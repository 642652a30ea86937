"""The annotations of Passersby: the table of a folder, and each image's mask and keypoints.

Masks and keypoints are not stored. The image's name and its folder's seed and town say what was drawn, so they are
drawn again.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from reid_lab.passersby import render, towns
from reid_lab.passersby.frames import Key
from reid_lab.passersby.town import Town
from reid_lab.runtime.errors import DataError

VERSION = 3  # of the generator: change it whenever any pixel changes
MARKER, TABLE = "passersby.json", "truth.csv"


def annotations(folder: Path | str) -> pd.DataFrame:
    """Read the table of a Passersby folder.

    Args:
        folder: A folder that :func:`reid_lab.passersby.generate` has made.

    Returns:
        One row per image, indexed by its path relative to the folder: what the image shows, the person's view angle
        (degrees), the share that is hidden, the error of the box, and the person's attributes.

    Raises:
        DataError: The folder has no table, or a damaged one.
    """
    table = Path(folder) / TABLE
    try:
        return pd.read_csv(table, index_col="path", keep_default_na=False, low_memory=False)
    except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
        raise DataError(f"{table} cannot be read ({error}): give a folder that passersby.generate has made.") from error


def mask(image: object) -> np.ndarray:
    """Draw the mask of an image's person.

    Args:
        image: A path in a Passersby folder, or a record with such a ``path``.

    Returns:
        The pixels that show the person, (128, 64) bool; none for a false alarm.

    Raises:
        DataError: The image is not Passersby's, or was made by another version of the generator.
    """
    return render.person_mask(*made_from(image))


def keypoints(image: object) -> pd.DataFrame:
    """Compute the body joints of an image's person.

    Args:
        image: A path in a Passersby folder, or a record with such a ``path``.

    Returns:
        One row per joint, with its x and y (pixels) and its visibility: 2 if it is seen, 1 if it is in the image but
        hidden by a prop or somebody else, 0 if it is outside the image or nobody is there.

    Raises:
        DataError: The image is not Passersby's, or was made by another version of the generator.
    """
    rows = render.person_keypoints(*made_from(image))
    return pd.DataFrame(rows, columns=["joint", "x", "y", "visibility"]).set_index("joint")


def made_from(image: object) -> tuple[int, Key, Town]:
    """Find seed, name and town, from which an image was drawn.

    Args:
        image: A path in a Passersby folder, or a record with such a ``path``.

    Raises:
        DataError: The image is not Passersby's, or was made by another version of the generator.
    """
    path = Path(str(getattr(image, "path", image)))
    marker = path.parent.parent / MARKER
    try:
        made = json.loads(marker.read_text(encoding="utf-8"))
        version, seed = made["generator"], made["seed"]
        town = str(made.get("town", towns.CITY.name))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not in a Passersby folder ({marker} is missing or damaged), so it has no annotations and "
            "cannot be drawn again: give an image of a folder that passersby.generate has made."
        ) from error
    if version != VERSION:
        raise DataError(
            f"{path} was made by generator version {version}, this is version {VERSION}: neither it nor its "
            "annotations can be drawn again. Generate the data set anew."
        )
    return seed, Key.parse(path), towns.find(town)
