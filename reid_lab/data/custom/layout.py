"""What the folders above an image mean: a split, a camera, a person, or something else.

It looks at names alone, so that a folder is never taken for a person unasked. Levels are taken off from above as long
as their names are those of splits or cameras; the next level is the people's, unless its names speak against it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reid_lab.data import cameras
from reid_lab.data.custom import words
from reid_lab.data.custom.people import NOBODY
from reid_lab.data.finding import images, some
from reid_lab.runtime.errors import DataError

BEGINNINGS = "the beginnings of the images' names for people and cameras"


@dataclass(frozen=True)
class Place:
    """An image below the root, and what the folders above it say so far."""

    name: str  # posix path below the root
    rest: str  # of it, below the folders that are understood
    split: str = ""  # train, query, gallery; test, of which queries are still to be drawn; "" where nothing tells
    person: str = ""
    camera: int | None = None


@dataclass
class Reading:
    """All images with their person, and those that are not read, by reason."""

    places: list[Place]
    unread: dict[tuple[str, str], list[str]]  # (why, cure): names
    taken: list[str] = field(default_factory=list)  # what folders were taken for, where nobody has told


def read(names: Sequence[str], root: Path, told: cameras.Cameras = None) -> Reading:
    """Find the person and split of each image.

    Args:
        names: The images' posix paths below ``root``; nothing else is looked at.
        root: The folder, for the errors.
        told: What the user told about cameras.

    Raises:
        DataError: The folders are not people, or nothing tells who is on an image.
    """
    reading = Reading([Place(name, name) for name in names], defaultdict(list))
    settled: list[Place] = []
    for _ in range(6):  # wrappers, splits, cameras, or cameras, splits
        settled += _take_nobody(reading)
        tops = _tops(reading.places)
        if not (
            _take_splits(reading, tops, root) or _take_wrapper(reading, tops) or _take_cameras(reading, tops, told)
        ):
            break
    _take_people(reading, root)
    reading.places = sorted(settled + reading.places, key=lambda place: place.name)
    return reading


def _tops(places: Iterable[Place]) -> dict[str, list[Place]]:
    """The places by the first folder of their rest."""
    tops: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        if "/" in place.rest:
            tops[place.rest.split("/")[0]].append(place)
    return dict(sorted(tops.items()))


def _below(place: Place, **known: object) -> Place:
    return replace(place, rest=place.rest.partition("/")[2], **known)  # type: ignore[arg-type]


def _loose(reading: Reading) -> list[Place]:
    return [place for place in reading.places if "/" not in place.rest]


def _set_aside(reading: Reading, gone: Iterable[Place], why: str, cure: str) -> None:
    names = {place.name for place in gone}
    if names:
        reading.unread[why, cure] += sorted(names)
        reading.places = [place for place in reading.places if place.name not in names]


def _take_nobody(reading: Reading) -> list[Place]:
    """Folders called junk or distractors hold nobody, on whichever level."""
    nobody = [place for top, places in _tops(reading.places).items() if top.lower() in NOBODY for place in places]
    names = {place.name for place in nobody}
    reading.places = [place for place in reading.places if place.name not in names]
    return [_below(place, person=place.rest.split("/")[0].lower()) for place in nobody]


# Splits


def _is_called(name: str, word: str) -> bool:
    return name.lower() in (word, f"bbox_{word}", f"bounding_box_{word}")


def _take_splits(reading: Reading, tops: Mapping[str, list[Place]], root: Path) -> bool:
    if any(place.split for place in reading.places):
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
    others = [place for top, places in tops.items() if top not in taken for place in places]
    folders, splits = some(top for top in tops if top not in taken), f"the splits' ({some(taken)})"
    cure = "rename them train, query or gallery if they should be, or move them away"
    _set_aside(reading, others, f"because they lie in other folders ({folders}) than {splits}", cure)
    _set_aside(reading, _loose(reading), f"because they lie in no folder, beside {splits}", "move them into one")
    if any(top.lower() != split or split == "test" for top, split in taken.items()):
        reading.taken.append("the folders " + ", ".join(f"{top} for {split} images" for top, split in taken.items()))
    reading.places = [_below(place, split=taken[place.rest.split("/")[0]]) for place in reading.places]
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


def _take_wrapper(reading: Reading, tops: Mapping[str, list[Place]]) -> bool:
    """One folder called images, crops, dataset, or with a data set's folders in it, says nothing."""
    if len(tops) != 1 or _loose(reading):
        return False
    if not re.fullmatch(words.KIND, next(iter(tops)), re.IGNORECASE) and not _holds_no_people(reading.places):
        return False
    reading.places = [_below(place) for place in reading.places]
    return True


def _holds_no_people(places: Sequence[Place]) -> bool:
    """Whether the one folder above all, or the only one in it, holds a data set's folders, and not a person's own."""
    levels = [place.rest.split("/")[1:-1] for place in places]
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


def _take_cameras(reading: Reading, tops: Mapping[str, list[Place]], told: cameras.Cameras) -> bool:
    """Folders called cam1, c2, side_a are cameras, unless what lies below names others."""
    found = {top: words.camera_of_folder(top, told) for top in tops}
    if not tops or not any(camera is not None for camera in found.values()):
        return False
    if any(place.camera is not None for place in reading.places) or _names_other_cameras(tops, found):
        return False
    odd = [top for top, camera in found.items() if camera is None]
    if len(odd) >= len(found) - len(odd) or _name_people_too(tops):
        return False
    beside = [place for top in odd for place in tops[top]]
    cure = "move them into a camera's folder, or away"
    _set_aside(reading, beside, f"because they lie in other folders ({some(odd)}) than the cameras'", cure)
    _set_aside(reading, _loose(reading), "because they lie in no folder, beside the cameras'", cure)
    reading.taken.append(f"the folders {some(top for top in tops if top not in odd)} for cameras")
    reading.places = [_below(place, camera=found[place.rest.split("/")[0]]) for place in reading.places]
    return True


def _names_other_cameras(tops: Mapping[str, list[Place]], found: Mapping[str, int | None]) -> bool:
    """Whether names below a folder tell other cameras than its own name: then it is no camera's."""
    for top, places in tops.items():
        below = {cameras.named(place.rest.partition("/")[2]) for place in places} - {None}
        if below - {found[top]}:
            return True
    return False


def _name_people_too(tops: Mapping[str, list[Place]]) -> bool:
    """Whether the folders' names hold a person beside the camera: 0001_c1, 0001_c2, 0002_c1."""
    people = {words.without_camera(top) for top in tops}
    return len(people) > 1 and all(place.rest.count("/") == 1 for places in tops.values() for place in places)


# People


def _take_people(reading: Reading, root: Path) -> None:
    tops = _tops(reading.places)
    if _files_name_people(tops):
        reading.taken.append(BEGINNINGS)
        reading.places = [_by_name(place) for place in reading.places]
    for split in sorted({place.split for place in reading.places}):
        loose = [place for place in _loose(reading) if place.split == split and not place.person]
        if loose and not any(place.split == split and "/" in place.rest for place in reading.places):
            _take_names(reading, loose, root)
        else:
            cure = "move them into a person's folder, or away"
            _set_aside(reading, loose, "because they lie in no folder, beside the people's", cure)
    tops = _tops(place for place in reading.places if not place.person)
    if tops:
        for split in {place.split for places in tops.values() for place in places}:
            _refuse_others(_tops(place for place in reading.places if place.split == split and not place.person), root)
        both = all(cameras.named(top) is not None and words.without_camera(top) for top in tops)
        reading.places = [place if place.person else _in_folder(place, both) for place in reading.places]


def _in_folder(place: Place, both: bool) -> Place:
    """The person of a folder, whose name tells ``both`` person and camera (0001_c1), or the person alone."""
    person = place.rest.split("/")[0]
    if both and place.camera is None:
        return _below(place, person=words.without_camera(person), camera=cameras.named(person))
    return _below(place, person=person)


def _files_name_people(tops: Mapping[str, list[Place]]) -> bool:
    """Whether all files have names like Market-1501's, and one folder holds more than one identity of them."""
    several = False
    for places in tops.values():
        found = [words.identity(place.name, words.FULL_IDENTITY) for place in places]
        if None in found:
            return False
        several = several or len({match[1] for match in found if match}) > 1
    return several


def _by_name(place: Place) -> Place:
    match = words.identity(place.name)
    if match is None:
        return place
    return replace(place, person=match[1], camera=int(match[2] or match[3]))


def _take_names(reading: Reading, loose: Sequence[Place], root: Path) -> None:
    """Images that lie flat in one folder: their names tell the people, or nothing does."""
    named = {place.name: _by_name(place) for place in loose}
    bad = [name for name, place in named.items() if not place.person]
    folder = Path(root, loose[0].name).parent
    if len(bad) == len(loose):
        upper = {Path(name).parent.name for name in bad}
        look = "cameras" if loose[0].camera is not None else f"{loose[0].split} images".strip()
        where = f"in {some(sorted(upper))}, which look like {look}," if upper != {""} else "in it"
        raise DataError(
            f"The folder {root} holds no images in sub-folders of people: {images(len(loose))} lie directly {where} "
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
    reading.places = [named.get(place.name, place) for place in reading.places]


def _refuse_others(tops: Mapping[str, list[Place]], root: Path) -> None:
    """Raise DataError if the folders are rather dates, kinds or groups of people than people."""
    inner = {
        top: {place.rest.split("/")[1] for place in places if place.rest.count("/") > 1}
        for top, places in tops.items()
        if not any(place.rest.count("/") == 1 for place in places)  # a person whose images lie there
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
