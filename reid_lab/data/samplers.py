"""Which images make up each batch of an epoch: P identities x K images, or pairs.

An epoch is a pure function of (seed, epoch), so a resumed training needs no saved sampler. Its length is
training images / (P * K), or / pairs, rounded down, but one batch at least.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.runtime.validation import is_whole


class PKSampler:
    """Batches of P identities with K images each, as the batch-hard triplet loss needs them.

    Identities come in random order and return only when all have been seen; so do the images of each. An
    identity of fewer than K images repeats them, as evenly as K allows.
    Raises RecipeError (P or K below 2, a seed or epoch below 0) or DataError (fewer than P identities, a pid of NaN).
    """

    def __init__(self, pids: Sequence[int] | np.ndarray, identities: int, images: int, seed: int) -> None:
        people = np.unique(_known(pids))
        if not is_whole(images, 2):
            raise RecipeError(
                f"K, the images per identity, is {images}, and a positive pair takes 2: set K >= 2, a whole number."
            )
        if not is_whole(identities, 2):
            raise RecipeError(
                f"P, the identities per batch, is {identities}, and a negative takes 2: set P >= 2, a whole number."
            )
        _check_from_zero("seed", seed)
        if len(people) < identities:
            raise DataError(
                f"A batch needs P = {identities} identities and the train images show {len(people)}: "
                "add people, or set a smaller P."
            )
        self.identities, self.images, self.seed = identities, images, seed
        self._of_person = [np.flatnonzero(np.asarray(pids) == pid) for pid in people]
        self._steps = max(1, len(pids) // (identities * images))

    def __len__(self) -> int:
        return self._steps

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Batches of one epoch: indices (P * K,), K neighbors of one identity after another."""
        _check_from_zero("epoch", epoch)
        random = np.random.default_rng([self.seed, epoch])
        people = _Deck(np.arange(len(self._of_person)), random)
        images = [_Deck(indices, random) for indices in self._of_person]

        def batch() -> np.ndarray:
            return np.concatenate([images[person].draw(self.images) for person in people.draw(self.identities)])

        return [batch() for _ in range(self._steps)]


class _Deck:
    """Cards drawn without replacement; a new shuffle follows when they run out."""

    def __init__(self, cards: np.ndarray, random: np.random.Generator) -> None:
        self.cards, self.random = cards, random
        self.pile = random.permutation(cards)

    def draw(self, count: int) -> np.ndarray:
        """``count`` cards, no two alike while there are that many."""
        while len(self.pile) < count:
            fresh = self.random.permutation(self.cards)
            again = np.isin(fresh, self.pile)  # these have just been drawn: they go to the bottom
            self.pile = np.concatenate([self.pile, fresh[~again], fresh[again]])
        drawn, self.pile = self.pile[:count], self.pile[count:]
        return drawn


class PairSampler:
    """Pairs for paper A: each image is the anchor at most once an epoch, its partner is drawn.

    The images that are left over by full batches of ``pairs`` are no anchors in that epoch; where one batch wants
    more anchors than there are images, they repeat.

    The partner shows the same identity with probability ``positive``, else another. "annealed" is the rule of
    Zheng, Zheng and Yang (2016): 1 / min(5, 2 * 1.01^epoch), from 1/2 towards 1/5. ``cross_camera`` takes
    positives from another camera where one exists. An anchor that is its identity's only image always gets a
    negative.
    Raises RecipeError (``pairs`` or ``positive`` impossible, a seed or epoch below 0) or DataError (one identity, no
    two images of any, or a pid of NaN).
    """

    def __init__(
        self,
        pids: Sequence[int] | np.ndarray,
        camids: Sequence[int] | np.ndarray,
        pairs: int,
        positive: float | Literal["annealed"] = 0.5,
        cross_camera: bool = False,
        seed: int = 0,
    ) -> None:
        if not is_whole(pairs, 1):
            raise RecipeError(f"A batch cannot hold {pairs} pairs: set pairs >= 1, a whole number.")
        if positive != "annealed" and not (isinstance(positive, int | float) and 0 <= positive <= 1):
            raise RecipeError(f'The share of positive pairs is {positive!r}: give 0 to 1, or "annealed".')
        _check_from_zero("seed", seed)
        pids = _known(pids)
        camids = np.asarray(camids) if cross_camera else np.zeros_like(pids)
        identities, counts = np.unique(pids, return_counts=True)
        if len(identities) < 2:
            raise DataError(
                f"The train images show {len(identities)} identity, and a negative pair takes 2: add people."
            )
        if positive != 0 and counts.max() < 2:
            raise DataError("Every train identity has one image, and a positive pair takes 2: add images.")
        self.pairs, self.positive, self.seed = pairs, positive, seed
        self._order = np.lexsort((camids, pids))  # images sorted by identity, then camera
        self._person = _blocks(pids[self._order])
        self._camera = _blocks(np.stack([pids, camids], 1)[self._order])

    def __len__(self) -> int:
        return max(1, len(self._order) // self.pairs)

    def positive_at(self, epoch: int) -> float:
        """The probability of a positive partner in this epoch."""
        if self.positive == "annealed":
            return 1 / min(5, 2 * 1.01**epoch)
        return float(self.positive)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Batches of one epoch: indices (2 * pairs,), first the anchors, then their partners."""
        _check_from_zero("epoch", epoch)
        random = np.random.default_rng([self.seed, epoch])
        # Places in the sorted order, each an anchor once; np.resize repeats them where one batch wants more.
        anchors = np.resize(random.permutation(len(self._order)), len(self) * self.pairs)
        partners = self._partners(anchors, self.positive_at(epoch), random)
        batches = np.stack([self._order[anchors], self._order[partners]]).reshape(2, len(self), self.pairs)
        return list(batches.transpose(1, 0, 2).reshape(len(self), -1))

    def _partners(self, anchors: np.ndarray, positive: float, random: np.random.Generator) -> np.ndarray:
        start, size = (block[anchors] for block in self._person)
        wanted = (random.random(len(anchors)) < positive) & (size > 1)
        excluded_start, excluded_size = (block[anchors].copy() for block in self._camera)
        only_camera = excluded_size == size
        excluded_start[only_camera] = anchors[only_camera]  # no other camera: any image but the anchor itself
        excluded_size[only_camera] = 1
        draws = random.random(len(anchors))
        same = start + (draws * (size - excluded_size)).astype(np.int64)
        same += (same >= excluded_start) * excluded_size
        other = (draws * (len(self._order) - size)).astype(np.int64)
        other += (other >= start) * size
        return np.where(wanted, same, other)


def _known(pids: Sequence[int] | np.ndarray) -> np.ndarray:
    array = np.asarray(pids)
    unknown = array != array  # true of NaN alone
    if unknown.any():
        raise DataError(
            f"{int(unknown.sum()):,} of {len(array):,} train images have the pid NaN (first: place "
            f"{int(unknown.argmax())}): number the people, or leave these images out."
        )
    return array


def _check_from_zero(name: str, value: int) -> None:
    if not is_whole(value, 0):
        raise RecipeError(f"The sampler's {name} is {value!r}: give a whole number from 0 up.")


def _blocks(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place of sorted ``keys``: where its run of equal keys starts, and how long it is."""
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]).reshape(len(keys) - 1, -1).any(1)
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, len(keys)))
    return np.repeat(starts, sizes), np.repeat(sizes, sizes)
