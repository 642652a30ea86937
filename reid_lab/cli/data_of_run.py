"""The data that a run was trained on: found again, or missed with a sentence that says where they were."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reid_lab.cli.options import read_data
from reid_lab.runtime.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from reid_lab.data import Benchmark
    from reid_lab.training import Run

CAMERAS = "data_cameras"  # in environment.json: the value of --cameras when the data were read


def remember_cameras(run: Run, cameras: str | None) -> None:
    """Note in the run's folder how its data were read, so that ``evaluate`` can read them in the same way.

    Args:
        run: The finished run.
        cameras: The value of ``--cameras``.
    """
    from reid_lab.runtime.files import write_text

    if cameras is None or run.environment.get(CAMERAS) == cameras:
        return
    run.environment[CAMERAS] = cameras
    try:
        write_text(run.folder / "environment.json", json.dumps(run.environment, indent=1))
    except CheckpointError:  # the run is finished and whole, the note is a convenience
        print(f"reid-lab: --cameras could not be noted in {run.folder}: give it to evaluate, too.", file=sys.stderr)


def data_of(run: Run, cameras: str | None = None) -> Benchmark:
    """Read what a run was trained on.

    Args:
        run: The run.
        cameras: The value of ``--cameras``. Default: that of the training.

    Returns:
        The benchmark, the same as in the training: its validation split, if the run was trained on that.

    Raises:
        DataError: The data are gone, or have changed.
    """
    from reid_lab import data
    from reid_lab.data.benchmark import VALIDATION

    told = run.environment
    name, root = str(told.get("data")), Path(str(told.get("data_root")))
    made = re.fullmatch(rf"Passersby (?:(?P<town>\w+) )?(?P<size>\w+), seed (?P<seed>\d+)(?:{VALIDATION})?", name)
    if made and not root.exists():  # the cache was cleared
        return _split_of(run, data.passersby(made["size"], int(made["seed"]), town=made["town"] or "city"))
    sources = _sources(name, root)
    if not sources:
        raise DataError(
            f"The data of the run {run.folder} are not in {root}: put them back, or give their place with --data PATH."
        )
    errors: list[DataError] = []
    for source in sources:
        try:
            benchmark = _split_of(run, read_data(source, told.get(CAMERAS) if cameras is None else cameras)[1])
            if benchmark.digest == told.get("data_digest"):
                return benchmark
        except DataError as error:
            errors.append(error)
    if len(errors) == len(sources):
        raise errors[0]
    raise _changed(name, sources[0])


def _changed(name: str, source: Path) -> DataError:
    from reid_lab.data.benchmark import VALIDATION

    split = "validation split was drawn with another share or seed, or its " if name.endswith(VALIDATION) else ""
    return DataError(
        f"{source} is not what this run was trained on, or its {split}cameras were read in another way: restore it, "
        f"give the --cameras of the training, or evaluate on it nevertheless with --data {source}."
    )


def data_at(run: Run, path: Path, cameras: str | None) -> Benchmark:
    """Read the data in ``path``. If they are the training's own, only moved, its cameras are used.

    Args:
        run: The run.
        path: The folder or table.
        cameras: The value of ``--cameras``.

    Returns:
        The benchmark.

    Raises:
        DataError: The data are not there or cannot be used.
    """
    told = run.environment.get(CAMERAS)
    if cameras is None and told is not None:
        with contextlib.suppress(DataError):  # other data, which those cameras need not fit
            benchmark = read_data(path, told)[1]
            if _split_of(run, benchmark).digest == run.environment.get("data_digest"):
                return benchmark
    return read_data(path, cameras)[1]


def _split_of(run: Run, benchmark: Benchmark) -> Benchmark:
    """The benchmark, or its validation split if the name of the run's data says so."""
    from reid_lab.data.benchmark import VALIDATION

    name = str(run.environment.get("data"))
    return benchmark.validation() if name.endswith(VALIDATION) and name != benchmark.name else benchmark


def _sources(name: str, root: Path) -> list[Path]:
    """What data of that name may have been read from: a table in the folder, or the folder itself."""
    from reid_lab.data.benchmark import VALIDATION
    from reid_lab.data.datasets.published import COUNTS

    if not root.is_dir():
        return []
    names = {name, name.removesuffix(VALIDATION)}
    tables = [path for path in sorted(root.iterdir()) if path.stem in names and path.suffix.lower() == ".csv"]
    if not tables and not names & {root.name, *COUNTS} and not name.startswith("Passersby"):  # it was a table
        raise DataError(
            f"The table {root / min(names, key=len)}.csv is not there: put it back, or give its place with --data PATH."
        )
    return [*(path for path in tables if path.is_file()), root]
