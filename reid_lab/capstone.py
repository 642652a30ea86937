"""The capstone of the course: a hidden town, whose images students get and whose answers the lecturer keeps.

:func:`handout` draws a town that nobody has seen, from a seed that only the lecturer knows, and writes its queries and
gallery under names that tell nothing. Students write features of both folders with ``reid-lab embed``.
:func:`leaderboard` scores these files with intervals over people, and says how far each lies above the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from reid_lab import data, retrieval
from reid_lab.analysis.conditions import interval
from reid_lab.data import Benchmark
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import write_text
from reid_lab.runtime.folders import write_folder

FOLDERS = ("query", "gallery")
KEY = "key.csv"
SECRET = 1_000  # seeds below are those of the course and its experiments


def hidden_town(seed: int, size: str = "classroom", town: str = "coast") -> Benchmark:
    """Draw the hidden town.

    Raises:
        DataError: the seed is one that students know.
    """
    if seed < SECRET and size != "smoke":
        raise DataError(f"The seed {seed} is one of the course's own: choose a secret one from {SECRET:,} on.")
    return data.passersby(size, seed=seed, town=town)


def handout(folder: Path | str, seed: int, size: str = "classroom", town: str = "coast") -> Path:
    """Write the images of a hidden town for students, and beside them the key for the lecturer.

    Args:
        folder: where to write; it must not exist. ``handout/query`` and ``handout/gallery`` hold the images, in an
            order that tells nothing, and without anything but pixels. ``key.csv`` has who is on each.
        seed: of the town, the lecturer's secret.
        size: "classroom", or "smoke" for a try.
        town: "coast", or "city".

    Returns:
        The path of the key.

    Raises:
        DataError: the folder exists, or the seed is one that students know.
    """
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder} exists: give a new folder, so that nothing is overwritten.")
    bench = hidden_town(seed, size, town)

    def fill(partial: Path) -> None:
        rows = []
        for i, name in enumerate(FOLDERS):
            (partial / "handout" / name).mkdir(parents=True)
            records = bench.splits[name]
            order = np.random.default_rng([seed, i]).permutation(len(records))
            for number, index in enumerate(order.tolist(), start=1):
                record, file = records[index], f"{number:05}.png"
                with Image.open(record.path) as image:
                    Image.fromarray(np.asarray(image.convert("RGB"))).save(partial / "handout" / name / file)
                rows.append({"folder": name, "file": file, "pid": record.pid, "camid": record.camid})
        write_text(partial / KEY, pd.DataFrame(rows).to_csv(index=False))

    write_folder(folder, fill, lambda made: (made / KEY).is_file())
    return folder / KEY


def leaderboard(key: Path | str, teams: Sequence[Path | str]) -> pd.DataFrame:
    """Score the features of teams.

    Args:
        key: ``key.csv`` of the handout.
        teams: a folder for each team, with ``query.npz`` and ``gallery.npz`` as ``reid-lab embed`` writes them. The
            first is the baseline.

    Returns:
        One row per team, the best first: ``rank-1``, ``mAP``, the ends ``low`` and ``high`` of the mAP's 95 % interval
        over people, and ``above the baseline`` with the ends of its interval, from the same people.

    Raises:
        DataError: a file is missing, is none, or lacks an image.
    """
    answers = _key(key)
    results = {Path(team).name: _score(answers, Path(team)) for team in teams}
    if len(results) < len(teams):
        raise DataError("Two teams have folders of the same name: rename one.")
    people = answers["query"]["pid"].to_numpy()
    base = next(iter(results.values())).ap
    rows = {}
    for name, result in results.items():
        valid = ~np.isnan(result.ap) & ~np.isnan(base)
        low, high = interval(100 * result.ap[valid], people[valid])
        gain = 100 * (result.ap - base)[valid]
        rows[name] = {"rank-1": 100 * result.rank(1), "mAP": 100 * result.mAP, "low": low, "high": high}
        ends = dict(zip(("gain low", "gain high"), interval(gain, people[valid]), strict=True))
        rows[name] |= {"above the baseline": gain.mean()} | ends
    table = pd.DataFrame(rows).T.rename_axis("team")
    return table.sort_values("mAP", ascending=False, kind="stable")


def _key(path: Path | str) -> dict[str, pd.DataFrame]:
    """The answers of both folders, by file name."""
    try:
        table = pd.read_csv(path, dtype={"file": str})
        return {name: table[table["folder"] == name].set_index("file") for name in FOLDERS}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is no key ({error}): give the {KEY} that the handout was written with.") from error


def _score(answers: dict[str, pd.DataFrame], team: Path) -> retrieval.Result:
    features = {name: _features(team / f"{name}.npz", answers[name].index) for name in FOLDERS}
    labels = {f"{name}_{label}s": answers[name][label].to_numpy() for name in FOLDERS for label in ("pid", "camid")}
    return retrieval.rank(features["query"], features["gallery"], metric="euclidean", **labels)  # also of unit length


def _features(path: Path, files: pd.Index) -> torch.Tensor:
    """The features (N, d) of a file in the order of the key."""
    try:
        with np.load(path, allow_pickle=False) as held:
            names, features = [Path(str(name)).name for name in held["paths"]], np.asarray(held["features"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read ({error}): write it with reid-lab embed.") from error
    place = {name: i for i, name in enumerate(names)}
    if lost := [name for name in files if name not in place]:
        raise DataError(
            f"{path} lacks {len(lost)} of {len(files)} images, the first {lost[0]}: embed the whole folder."
        )
    if features.ndim != 2 or len(features) != len(names) or not np.isfinite(features).all():
        raise DataError(
            f"{path} has features of shape {features.shape}, or not all finite: write it with reid-lab embed."
        )
    return torch.from_numpy(features[[place[name] for name in files]].astype(np.float32))
