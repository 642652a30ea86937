"""What the folders above an image mean: a split, a camera, a person, or something else.

It looks at names alone, so that a folder is never taken for a person unasked. Levels are taken off from above as long
as their names are those of splits or cameras; the next level is the people's, unless its names speak against it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from reid_lab.data import cameras
from reid_lab.data.custom import words
from reid_lab.data.custom.identities import take_people
from reid_lab.data.custom.numbering import NOBODY
from reid_lab.data.custom.reading import ImagePath, Reading, by_top_folder, one_folder_down
from reid_lab.data.finding import some
from reid_lab.runtime.errors import DataError


def read(names: Sequence[str], root: Path, told: cameras.Cameras = None) -> Reading:
    """Find the person and split of each image.

    Args:
        names: The images' posix paths below ``root``; nothing else is looked at.
        root: The folder, for the errors.
        told: What the user told about cameras.

    Raises:
        DataError: The folders are not people, or nothing tells who is on an image.
    """
    reading = Reading([ImagePath(name, name) for name in names], defaultdict(list))
    settled: list[ImagePath] = []
    for _ in range(6):  # wrappers, splits, cameras, or cameras, splits
        settled += _take_nobody(reading)
        tops = by_top_folder(reading.images)
        if not (
            _take_splits(reading, tops, root) or _take_wrapper(reading, tops) or _take_cameras(reading, tops, told)
        ):
            break
    take_people(reading, root)
    reading.images = sorted(settled + reading.images, key=lambda image: image.name)
    return reading


def _take_nobody(reading: Reading) -> list[ImagePath]:
    """Folders called junk or distractors hold nobody, on whichever level."""
    nobody = [
        image for top, images in by_top_folder(reading.images).items() if top.lower() in NOBODY for image in images
    ]
    names = {image.name for image in nobody}
    reading.images = [image for image in reading.images if image.name not in names]
    return [one_folder_down(image, person=image.rest.split("/")[0].lower()) for image in nobody]


# Splits


def _is_called(name: str, word: str) -> bool:
    return name.lower() in (word, f"bbox_{word}", f"bounding_box_{word}")


def _take_splits(reading: Reading, tops: Mapping[str, list[ImagePath]], root: Path) -> bool:
    if any(image.split for image in reading.images):
        return False
    roles: defaultdict[str, list[str]] = defaultdict(list)
    for top in tops:
        split = words.split_of(top)
        if split:
            roles[split].append(top)
    plain = any(_is_called(top, words.SPLIT_WORDS[split][0]) for split, found in roles.items() for top in found)
    if not (plain or len(roles) > 1):
        return False
    chosen = {split: _one(split, found, root) for split, found in roles.items()}
    if "test" in chosen and ("gallery" in chosen or "query" in chosen):
        left = chosen.pop("test")
        if "gallery" not in chosen:
            chosen["gallery"] = left
    taken = {top: split for split, top in chosen.items()}
    others = [image for top, images in tops.items() if top not in taken for image in images]
    folders, splits = some(top for top in tops if top not in taken), f"the splits' ({some(taken)})"
    cure = "rename them train, query or gallery if they should be, or move them away"
    reading.set_aside(others, f"because they lie in other folders ({folders}) than {splits}", cure)
    reading.set_aside(reading.loose(), f"because they lie in no folder, beside {splits}", "move them into one")
    if any(top.lower() != split or split == "test" for top, split in taken.items()):
        reading.taken.append("the folders " + ", ".join(f"{top} for {split} images" for top, split in taken.items()))
    reading.images = [one_folder_down(image, split=taken[image.rest.split("/")[0]]) for image in reading.images]
    return True


def _one(split: str, found: Sequence[str], root: Path) -> str:
    """The folder of a split: the one with the plain name, first of all in the order of SPLIT_WORDS."""
    if len(found) == 1:
        return found[0]
    for word in words.SPLIT_WORDS[split]:
        plain = [top for top in found if _is_called(top, word)]
        if len(plain) == 1:
            return plain[0]
    raise DataError(
        f"The folder {root} holds more than one folder that may be {split} ({some(found)}): call one of them {split}, "
        "or give a folder that holds one data set."
    )


def _take_wrapper(reading: Reading, tops: Mapping[str, list[ImagePath]]) -> bool:
    """One folder called images, crops, dataset, or with a data set's folders in it, says nothing."""
    if len(tops) != 1 or reading.loose():
        return False
    if not re.fullmatch(words.KIND, next(iter(tops)), re.IGNORECASE) and not _holds_no_people(reading.images):
        return False
    reading.images = [one_folder_down(image) for image in reading.images]
    return True


def _holds_no_people(images: Sequence[ImagePath]) -> bool:
    """Whether the one folder above all, or the only one in it, holds a data set's folders, and not a person's own."""
    levels = [image.rest.split("/")[1:-1] for image in images]
    while levels and all(levels):
        names = {above[0] for above in levels}
        splits = sum(words.split_of(name) is not None for name in names)
        if splits > 1 or splits == len(names):
            return splits > 1 or all(len(above) > 1 for above in levels)
        kinds = all(re.fullmatch(words.KINDS, name, re.IGNORECASE) or cameras.named(name) is not None for name in names)
        if kinds or len(names) > 1:
            return kinds and all(len(above) > 1 for above in levels)
        levels = [above[1:] for above in levels]
    return False


# Cameras


def _take_cameras(reading: Reading, tops: Mapping[str, list[ImagePath]], told: cameras.Cameras) -> bool:
    """Folders called cam1, c2, side_a are cameras, unless what lies below names others."""
    found = {top: words.camera_of_folder(top, told) for top in tops}
    if not tops or not any(camera is not None for camera in found.values()):
        return False
    if any(image.camera is not None for image in reading.images) or _names_other_cameras(tops, found):
        return False
    odd = [top for top, camera in found.items() if camera is None]
    if len(odd) >= len(found) - len(odd) or _name_people_too(tops):
        return False
    beside = [image for top in odd for image in tops[top]]
    cure = "move them into a camera's folder, or away"
    reading.set_aside(beside, f"because they lie in other folders ({some(odd)}) than the cameras'", cure)
    reading.set_aside(reading.loose(), "because they lie in no folder, beside the cameras'", cure)
    reading.taken.append(f"the folders {some(top for top in tops if top not in odd)} for cameras")
    reading.images = [one_folder_down(image, camera=found[image.rest.split("/")[0]]) for image in reading.images]
    return True


def _names_other_cameras(tops: Mapping[str, list[ImagePath]], found: Mapping[str, int | None]) -> bool:
    """Whether names below a folder tell other cameras than its own name: then it is no camera's."""
    for top, images in tops.items():
        below = {cameras.named(image.rest.partition("/")[2]) for image in images} - {None}
        if below - {found[top]}:
            return True
    return False


def _name_people_too(tops: Mapping[str, list[ImagePath]]) -> bool:
    """Whether the folders' names hold a person beside the camera: 0001_c1, 0001_c2, 0002_c1."""
    people = {words.without_camera(top) for top in tops}
    return len(people) > 1 and all(image.rest.count("/") == 1 for images in tops.values() for image in images)
