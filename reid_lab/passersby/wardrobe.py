"""Dressed images of many people, made once and kept: each shot again, in the clothes of other people.

The folder lies in the package's cache beside the data sets. It is there whole or not at all. Its name depends on the
data set and on which images were asked for, so that the same question finds the same files.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from reid_lab.passersby.annotations import VERSION, made_from
from reid_lab.passersby.dressed import dressed
from reid_lab.passersby.frames import Key
from reid_lab.passersby.generate import CHUNK, processes
from reid_lab.passersby.rng import Draw
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import cache_folder
from reid_lab.runtime.folders import image_folder
from reid_lab.runtime.pool import ordered_map
from reid_lab.runtime.validation import whole

OWNER_STREAM = 61


@dataclass(frozen=True)
class Dressed:
    """A dressed image.

    Attributes:
        path: Its file.
        shot: The index of the image that was drawn again.
        owner: The index of an image of the person whose clothes are worn.
    """

    path: Path
    shot: int
    owner: int


def wardrobe(images: Sequence[object], each: int = 1, workers: int | None = None) -> list[Dressed]:
    """Draw each image again in the clothes of ``each`` other people among them.

    Whose clothes are worn is drawn from all people of the images but the shot's own, from the shot's name: the same
    images give the same files.

    Args:
        images: Images of one Passersby data set: paths, or records with such a ``path``.
        each: How many times each image is dressed.
        workers: The number of processes, which changes no file; by default one per processor, and one for few images.

    Returns:
        ``each`` rounds of all images, (each * N,), in the order of the images.

    Raises:
        DataError: An image is not Passersby's, or it is of nobody in particular. The images are of several data sets,
            or of one person. The folder cannot be written.
        WorkerError: A worker process ended early.
    """
    whole("The number of clothes that each image is shown in", each, 1, DataError)
    made = [made_from(image) for image in images]
    if len({(seed, town.name) for seed, _, town in made}) != 1:
        raise DataError("These images are of several data sets or of none: give the images of one Passersby data set.")
    seed, town = made[0][0], made[0][2]
    for image, (_, key, _) in zip(images, made, strict=True):
        if key.pid <= 0:
            raise DataError(f"{getattr(image, 'path', image)} is of nobody in particular: give images of people.")
    found, names = _draw_owners([key for _, key, _ in made], town.first_seed + seed, each)
    told = "\n".join([f"{VERSION} {seed} {town.name}", *names])
    folder = cache_folder() / "passersby" / f"dressed-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    jobs = [(images[shot], images[owner], name) for (shot, owner), name in zip(found, names, strict=True)]
    paths = image_folder(folder, names, functools.partial(_fill, jobs=jobs, workers=workers))
    return [Dressed(path, *pair) for path, pair in zip(paths, found, strict=True)]


def _draw_owners(keys: Sequence[Key], seed: int, each: int) -> tuple[list[tuple[int, int]], list[str]]:
    """Each shot with an image of the person whose clothes it gets, as indices, ``each`` times; the files' names."""
    first = {key.pid: index for index, key in reversed(list(enumerate(keys)))}
    if len(first) < 2:
        raise DataError("These images show one person, so that there are no others' clothes: add people.")
    found, names = [], []
    for turn in range(each):
        for shot, key in enumerate(keys):
            draw = Draw(seed, OWNER_STREAM, key.pid, key.camid, key.frame, key.box, turn)
            owner = draw.choice([pid for pid in first if pid != key.pid])
            found.append((shot, first[owner]))
            names.append(f"{turn}_{key.name}_in_{owner}.png")
    return found, names


def _fill(folder: Path, jobs: Sequence[tuple[object, object, str]], workers: int | None) -> None:
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    number = processes(workers, len(jobs), len(chunks))
    work = functools.partial(_make, folder)
    with closing(ordered_map(work, chunks, number, description="other clothes", unit="image", units=len)) as made:
        for _ in made:
            pass


def _make(folder: Path, jobs: Sequence[tuple[object, object, str]]) -> None:
    for shot, owner, name in jobs:
        Image.fromarray(dressed(shot, owner)).save(folder / name, compress_level=1)
