"""Attributes: what is known about the person of an image, as whole numbers. A vocabulary names attributes and classes.

passersby      12 attributes of the table that belongs to every Passersby; they are exact
market1501     Market-1501's 27 labels as 12 attributes: a color is one attribute, whose first class is "none"
dukemtmc-reid  DukeMTMC-reID's 23 labels as 10 attributes

The labels of the two real sets are a file of Lin et al., "Improving Person Re-identification by Attribute and Identity
Learning" (2019). Who holds it puts it into the folder of the data set; nothing downloads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import DISTRACTOR, Record
from reid_lab.runtime.errors import DataError

Vocabulary = dict[str, tuple[str, ...]]  # the classes of each attribute, by its name
UNKNOWN = -1  # the label of an image about which nobody knows
YES = ("no", "yes")
PREFIXES = {"upper_colour": "up", "lower_colour": "down"}  # a file has one label for each color


@dataclass(frozen=True)
class Labels:
    """A published file of labels, one row for each identity."""

    file: str
    variable: str
    source: str
    vocabulary: Vocabulary


PUBLISHED = {
    "market1501": Labels(
        "market_attribute.mat",
        "market_attribute",
        "github.com/vana77/Market-1501_Attribute",
        {
            "gender": ("male", "female"),
            "hair": ("short", "long"),
            "up": ("long sleeves", "short sleeves"),
            "down": ("long", "short"),
            "clothes": ("dress", "trousers"),
            **dict.fromkeys(("hat", "backpack", "bag", "handbag"), YES),
            "age": ("young", "teenager", "adult", "old"),
            "upper_colour": ("none", "black", "white", "red", "purple", "yellow", "gray", "blue", "green"),
            "lower_colour": ("none", "black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown"),
        },
    ),
    "dukemtmc-reid": Labels(
        "duke_attribute.mat",
        "duke_attribute",
        "github.com/vana77/DukeMTMC-attribute",
        {
            "gender": ("male", "female"),
            "top": ("short", "long"),
            **dict.fromkeys(("boots", "hat", "backpack", "bag", "handbag"), YES),
            "shoes": ("dark", "light"),
            "upper_colour": ("none", "black", "white", "red", "purple", "gray", "blue", "green", "brown"),
            "lower_colour": ("none", "black", "white", "red", "gray", "blue", "green", "brown"),
        },
    ),
}
VOCABULARIES = ("passersby", *PUBLISHED)


def vocabulary(name: str) -> Vocabulary:
    """Look up one of VOCABULARIES: the classes of each attribute, by the attribute's name.

    Passersby's has the words of all its towns, so that a network that was trained in one can be tested in another.
    """
    if name in PUBLISHED:
        return PUBLISHED[name].vocabulary
    from reid_lab.passersby import people, towns  # slow to import, and only needed here

    def worn(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for town in towns.TOWNS.values() for word in getattr(town.wardrobe, kind)))

    return {
        "hair_style": tuple(people.HAIR_STYLES),
        "hair": tuple(people.HAIRS),
        "hat": worn("hats"),
        "upper": worn("uppers"),
        "upper_colour": tuple(people.CLOTHS),
        "pattern": worn("patterns"),
        "sleeves": ("none", "short", "long"),
        "lower": worn("lowers"),
        "lower_colour": tuple(people.CLOTHS),
        "bag": worn("bags"),
        "front_logo": worn("logos"),
        "back_print": worn("logos"),
    }


def attributes(benchmark: Benchmark, records: Sequence[Record], name: str, visible: bool = False) -> np.ndarray:
    """Read the attributes of the people of some images.

    Args:
        benchmark: The data set.
        records: Images of it, N.
        name: One of VOCABULARIES.
        visible: Whether what an image cannot show is unknown, for Passersby. An attribute belongs to a person, and
            every image of that person has it; but no image shows a chest and a back.

    Returns:
        The class of each of M attributes, in the vocabulary's order: int64 (N, M), UNKNOWN where nobody knows.

    Raises:
        DataError: The data set has no such attributes. The sentence names what would provide them.
    """
    if name in PUBLISHED:
        return _of_file(benchmark, records, PUBLISHED[name])
    words = vocabulary(name)
    table = _rows(benchmark, records, [*words, "view_angle", "open_front"])
    codes = {word: pd.Categorical(table[word], classes).codes for word, classes in words.items()}
    found = pd.DataFrame(codes, index=table.index).astype(np.int64)
    if visible:
        found = found.mask(_hidden(table, found), UNKNOWN)
    return found.to_numpy()


def of_others(labels: np.ndarray, pids: Sequence[int] | np.ndarray, seed: int = 0) -> np.ndarray:
    """Give every person somebody else's attributes: a control, in which labels are as many, and say nothing.

    Args:
        labels: The attributes of images, (N, M), the same for all images of one person.
        pids: The person of each image, (N,). There must be two of them.
        seed: Decides who gets whose.

    Returns:
        The attributes of other people, (N, M): each person's are given to exactly one other.
    """
    _, first, person = np.unique(pids, return_index=True, return_inverse=True)
    circle = np.random.default_rng(seed).permutation(len(first))
    giver = np.empty_like(circle)
    giver[circle] = np.roll(circle, 1)
    return labels[first[giver[person]]]


def _rows(benchmark: Benchmark, records: Sequence[Record], columns: Sequence[str]) -> pd.DataFrame:
    """The rows of Passersby's table of these images, in their order."""
    table = benchmark.annotations
    if table is None or not set(columns) <= set(table.columns):
        files = " or ".join(f'"{name}" (needs {labels.file})' for name, labels in PUBLISHED.items())
        raise DataError(
            f"{benchmark.name} has no table of Passersby's attributes. Train on Passersby, whose folder holds them in "
            f"truth.csv, or choose another vocabulary: {files}."
        )
    paths = [benchmark.relative(record) for record in records]
    foreign = [path for path in paths if path not in table.index]
    if foreign:
        raise DataError(
            f"The table of {benchmark.name} has no attributes of {len(foreign):,} images (first: {foreign[0]}): "
            "generate the data set anew, or leave these images out."
        )
    return table.loc[paths]


def _hidden(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Where an image cannot show an attribute: a print on the side that is turned away, or under something."""
    from reid_lab.passersby.people import UNPRINTED

    facing = np.cos(np.deg2rad(table["view_angle"].astype(float))) > 0
    covered = table["upper"].isin(UNPRINTED)
    hidden = pd.DataFrame(False, index=found.index, columns=found.columns)
    hidden["front_logo"] = ~facing | covered | table["open_front"].astype(str).eq("True")
    hidden["back_print"] = facing | covered | table["bag"].eq("backpack")
    return hidden


def _of_file(benchmark: Benchmark, records: Sequence[Record], labels: Labels) -> np.ndarray:
    path = (benchmark.root or Path()) / labels.file
    if benchmark.root is None or not path.is_file():
        raise DataError(
            f"{benchmark.name} has no attributes in {path}: put {labels.file} of {labels.source} there, or train on "
            'Passersby with attributes="passersby".'
        )
    known = _read(path, labels)
    people = sorted({record.pid for record in records if record.pid > DISTRACTOR} - known.keys())
    if people:
        raise DataError(
            f"{path} says nothing about {len(people):,} identities of {benchmark.name} (first: {people[0]}): take the "
            "file that belongs to this data set."
        )
    nobody = np.full(len(labels.vocabulary), UNKNOWN)
    return np.stack([known.get(record.pid, nobody) for record in records])


def _read(path: Path, labels: Labels) -> dict[int, np.ndarray]:
    """The attributes (M,) of each identity of the file."""
    from scipy.io import loadmat

    try:
        halves = loadmat(path, simplify_cells=True)[labels.variable]
        rows: dict[int, np.ndarray] = {}
        for half in (halves["train"], halves["test"]):
            columns = [_column(half, name, classes) for name, classes in labels.vocabulary.items()]
            rows |= dict(zip(map(int, half["image_index"]), np.stack(columns, axis=1), strict=True))
    except Exception as error:  # of a damaged file, scipy's reader may raise anything
        raise DataError(
            f"{path} cannot be read as {labels.file} of {labels.source} ({type(error).__name__}: {error}): "
            "download it again."
        ) from error
    return rows


def _column(half: dict, name: str, classes: tuple[str, ...]) -> np.ndarray:
    """The classes (identities,) of one attribute. Files count from 1, and 2 is "yes"; of two colors none is taken."""
    if name not in PREFIXES:
        codes = np.asarray(half[name], dtype=np.int64) - 1
        return np.where((codes >= 0) & (codes < len(classes)), codes, UNKNOWN)
    marked = np.stack([np.asarray(half[PREFIXES[name] + color]) == 2 for color in classes[1:]], axis=1)
    return np.where(marked.sum(axis=1) > 1, UNKNOWN, np.where(marked.any(axis=1), marked.argmax(axis=1) + 1, 0))
