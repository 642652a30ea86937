"""Numbers for people who have names: pids from 1 in the names' order, and the words and numbers for nobody."""

import re
import unicodedata
from collections.abc import Collection, Sequence

from reid_lab.data.finding import Finding, n_images, some
from reid_lab.data.records import DISTRACTOR, JUNK

# What systems call new folders and copies, what programs write for no value, and where people put the rest
NO_PERSON = (
    r"(?:new|untitled|neuer|nouveau|nueva) (?:folder|ordner|dossier|carpeta).*|.+ - (?:copy|kopie|copie|copia).*|"
    r".+ \(\d+\)|nan|none|null|n/a|(?:unknown|unnamed|unsorted|unlabell?ed|background|others?|misc|rest|te?mp|backup|"
    r"trash|deleted|rejected|ignored?|noise|todo|false[_ -]positives?|test|train|val|query|gallery|images?|crops?)\d*"
)
NOBODY = {"junk": JUNK, "distractors": DISTRACTOR, "distractor": DISTRACTOR}


def number(people: Sequence[str], order: str) -> tuple[dict[str, int], list[Finding]]:
    """Number the people: 1, 2, ... in the names' order, -1 and 0 for nobody.

    Names that differ in capitals or leading zeros alone are one person.

    Args:
        people: The name of the person on each image.
        order: What the order is called in the findings.

    Returns:
        The pid of each name, and what to tell the user about them.
    """
    names = sorted(set(people))
    others = [name for name in names if name.lower() not in NOBODY and whole(name) not in (JUNK, DISTRACTOR)]
    numbers = 2 * sum(whole(name) is not None for name in others) > len(others)
    pids: dict[str, int] = {}
    persons: dict[object, str] = {}
    alike_names = []
    for name in names:
        nobody = NOBODY.get(name.lower(), whole(name))
        if nobody == JUNK or (nobody == DISTRACTOR and (numbers or name.lower() in NOBODY)):
            pids[name] = nobody
            continue
        key = whole(name) if numbers and whole(name) is not None else unicodedata.normalize("NFC", name).casefold()
        if key in persons:
            alike_names.append(f"{persons[key]} and {name}")
        pids[name] = pids[persons[key]] if key in persons else len(persons) + 1
        persons.setdefault(key, name)
    return pids, _tell(people, pids, order, alike_names)


def whole(name: str) -> int | None:
    """Read the number that a name is; None for others. 00-1 is MARS' way to write -1; pandas may write 1.0 for 1."""
    name = name.replace("\u2212", "-")  # the minus of typesetters
    name = re.sub(r"(?<=\d)\.(?!000$)0+$|^(?:person|pid|id)[_ ](?=-1$)", "", name)
    if name.removesuffix("-1").strip("0") == "" and name.endswith("-1"):  # MARS calls junk 00-1
        return JUNK
    return int(name) if name.removeprefix("-").isdecimal() and len(name) < 100 else None


def _tell(people: Sequence[str], pids: dict[str, int], order: str, alike_names: Sequence[str]) -> list[Finding]:
    persons = {name: pid for name, pid in pids.items() if pid > DISTRACTOR}
    found = []
    if persons:
        listed = some(f"{name} is {pid}" for name, pid in persons.items())
        found.append(Finding("note", f"Identities are numbered in the order of {order}: {listed}."))
    for pid, what in ((JUNK, "junk, neither right nor wrong"), (DISTRACTOR, "distractors, images of nobody")):
        names = [name for name in pids if pids[name] == pid]
        if names:
            count = sum(pids[name] == pid for name in people)
            sentence = f"{some(names)} ({n_images(count)}, pid {pid}) means {what}"
            found.append(Finding("note", f"{sentence}: rename it if it is a person."))
    series = _series(persons)
    if series:
        sentence = f"Several names begin alike and end in a number ({some(series)}), and each is taken for a person"
        found.append(Finding("warning", f"{sentence}: put what is one into one folder, or call it 0001_c1."))
    if alike_names:
        sentence = f"Names that differ in capitals or zeros alone are taken for one person ({some(alike_names)})"
        found.append(Finding("warning", f"{sentence}: rename them if they are two."))
    numbered = f"All names of people but {some(few)} are numbers" if (few := _few_names(persons)) else ""
    strange = f"{some(odd)} may be no person" if (odd := _strange(persons)) else ""
    for sentence in filter(None, (numbered, strange)):
        found.append(Finding("warning", f"{sentence}: move or rename what is no person.", "odd"))
    return found


def _series(persons: Collection[str]) -> list[str]:
    """The names, if they are numbers of people with another number behind them: 0001_1, 0001_2, 0002_1."""
    ends = [re.fullmatch(r"(\D*\d+)[_\- .]\D*\d+", name) for name in persons]
    whose = {end[1] for end in ends if end}
    return list(persons) if all(ends) and 1 < len(whose) < len(persons) else []


def _few_names(persons: Collection[str]) -> list[str]:
    """The names among numbers, where they are few."""
    names = [name for name in persons if whole(name) is None]
    return names if 10 * len(names) <= len(persons) else []


def _strange(persons: Collection[str]) -> list[str]:
    """The names, if not most of them, that are rather a computer's or a waste bin's."""
    below = {name for name in persons if (number := whole(name)) is not None and number <= DISTRACTOR}
    found = [name for name in persons if name in below or re.fullmatch(NO_PERSON, name, re.IGNORECASE)]
    return found if 2 * len(found) < len(persons) else []
