"""Who is on an image: as the folder above it says, or its name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reid_lab.data import cameras
from reid_lab.data.custom import words
from reid_lab.data.custom.reading import ImagePath, Reading, by_top_folder, one_folder_down
from reid_lab.data.finding import n_images, some
from reid_lab.runtime.errors import DataError

BEGINNINGS = "the beginnings of the images' names for people and cameras"


def take_people(reading: Reading, root: Path) -> None:
    """Find out who is on each image, from the folder above it or from its name.

    Args:
        reading: All images; splits and cameras have been taken off.
        root: The folder, for the errors.

    Raises:
        DataError: The folders are not people, or nothing tells who is on an image.
    """
    tops = by_top_folder(reading.images)
    if _files_name_people(tops):
        reading.taken.append(BEGINNINGS)
        reading.images = [_by_name(image) for image in reading.images]
    for split in sorted({image.split for image in reading.images}):
        loose = [image for image in reading.loose() if image.split == split and not image.person]
        if loose and not any(image.split == split and "/" in image.rest for image in reading.images):
            _take_names(reading, loose, root)
        else:
            cure = "move them into a person's folder, or away"
            reading.set_aside(loose, "because they lie in no folder, beside the people's", cure)
    tops = by_top_folder(image for image in reading.images if not image.person)
    if tops:
        for split in {image.split for images in tops.values() for image in images}:
            _refuse_others(
                by_top_folder(image for image in reading.images if image.split == split and not image.person), root
            )
        both = all(cameras.named(top) is not None and words.without_camera(top) for top in tops)
        reading.images = [image if image.person else _in_folder(image, both) for image in reading.images]


def _in_folder(image: ImagePath, both: bool) -> ImagePath:
    """The person of a folder, whose name tells ``both`` person and camera (0001_c1), or the person alone."""
    person = image.rest.split("/")[0]
    if both and image.camera is None:
        return one_folder_down(image, person=words.without_camera(person), camera=cameras.named(person))
    return one_folder_down(image, person=person)


def _files_name_people(tops: Mapping[str, list[ImagePath]]) -> bool:
    """Whether all files have names like Market-1501's, and one folder holds more than one identity of them."""
    several = False
    for images in tops.values():
        found = [words.identity(image.name, words.FULL_IDENTITY) for image in images]
        if None in found:
            return False
        several = several or len({match[1] for match in found if match}) > 1
    return several


def _by_name(image: ImagePath) -> ImagePath:
    match = words.identity(image.name)
    if match is None:
        return image
    return replace(image, person=match[1], camera=int(match[2] or match[3]))


def _take_names(reading: Reading, loose: Sequence[ImagePath], root: Path) -> None:
    """Images that lie flat in one folder: their names tell the people, or nothing does."""
    named = {image.name: _by_name(image) for image in loose}
    bad = [name for name, image in named.items() if not image.person]
    folder = Path(root, loose[0].name).parent
    if len(bad) == len(loose):
        upper = {Path(name).parent.name for name in bad}
        look = "cameras" if loose[0].camera is not None else f"{loose[0].split} images".strip()
        where = f"in {some(sorted(upper))}, which look like {look}," if upper != {""} else "in it"
        raise DataError(
            f"The folder {root} holds no images in sub-folders of people: {n_images(len(loose))} lie directly {where} "
            f"and nothing tells who is on them (first: {some(bad)}): make one sub-folder per identity "
            f"({folder}/anna/cam1_001.jpg), name the images as Market-1501 does (0002_c1s1_000451_03.jpg), or write a "
            "table (CSV)."
        )
    if bad:
        raise DataError(
            f"{len(bad):,} of {len(loose):,} image names in {folder} do not begin with identity and camera, "
            f"as 0002_c1s1_000451_03.jpg does (first: {some(bad)}): rename them or move them away."
        )
    if BEGINNINGS not in reading.taken:
        reading.taken.append(BEGINNINGS)
    reading.images = [named.get(image.name, image) for image in reading.images]


def _refuse_others(tops: Mapping[str, list[ImagePath]], root: Path) -> None:
    """Raise DataError if the folders are rather dates, kinds or groups of people than people."""
    inner = {
        top: {image.rest.split("/")[1] for image in images if image.rest.count("/") > 1}
        for top, images in tops.items()
        if not any(image.rest.count("/") == 1 for image in images)  # a person whose images lie there
    }
    inner = inner if 2 * len(inner) > len(tops) else {}
    below = sorted(set().union(*inner.values()))
    looks = words.look_of(tops, inner, below)
    if not looks:
        return
    people = not any(cameras.named(name) is not None or words.split_of(name) for name in below)
    with_people = f" with {'people' if people else 'others'} below ({some(below)})" if below else ""
    cure = "put one folder per person there"
    if below and len(tops) == 1:
        cure = f"give {root / next(iter(tops))}, or {cure}"
    elif below:
        cure += ", give one of these folders, or call them cam1, cam2, ... or train, query, gallery if they are that"
    raise DataError(
        f"The folders {some(tops)} in {root} look like {looks}{with_people}, not like people: {cure}; a table (CSV) "
        "can say what names cannot."
    )
