"""The validation split: queries and a gallery of people who are in neither training nor test.

Passersby draws other people for it. Of any other set, some of the training identities are held out.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reid_lab.data.benchmark import VALIDATION, Benchmark
from reid_lab.data.custom.folder import open_split
from reid_lab.data.datasets.market import MARKER, market1501
from reid_lab.data.finding import Finding
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.validation import is_number, whole

FEWEST = 2  # people on each side: telling people apart takes two


@dataclass(frozen=True, eq=False, repr=False)
class ValidationSplit(Benchmark):
    """A benchmark whose query and gallery show people for choosing, not those of the test.

    Attributes:
        drawn_root: The folder of query and gallery, where that is not ``root``: Passersby's.
    """

    drawn_root: Path | None = None

    def relative(self, record: Record) -> str:
        """The posix path of an image below ``root`` or ``drawn_root``: its name in ``annotations`` and the digest."""
        if self.drawn_root is not None and record.path.is_relative_to(self.drawn_root):
            return record.path.relative_to(self.drawn_root).as_posix()
        return super().relative(record)


def validation_of(benchmark: Benchmark, share: float, seed: int) -> Benchmark:
    """Make the validation split of a benchmark; see :meth:`reid_lab.data.Benchmark.validation`.

    Args:
        benchmark: Any data set.
        share: The share of the training identities to hold out, between 0 and 1.
        seed: The seed of the drawing.

    Raises:
        DataError: It is a validation split already, there are too few people, or a value cannot work.
    """
    if not (is_number(share, 0) and 0 < share < 1):
        raise DataError(f"The share of identities for validation is {share}: give a number between 0 and 1.")
    whole("The seed of the validation split", seed, 0, DataError)
    if isinstance(benchmark, ValidationSplit):
        raise _already(benchmark)
    if benchmark.root is not None and (benchmark.root / MARKER).is_file():
        return _of_passersby(benchmark)
    return _held_out(benchmark, share, seed)


def _already(benchmark: Benchmark) -> DataError:
    return DataError(f"{benchmark.name!r} is a validation split already: ask the benchmark that it was made from.")


def _of_passersby(benchmark: Benchmark) -> Benchmark:
    """Passersby's training images, with query and gallery of people drawn for validation alone.

    These lie in the package's cache, wherever the data set lies: they follow from its size, seed and town.
    """
    from reid_lab.passersby import generate  # slow to import, and only needed here

    size, seed, town = drawn_with(benchmark)
    masks = any(record.pid == JUNK for record in benchmark.gallery)
    drawn = market1501(generate(size, seed, validation=True, town=town), "mask" if masks else "drop")
    tables = [drawn.annotations]
    if benchmark.annotations is not None:
        trained = {benchmark.relative(record) for record in benchmark.train}
        tables.insert(0, benchmark.annotations[benchmark.annotations.index.isin(trained)])
    return ValidationSplit(
        benchmark.name + VALIDATION,
        benchmark.train,
        drawn.query,
        drawn.gallery,
        annotations=pd.concat(tables),
        root=benchmark.root,
        notes=(
            *(note for note in benchmark.notes if note.subject == "copy"),
            *(note for note in drawn.notes if note.subject != "copy"),
        ),
        drawn_root=drawn.root,
    )


def drawn_with(benchmark: Benchmark) -> tuple[str, int, str]:
    """Size, seed and town."""
    from reid_lab.passersby import DEFAULT_TOWN, VERSION

    assert benchmark.root is not None
    path = benchmark.root / MARKER
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
        size, seed, version = str(marker["size"]), int(marker["seed"]), marker["generator"]
        town = str(marker.get("town", DEFAULT_TOWN))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged, and it says which people to draw for validation: copy it again from the original, or "
            "generate the data set anew."
        ) from error
    if marker.get("part") == "validation":
        raise _already(benchmark)
    if version != VERSION:
        raise DataError(
            f"{path} is of generator version {version}, this is version {VERSION}, which would draw the validation "
            "people in another way: generate the data set anew."
        )
    return size, seed, town


def _held_out(benchmark: Benchmark, share: float, seed: int) -> Benchmark:
    """A share of the training identities as query and gallery; all others stay in training."""
    by_pid: defaultdict[int, list[Record]] = defaultdict(list)
    for record in sorted(benchmark.train, key=lambda record: (benchmark.relative(record), record.pid, record.camid)):
        by_pid[record.pid].append(record)
    people = sorted(by_pid.keys() - {JUNK, DISTRACTOR})
    able = [pid for pid in people if _can_be_matched(by_pid[pid])]
    count = max(FEWEST, round(share * len(people)))
    _refuse_too_few(benchmark, share, count, people, able)
    chosen = set(np.random.default_rng(seed).permutation(able)[:count].tolist())
    drawn = open_split([record for pid in sorted(chosen) for record in by_pid[pid]], 0.0, seed)
    sentence = f"For validation, {count:,} of {len(people):,} training identities are held out; the test is not used."
    return ValidationSplit(
        benchmark.name + VALIDATION,
        [record for record in benchmark.train if record.pid not in chosen],
        drawn["query"],
        drawn["gallery"],
        annotations=benchmark.annotations,
        root=benchmark.root,
        notes=(*benchmark.notes, Finding("note", sentence)),
    )


def _can_be_matched(records: Sequence[Record]) -> bool:
    """Whether an identity gives a query: two cameras saw it, or, where cameras are unknown, it has two images."""
    cameras = {record.camid for record in records}
    return len(cameras) > 1 or (cameras == {UNKNOWN_CAMERA} and len(records) > 1)


def _refuse_too_few(benchmark: Benchmark, share: float, count: int, people: Sequence[int], able: Sequence[int]) -> None:
    if len(people) - count < FEWEST:
        raise DataError(
            f"{benchmark.name!r} has too few training identities for a validation split: {len(people):,}, and a "
            f"share of {share} would hold out {count:,}, while {FEWEST} have to stay: add people, or give a smaller "
            "share."
        )
    if len(able) < count:
        raise DataError(
            f"Only {len(able):,} of the {len(people):,} training identities of {benchmark.name!r} are seen by two "
            f"cameras, so that they can be held out for validation, and a share of {share} needs {count:,}: give a "
            "smaller share, or check how the cameras are read."
        )
