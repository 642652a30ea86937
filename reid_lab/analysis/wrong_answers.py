"""What a network's wrong first answers have in common with their queries on Passersby: clothes, camera, direction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from reid_lab.analysis.conditions import interval, truth_of, turned_by
from reid_lab.data import JUNK, Benchmark
from reid_lab.passersby.people import ATTRIBUTES, UNPRINTED
from reid_lab.retrieval import Result
from reid_lab.runtime.errors import DataError

COLOR_OF = {  # compared together, as one sees them
    **{"hat": "hat_colour", "bag": "bag_colour", "pattern": "second_colour"},
    **{"front_logo": "logo_colour", "back_print": "logo_colour"},
}


def errors_by_attributes(result: Result, bench: Benchmark) -> pd.DataFrame:
    """Compare what wrong first answers share with their query with what a random wrong gallery image shares with it.

    One row per attribute of the person, and three of the circumstances: the camera, a body direction within 45
    degrees, a look-alike of the query.

    Returns:
        `errors` (wrong first answers that show somebody), `shared` with its interval, `random`, and `ratio` =
        shared / random. A ratio of 1: the network is not misled by it.

    Raises:
        DataError: as `per_query` does, or if there is no such error.
    """
    query, gallery = truth_of(result, bench)
    first = result.matches.indices[:, 0]
    wrong = np.flatnonzero(~result.matches.correct[:, 0] & np.isfinite(result.ap) & (first >= 0))
    wrong = wrong[(gallery["shows"] != "background").to_numpy()[first[wrong]]]
    if not len(wrong):
        raise DataError("No first answer is wrong, so there are no errors to explain: rank a harder benchmark.")
    query, pids = query.loc[wrong], query.loc[wrong, "pid"].to_numpy()
    others = (gallery["pid"].to_numpy() != pids[:, None]) & gallery["pid"].ne(JUNK).to_numpy()
    others &= gallery["shows"].ne("background").to_numpy()  # (errors, gallery)
    found = {}
    for name, alike in _comparisons(query, gallery):
        shared = 100.0 * alike[np.arange(len(wrong)), first[wrong]]
        random = 100.0 * ((alike & others).sum(1) / others.sum(1)).mean()
        low, high = interval(shared, pids)
        line = {"shared": shared.mean(), "shared low": low, "shared high": high, "random": random}
        found[name] = {"errors": len(wrong)} | line | {"ratio": shared.mean() / random if random else np.nan}
    table = pd.DataFrame.from_dict(found, orient="index").astype({"errors": int}).rename_axis("shares with its query")
    return table.sort_values("ratio", ascending=False)


def _comparisons(query: pd.DataFrame, gallery: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Names of what two images may share, and which of them do, (queries, gallery) bool."""

    def equal(one: pd.Series, other: pd.Series) -> np.ndarray:
        codes, _ = pd.factorize(pd.concat([one, other]).astype(str))  # whole numbers compare faster than texts
        return codes[: len(one), None] == codes[None, len(one) :]

    for name in ATTRIBUTES:
        if name == "height":
            apart = np.abs(query[name].to_numpy()[:, None] - gallery[name].to_numpy())
            yield "height within 5 cm", np.round(1000 * apart) <= 50  # heights are whole millimeters
        elif name not in COLOR_OF.values():
            yield name, equal(_seen(query, name), _seen(gallery, name))
    yield "look-alike", equal(query["group"], gallery["group"])
    yield "camera", equal(query["camid"], gallery["camid"])
    turned = turned_by(query["view_angle"].to_numpy()[:, None], gallery["view_angle"].to_numpy())
    yield "direction within 45°", turned <= 45


def _seen(rows: pd.DataFrame, name: str) -> pd.Series:
    """An attribute as one sees it: with the color that belongs to it, where there is something to be colored."""
    if name not in COLOR_OF:
        return rows[name]
    seen = rows[name].where(rows[name].isin(["none", "plain"]), rows[name] + " " + rows[COLOR_OF[name]])
    if name in ("front_logo", "back_print"):
        opened = rows["open_front"].astype(str).eq("True") & (name == "front_logo")
        seen = seen.mask(rows["upper"].isin(UNPRINTED) | opened, "none")
    return seen
