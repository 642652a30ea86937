"""What the names of folders and images say by themselves: a split, a camera, a person, a date, a kind of image."""

import re
from collections.abc import Iterable, Mapping, Sequence

from reid_lab.data import cameras

SPLIT_WORDS = {
    "train": ("train", "trn"),
    "query": ("query", "queries", "probe"),
    "gallery": ("gallery", "galleries"),
    "test": ("test", "val", "valid", "validation", "eval", "evaluation", "dev"),
}
SPLIT_END = r"(?:s|ing|set|data|images)?\d*$"
CAMERA_FOLDER = (
    r"(?:(?:cam|camera|kamera|side|view)(?:[_\- ]?(\d+|(?-i:[A-Z]))|[_\- ]([a-z]))|(?:c|ch|channel)[_\- ]?(\d+))"
)
# Market-1501, DukeMTMC-reID, VeRi, MARS: identity and camera begin the name
IDENTITY = r"(-?\d+?|\d+-1)(?:_c(\d+)|c(\d+)(?=t\d))"
FULL_IDENTITY = IDENTITY + r"(?:s\d+_\d|_f?\d{4}|t\d+f?\d*)"
DATE = r"(?:19|20)\d\d[-_.]?[01]\d(?:[-_.]?[0-3]\d)?(?!\d)|[0-3]?\d[-_.][01]?\d[-_.](?:19|20)\d\d"
KIND = (
    r"(?:images?|imgs?|photos?|pictures?|frames?|crops?|data(?:set)?s?|people|persons|pedestrians|visible|thermal|heat|"
    r"infrared|ir|rgb|depth|colou?r|gr[ae]y|sketch|day|night|morning|noon|afternoon|evening|indoors?|outdoors?|inside|"
    r"outside|occluded|partial|whole|holistic|full|body|male|female|m[ae]n|wom[ae]n|boys?|girls?|adults?|child(?:ren)?|"
    r"labell?ed|detected|masks?|front|back|left|right|single|multi|shot|old|new|raw|backup|unsorted|other|misc|all|"
    r"sequences?|sessions?|batch|parts?|folds?|sets?|groups?|scenes?|videos?|clips?|weeks?|months?|hours?|locations?|"
    r"places?|rooms?|sites?|areas?|zones?|floors?|(?:mon|tues|wednes|thurs|fri|satur|sun)day|person|cars?|bicycles?|bus|"
    r"trucks?|dogs?|cats?|background|positives?|negatives?|unknown|walking|standing|sitting|running)"
)
KINDS = rf"(?:[_\-. \d]*{KIND})+[_\-. \d]*"
PERSON = r"(?:persons?|people|pid|id|identity|p|ped|pedestrian|subject|subj|s|user|name|human|player|vehicle|car|-)?"
PERSON_NUMBER = rf"{PERSON}[_\- ]?\d+|\d+-1"
TRACK = r"(?:t|tr|track|tracklet|seq|sequence|clip|shot|session|scene|video|part|walk|take|\d+c)"


def split_of(name: str) -> str | None:
    """Find the split that a folder's name tells, in any case and with any prefix: Train, bbox_test, gallery_all."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    for split, known in SPLIT_WORDS.items():
        if any(re.fullmatch(rf"(?:{'|'.join(known)}){SPLIT_END}", word.lower()) for word in words):
            return split
    return None


def camera_of_folder(name: str, told: cameras.Cameras) -> int | None:
    """Find the camera that a folder's name tells, also by the user's pattern if that is all of the name."""
    patterns = [CAMERA_FOLDER]
    if isinstance(told, str) and "(" in told:
        patterns.append(told)
    for pattern in patterns:
        match = re.fullmatch(pattern, name, re.IGNORECASE)
        found = next((group for group in match.groups() if group), "") if match else ""
        if re.fullmatch(r"\d+|[a-zA-Z]", found) and not re.fullmatch(PERSON_NUMBER, name, re.IGNORECASE):
            return cameras.number(found)
    return cameras.named(name)


def without_camera(name: str) -> str:
    """Take off what tells a camera: 0001 of 0001_c1."""
    return re.sub(rf"{cameras.CAMERA}|^{CAMERA_FOLDER}$", "", name, flags=re.IGNORECASE).strip("_ .")


def identity(name: str, pattern: str = IDENTITY) -> re.Match[str] | None:
    """Match the beginning of a file's name as in Market-1501: identity, then camera in the second or third group."""
    return re.match(pattern, name.rpartition("/")[2], re.IGNORECASE)


def look_of(tops: Mapping[str, object], inner: Mapping[str, set[str]], below: Sequence[str]) -> str:
    """Say what the folders look like; "" for people.

    Args:
        tops: The folders.
        inner: The folders in each of them.
        below: All names of ``inner``.
    """
    if _all(rf"(?:{DATE}).*", tops):
        return "dates"
    if _all(KINDS, tops) and not _all(PERSON_NUMBER, tops):
        return "kinds of images"
    if below and all(split_of(name) for name in below) and len(below) > 1:
        return "data sets or people above splits"
    if not below or all(cameras.named(name) is not None for name in below):
        return ""
    if _all(rf"(?:{DATE}).*|{TRACK}[_\- ]?\d.*|{KINDS}", below):
        return ""  # tracklets, dates and kinds of images of a person
    if all(camera_of_folder(name, None) is not None for name in tops):
        return "cameras, though the images' names tell others,"
    return "groups of people" if _hold_people(tops, inner, below) else ""


def _hold_people(tops: Mapping[str, object], inner: Mapping[str, set[str]], below: Sequence[str]) -> bool:
    """Whether people are rather the lower of two levels of folders."""
    numbers_above, numbers_below = (_all(PERSON_NUMBER, names) for names in (tops, below))
    if len(tops) == 1:
        return len(below) > 1 and not numbers_above
    if numbers_above and numbers_below and _width(tops) > _width(below):
        return False  # 0001/1, 0001/2, 0002/1
    narrower = numbers_above and numbers_below and _width(tops) < _width(below)  # 1/0001, 1/0002, 2/0001
    if not numbers_above and _is_series(tops):
        return True  # room1/anna, room2/bert
    shared = sum(len(names) for names in inner.values()) - len(below)
    if shared:
        padded = numbers_below and not numbers_above and _width(below) > 2  # north/001, south/001
        return len(below) > len(tops) or narrower or padded
    return numbers_below and (narrower or not numbers_above) and len(below) > 2 * len(tops)


def _all(pattern: str, names: Iterable[str]) -> bool:
    return all(re.fullmatch(pattern, name, re.IGNORECASE) for name in names)


def _width(names: Iterable[str]) -> int:
    return min(sum(character.isdigit() for character in name) for name in names)


def _is_series(names: Iterable[str]) -> bool:
    """Whether the names differ by a number or letter at their end only: room1, room2; a, b."""
    stems = {re.sub(r"[_\- ]?(?:\d+|(?:(?<=[_\- ])|^)[a-zA-Z]|(?<=[a-z])[A-Z])$", "", name) for name in names}
    return len(stems) == 1 and not any(stem and re.fullmatch(PERSON, stem, re.IGNORECASE) for stem in stems)
