"""The truth about an image: what its table says, and where its person is, drawn again from its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from reid_lab.passersby import render
from reid_lab.passersby.frames import Key
from reid_lab.runtime.errors import DataError

VERSION = 3  # of the generator: change it whenever any pixel changes
MARKER, TRUTH = "passersby.json", "truth.csv"


def _seed_and_key(image: object) -> tuple[int, Key]:
    """From a path, or anything with a `path`, to what the image was made from."""
    path = Path(str(getattr(image, "path", image)))
    marker = path.parent.parent / MARKER
    try:
        made = json.loads(marker.read_text(encoding="utf-8"))
        version, seed = made["generator"], made["seed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not in a Passersby folder ({marker} is missing or damaged): its truth is "
            "images of a folder that passersby.generate has made."
        ) from error
    if version != VERSION:
        raise DataError(
            f"{path} was made by generator version {version}, this is version {VERSION}: its "
            "truth cannot be drawn again. Generate the data set anew."
        )
    return seed, Key.parse(path)


def mask(image: object) -> np.ndarray:
    """Which pixels show the image's person: (128, 64) bool; empty for false alarms.

    Args:
        image: a path in a Passersby folder, or a record with such a `path`.

    Raises:
        DataError: the image is not Passersby's, or of another version of the generator.
    """
    return render.person_mask(*_seed_and_key(image))


def keypoints(image: object) -> pd.DataFrame:
    """Body joints of the image's person: rows named by joint, columns x, y (pixels), visibility.

    Visibility is 2 (seen), 1 (in the image, hidden by a thing or somebody else) or 0 (outside, or nobody).

    Args:
        image: a path in a Passersby folder, or a record with such a `path`.

    Raises:
        DataError: the image is not Passersby's, or of another version of the generator.
    """
    rows = render.person_keypoints(*_seed_and_key(image))
    return pd.DataFrame(rows, columns=["joint", "x", "y", "visibility"]).set_index("joint")


def truth(folder: Path | str) -> pd.DataFrame:
    """The truth table of a Passersby folder, one row per image, indexed by relative path.

    Raises:
        DataError: the folder has none, or a damaged one.
    """
    table = Path(folder) / TRUTH
    try:
        return pd.read_csv(table, index_col="path", keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
        raise DataError(f"{table} cannot be read ({error}): give a folder that passersby.generate has made.") from error
