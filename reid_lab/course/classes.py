"""What a whole class predicted, for whoever teaches it."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from reid_lab.course.predictions import kept_in
from reid_lab.runtime.errors import CourseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def histogram(folder: Path | str, *names: str) -> Figure:
    """Draw how many students predicted what: a bar for every option, and a mark at what came out.

    Args:
        folder: The folder with the students' files. Each is a ``predictions.json``, under any name that ends in
            ``.json``, and may lie in a folder of its own.
        *names: Which predictions, such as "04-2"; all by default.

    Returns:
        A figure with one part per prediction.

    Raises:
        CourseError: No file in the folder can be read, or no student has made one of these predictions.
    """
    import matplotlib.pyplot as plt

    read = {path: kept_in(path) for path in sorted(Path(folder).rglob("*.json"))}
    students = [kept for kept in read.values() if kept]
    if not students:
        raise CourseError(f"{folder} holds no predictions: put the students' files predictions.json there.")
    made = sorted({name for kept in students for name in kept})
    wanted = list(names) or made
    if missing := [name for name in wanted if name not in made]:
        raise CourseError(f"Nobody has made prediction {missing[0]}; there are {', '.join(made)}.")
    figure, axes = plt.subplots(
        len(wanted), 1, figsize=(8, 2.4 * len(wanted)), squeeze=False, layout="constrained", sharex=True
    )
    for name, part in zip(wanted, axes[:, 0], strict=True):
        _bars(part, name, [kept[name] for kept in students if name in kept])
    axes[-1, 0].set_xlabel(f"students, of {len(students)}")
    if damaged := sum(kept is None for kept in read.values()):
        figure.suptitle(f"{damaged} more {'file' if damaged == 1 else 'files'} could not be read", fontsize=10)
    return figure


def _bars(axes: Axes, name: str, predictions: list[dict]) -> None:
    from matplotlib.ticker import MaxNLocator

    counts = Counter(each["mine"] for each in predictions)
    options = list(dict.fromkeys(option for each in predictions for option in each["options"]))
    came = {each["came"] for each in predictions if "came" in each}
    labels = [textwrap.fill(option, 40) + (" (came out)" if option in came else "") for option in options]
    colors = ["C0" if option in came else "0.75" for option in options]
    axes.barh(labels, [counts[option] for option in options], color=colors)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(textwrap.fill(f"{name}: {predictions[0]['question']}", 80), fontsize=11, loc="left")
