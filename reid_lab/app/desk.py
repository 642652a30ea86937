"""A desk that answers searches with trained runs. Nothing here knows the page."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reid_lab import plots, retrieval, training
from reid_lab.analysis import gradcam
from reid_lab.app.kept import Kept
from reid_lab.app.rules import JUNK, MISS, Answer, Images, Query, Rules, key_of, kinds_of, record_of, stamp
from reid_lab.data import Benchmark, Record
from reid_lab.data.crops import crops, passed_over
from reid_lab.data.decoding import with_grey_range
from reid_lab.plots import Figure
from reid_lab.retrieval import OperatingPoint, Result
from reid_lab.retrieval.distances import RERANKED
from reid_lab.retrieval.protocol import Protocol, check_once
from reid_lab.runtime.errors import CheckpointError, DataError, FeatureError
from reid_lab.training import Run
from reid_lab.training.run import runs_root

MEMORY = 2**30  # bytes of networks, features and distances that are kept between two clicks
MOST_DISTANCES = 2**27  # re-ranked distances (queries x gallery) that are kept: 512 MiB of float32
Read = Callable[[Run, Path | None], Benchmark]
Say = Callable[[str], object]


class Desk:
    """Answers searches with trained runs, and keeps what it computed, within a bound, for the next click."""

    def __init__(
        self, read: Read, runs: Path | None = None, device: str | None = None, memory: int = MEMORY, say: Say = str
    ) -> None:
        """Begin without a run.

        Args:
            read: ``read(run, path)`` reads the benchmark at a path, or the one the run was trained on (None).
            runs: the folder of all runs.
            device: where to compute; None: the GPU where there is one.
            memory: bytes that may be kept.
            say: called with a line about each piece of long work before it begins.

        Raises:
            DeviceError: the device is not there.
        """
        self.read, self.folder, self.say = read, runs_root(runs), say
        self.device = training.find_device(device)
        self._kept, self._lock = Kept(memory), threading.RLock()

    def runs(self) -> tuple[dict[str, str], list[str]]:
        """List the runs that can be chosen, by name, with a line about each; and those that cannot, with the reason."""
        table = training.runs.table(self.folder)
        whole = table["state"].str.startswith("finished").fillna(False)
        good = {name: _about(str(name), row) for name, row in table[whole].iterrows()}
        return good, [f"{name} ({state})" for name, state in table.loc[~whole, "state"].items()]

    def run(self, name: str) -> Run:
        """Load a run by the name of its folder.

        Raises:
            CheckpointError: there is none, or it is not finished or damaged.
        """
        if not name:
            raise CheckpointError(
                f"No run is chosen. If there is none in {self.folder}, train one: reid-lab train residual_pooling."
            )
        with self._lock:
            folder = training.runs.find(name, self.folder)
            key = "run", str(folder), stamp(folder / "weights.safetensors"), stamp(folder / "recipe.json")
            return self._kept.get(key, lambda: self._load(folder), _bytes_of_run)

    def images(self, source: str, path: str, name: str) -> Images:
        """Read the images that are to be searched.

        Args:
            source: one of SOURCES.
            path: the folder or table; not used for the run's own images.
            name: the run.

        Raises:
            ReidLabError: they are not there, or cannot be used.
        """
        where = Path(path.strip()).expanduser()
        if source != "run" and not path.strip():
            raise DataError("The path is empty: type the folder in which the images lie.")
        with self._lock:
            if source == "crops":
                records = with_grey_range({"gallery": crops(where)})["gallery"]
                made = Images(where.name, records, records, None, key_of(records), tuple(passed_over(where)))
            else:
                self.say("Reading the data set")
                benchmark = self.read(self.run(name), None if source == "run" else where)
                if not (benchmark.query and benchmark.gallery):
                    raise DataError(f"{benchmark.name} has no queries or no gallery, so there is nothing to search.")
                check_once(benchmark)
                key = key_of([*benchmark.query, *benchmark.gallery])
                made = Images(benchmark.name, benchmark.query, benchmark.gallery, benchmark, key)
            return self._kept.get(("images", made.key), lambda: made, lambda _: 1000 * len(made.gallery))

    def answer(self, name: str, images: Images, query: Query, rules: Rules, top: int = 10) -> Answer:
        """Rank the gallery for one query.

        Args:
            name: the run.
            images: what is searched.
            query: the index of one of its queries, or a picture from outside.
            rules: how it is ranked.
            top: how many images are wanted beside junk.

        Raises:
            ReidLabError: the run, an image or a rule cannot be used.
        """
        with self._lock:
            run, record = self.run(name), record_of(images, query)
            indices, scores, measure = self._ranked(run, images, query, rules)
            kinds = kinds_of(record, [images.gallery[i] for i in indices], rules.same_camera)
            counted = kinds != JUNK
            result = None if images.benchmark is None else self.scored(name, images, rules)
            point, accepted = _accepted(result, scores, rules.false_match_rate)
            ranks = np.where(counted, np.cumsum(counted), 0)
            shown = slice(0, int(np.searchsorted(np.cumsum(counted), top)) + 1)
            passed = accepted & counted
            return Answer(
                indices[shown],
                ranks[shown],
                kinds[shown],
                scores[shown],
                accepted[shown],
                measure,
                point,
                (int(passed.sum()), int((passed & (kinds == MISS)).sum())),
                result,
            )

    def scored(self, name: str, images: Images, rules: Rules) -> Result:
        """Score the rankings of all queries of a benchmark under these rules, with the ROC of all pairs.

        Raises:
            ReidLabError: as :meth:`answer`.
        """
        with self._lock:
            run = self.run(name)
            labels = Protocol.of(images.query, images.gallery).arrays()
            if not rules.same_camera:
                labels |= {"query_camids": None, "gallery_camids": None}

            def make() -> Result:
                if rules.rerank:
                    return retrieval.rank_distances(self._reranked(run, images, rules), **labels, top=0, roc=True)
                query, gallery = self._features(run, images)
                self.say(f"Ranking the gallery for all {len(query):,} queries")
                return retrieval.rank(
                    query, gallery, **labels, metric=run.model.metric, device=self.device, top=0, roc=True
                )

            key = "scored", str(run.folder), images.key, rules.same_camera, rules.ranking
            return self._kept.get(key, make, _bytes_of_result)

    def heat(self, name: str, images: Images, query: Query, index: int) -> Figure:
        """Draw where the network looks when it compares a query with a gallery image, on both.

        Raises:
            ReidLabError: the network has no maps, or pytorch-grad-cam is not installed.
        """
        if not 0 <= index < len(images.gallery):
            raise DataError(f"There is no image {index} in a gallery of {len(images.gallery):,}: click on one of them.")
        with self._lock:
            run = self.run(name)
            features = torch.cat([self._features(run, images)[1][[index]], self._vector(run, images, query)])
            pair = [record_of(images, query), images.gallery[index]]
            maps = gradcam.grad_cam(run.model, pair, target="similarity", references=features)
            return plots.heat_maps(pair, {"what makes it similar": maps})

    def _load(self, folder: Path) -> Run:
        self.say(f"Loading {folder.name}")
        run = training.load(folder)
        run.model.to(self.device)
        return run

    def _ranked(self, run: Run, images: Images, query: Query, rules: Rules) -> tuple[np.ndarray, np.ndarray, str]:
        """The gallery's indices, nearest first and without the query's own picture, their scores, and the measure."""
        vector, gallery = self._vector(run, images, query), self._features(run, images)[1]
        own = retrieval.itself([record_of(images, query)], images.gallery)
        if not rules.rerank:
            found = retrieval.search(
                vector, gallery, len(gallery), metric=run.model.metric, device=self.device, leave_out=own
            )
            there = found.indices[0] >= 0
            return found.indices[0][there], found.scores[0][there], found.measure
        others = np.setdiff1d(np.arange(len(gallery)), own[0])
        if isinstance(query, int) and images.benchmark is not None:
            distances = self._reranked(run, images, rules)[query].numpy()[others]
        else:
            distances = self._reranked_alone(run, images, vector, gallery[others], rules)
        order = np.argsort(distances, kind="stable")
        return others[order], distances[order], RERANKED.name

    def _reranked(self, run: Run, images: Images, rules: Rules) -> Tensor:
        """The re-ranked distances of all queries of a benchmark, (q, g)."""
        query, gallery = self._features(run, images)
        if len(query) * len(gallery) > MOST_DISTANCES:
            raise FeatureError(
                f"Re-ranking keeps the distances of {len(query):,} queries to {len(gallery):,} images, which is too "
                "much for this page: leave re-ranking off here, or use the command reid-lab evaluate --rerank."
            )

        def make() -> Tensor:
            self.say(f"Re-ranking all {len(query):,} queries against {len(gallery):,} images, once for these k1, k2, λ")
            return self._rerank(run, query, gallery, rules)

        key = "reranked", str(run.folder), images.key, rules.ranking
        return self._kept.get(key, make, lambda distances: distances.nbytes)

    def _reranked_alone(self, run: Run, images: Images, vector: Tensor, gallery: Tensor, rules: Rules) -> np.ndarray:
        """The re-ranked distances (g,) of a picture that is not one of a benchmark's queries: it is the only query."""
        if not len(gallery):
            return np.zeros(0, np.float32)

        def make() -> np.ndarray:
            self.say(f"Re-ranking this picture against {len(gallery):,} images")
            return self._rerank(run, vector, gallery, rules)[0].numpy()

        key = "alone", str(run.folder), images.key, vector.numpy().tobytes(), rules.ranking
        return self._kept.get(key, make, lambda distances: distances.nbytes)

    def _rerank(self, run: Run, query: Tensor, gallery: Tensor, rules: Rules) -> Tensor:
        k1, k2, lam = rules.k1, rules.k2, rules.lam
        return retrieval.rerank(
            query, gallery, k1=k1, k2=k2, lam=lam, metric=run.model.metric, device=self.device
        ).cpu()

    def _features(self, run: Run, images: Images) -> tuple[Tensor, Tensor]:
        """The features of the images' queries and gallery."""

        def of(records: Sequence[Record]) -> Tensor:
            self.say(f"Features of {len(records):,} images with {run.folder.name}, once for each run and data set")
            kept = run.folder if os.access(run.folder, os.W_OK) else None  # `reid-lab search` finds them there, too
            extras = run.model.extras(images.benchmark, records) if images.benchmark is not None else {}
            return retrieval.extract(run.model, records, self.device, cache=kept, extras=extras)

        def make() -> tuple[Tensor, Tensor]:
            gallery = of(images.gallery)
            return (gallery if images.query is images.gallery else of(images.query)), gallery

        key = "features", str(run.folder), stamp(run.folder / "weights.safetensors"), images.key
        return self._kept.get(key, make, lambda both: sum(part.nbytes for part in both))

    def _vector(self, run: Run, images: Images, query: Query) -> Tensor:
        """The features (1, d) of a query."""
        if isinstance(query, int):
            return self._features(run, images)[0][[query]]
        key = "picture", str(run.folder), str(query.path), stamp(query.path)
        make = lambda: retrieval.extract(run.model, [query], self.device)  # noqa: E731
        return self._kept.get(key, make, lambda vector: vector.nbytes)


def _accepted(
    result: Result | None, scores: np.ndarray, false_match_rate: float
) -> tuple[OperatingPoint | None, np.ndarray]:
    """The threshold at a false-match rate, and which scores pass it; all of them where no pairs are known."""
    roc = result.roc if result is not None else None
    point = roc.at(false_match_rate) if roc is not None else None
    if roc is None or point is None:
        return None, np.ones(len(scores), bool)
    near = scores > point.threshold if roc.higher_is_nearer else scores < point.threshold
    return point, near | (point.false_match_rate == 1)  # the grid counts a score on a threshold as refused


def _about(name: str, row: pd.Series) -> str:
    """What the list of runs says about one."""
    score = "" if pd.isna(row["mAP"]) else f", mAP {row['mAP']:.1f} %"
    return f"{row['method']}, {row['size']}, seed {row['seed']}{score} ({name[-10:]})"


def _bytes_of_run(run: Run) -> int:
    return sum(tensor.nbytes for tensor in run.model.state_dict().values())


def _bytes_of_result(result: Result) -> int:
    curve = result.roc.thresholds.nbytes * 3 if result.roc is not None else 0
    return curve + result.ranks.nbytes + result.cmc.nbytes
