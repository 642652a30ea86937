"""Which images form each batch of an epoch: pairs (paper A), or P identities x K images (paper B).

A sampler is given the labels of the training images, and its batches hold indices of these images. An epoch is a
pure function of (seed, epoch): a training that is resumed needs no saved sampler.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.runtime.validation import is_whole, whole


class ShuffleSampler:
    """Batches of images in random order, each once an epoch; those that do not fill a last batch are left out."""

    def __init__(self, pids: Sequence[int] | np.ndarray, images: int, seed: int) -> None:
        """Prepare the sampler.

        Args:
            pids: The identity of each training image, (N,).
            images: The number of images in a batch.
            seed: The seed of all random draws.

        Raises:
            RecipeError: ``images`` or ``seed`` has an impossible value.
            DataError: There are fewer images than a batch takes, or a pid is NaN.
        """
        _check_from_zero("seed", seed)
        self.images, self.seed, self.count = whole("images", images, 1), seed, len(_known(pids))
        if self.count < images:
            raise DataError(f"A batch takes {images} images, and there are {self.count}: add images, or take fewer.")

    def __len__(self) -> int:
        """The number of batches in an epoch: N / images, rounded down."""
        return self.count // self.images

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Draw the batches of one epoch.

        Args:
            epoch: The number of the epoch, from 0.

        Returns:
            One array of image indices per batch, (images,).
        """
        _check_from_zero("epoch", epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return list(order[: len(self) * self.images].reshape(len(self), self.images))


class PairSampler:
    """Batches of image pairs, for identification and verification together (paper A).

    An epoch visits the images in random order. Each image is an *anchor* once and gets a *partner*:

    - with probability ``positive`` another image of the same identity,
    - else any image of another identity.

    Paper A does not say how it draws its pairs. "annealed" is the rule of Zheng, Zheng and Yang, "A discriminatively
    learned CNN embedding for person re-identification" (2016): the probability falls from 1/2 to 1/5.

    Two special cases: an identity with one image has no positive pair, so its anchor gets a negative partner. And
    the anchors that do not fill a last batch are left out of the epoch; if one batch is larger than the training
    set, anchors repeat.
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
        """Prepare the sampler.

        Args:
            pids: The identity of each training image, (N,).
            camids: The camera of each training image, (N,).
            pairs: The number of pairs in a batch.
            positive: The probability of a positive partner, 0 to 1, or "annealed".
            cross_camera: Whether a positive partner comes from another camera than the anchor, where one exists.
            seed: The seed of all random draws.

        Raises:
            RecipeError: ``pairs``, ``positive`` or ``seed`` has an impossible value.
            DataError: All images show one identity, no identity has two images (unless ``positive`` is 0), or a pid is
                NaN.
        """
        _check_pairs(pairs, positive)
        _check_from_zero("seed", seed)
        pids = _known(pids)
        camids = np.asarray(camids) if cross_camera else np.zeros_like(pids)  # one camera: nothing is elsewhere
        identities, counts = np.unique(pids, return_counts=True)
        if len(identities) < 2:
            raise DataError(f"The train images show {len(identities)} identity; a negative pair takes 2: add people.")
        if positive != 0 and counts.max() < 2:
            raise DataError("Every train identity has one image, and a positive pair takes 2: add images.")
        self.pairs, self.positive, self.seed = pairs, positive, seed
        # In this order the images of one identity stand side by side, at the positions first ... end - 1.
        self._order = np.lexsort((camids, pids))  # the image at each position, (N,)
        self._camids = camids[self._order]
        sorted_pids = pids[self._order]
        self._first = np.searchsorted(sorted_pids, sorted_pids, "left")
        self._end = np.searchsorted(sorted_pids, sorted_pids, "right")

    def __len__(self) -> int:
        """The number of batches in an epoch: N / pairs, rounded down, but at least 1."""
        return max(1, len(self._order) // self.pairs)

    def positive_at(self, epoch: int) -> float:
        """The probability of a positive partner in an epoch, counted from 0."""
        if self.positive == "annealed":
            return 1 / min(5, 2 * 1.01**epoch)
        return float(self.positive)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Draw the batches of one epoch.

        Args:
            epoch: The number of the epoch, from 0.

        Returns:
            One array of image indices per batch, (2 * pairs,): first the anchors, then their partners.
        """
        _check_from_zero("epoch", epoch)
        random = np.random.default_rng([self.seed, epoch])
        positions = random.permutation(len(self._order))
        anchors = np.resize(positions, len(self) * self.pairs)  # cuts off the rest, or repeats
        positive = random.random(len(anchors)) < self.positive_at(epoch)
        draws = random.random(len(anchors))
        partners = np.array(list(map(self._partner, anchors.tolist(), positive.tolist(), draws.tolist())))
        return [
            np.concatenate([self._order[anchors[batch]], self._order[partners[batch]]])
            for batch in np.arange(len(anchors)).reshape(len(self), self.pairs)
        ]

    def _partner(self, anchor: int, positive: bool, draw: float) -> int:
        """The position of an anchor's partner; ``draw`` in [0, 1) chooses among those that qualify."""
        first, end = self._first[anchor], self._end[anchor]
        if positive and end - first > 1:
            same = np.arange(first, end)
            elsewhere = same[self._camids[same] != self._camids[anchor]]
            candidates = elsewhere if len(elsewhere) else same[same != anchor]
            return candidates[int(draw * len(candidates))]
        others = len(self._order) - (end - first)
        position = int(draw * others)  # counted without the anchor's identity
        return position if position < first else position + (end - first)


class PKSampler:
    """Batches of P identities with K images each, for the batch-hard triplet loss (paper B).

    Identities come in random order and return only when all have been seen. So do the images of each identity. An
    identity with fewer than K images repeats them, as evenly as K allows. Source of the P x K batch: Hermans, Beyer
    and Leibe, "In defense of the triplet loss for person re-identification" (2017).
    """

    def __init__(self, pids: Sequence[int] | np.ndarray, identities: int, images: int, seed: int) -> None:
        """Prepare the sampler.

        Args:
            pids: The identity of each training image, (N,).
            identities: P, the number of identities in a batch, at least 2.
            images: K, the number of images per identity, at least 2.
            seed: The seed of all random draws.

        Raises:
            RecipeError: P, K or ``seed`` has an impossible value.
            DataError: There are fewer than P identities, or a pid is NaN.
        """
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
        self._images_of = [np.flatnonzero(np.asarray(pids) == pid) for pid in people]
        self._steps = max(1, len(pids) // (identities * images))

    def __len__(self) -> int:
        """The number of batches in an epoch: N / (P * K), rounded down, but at least 1."""
        return self._steps

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Draw the batches of one epoch.

        Args:
            epoch: The number of the epoch, from 0.

        Returns:
            One array of image indices per batch, (P * K,): K images of one identity after another.
        """
        _check_from_zero("epoch", epoch)
        random = np.random.default_rng([self.seed, epoch])
        people = _Deck(np.arange(len(self._images_of)), random)
        images = [_Deck(indices, random) for indices in self._images_of]

        def batch() -> np.ndarray:
            return np.concatenate([images[person].draw(self.images) for person in people.draw(self.identities)])

        return [batch() for _ in range(self._steps)]


class _Deck:
    """Cards that are drawn without replacement; when they run out, they are shuffled again."""

    def __init__(self, cards: np.ndarray, random: np.random.Generator) -> None:
        self.cards, self.random = cards, random
        self.pile = random.permutation(cards)

    def draw(self, count: int) -> np.ndarray:
        """Draw ``count`` cards, no two alike while there are that many."""
        while len(self.pile) < count:
            fresh = self.random.permutation(self.cards)
            again = np.isin(fresh, self.pile)  # these are about to be drawn: they go to the bottom
            self.pile = np.concatenate([self.pile, fresh[~again], fresh[again]])
        drawn, self.pile = self.pile[:count], self.pile[count:]
        return drawn


def _known(pids: Sequence[int] | np.ndarray) -> np.ndarray:
    array = np.asarray(pids)
    unknown = array != array  # true of NaN alone
    if unknown.any():
        raise DataError(
            f"{int(unknown.sum()):,} of {len(array):,} train images have the pid NaN (first: index "
            f"{int(unknown.argmax())}): number the people, or leave these images out."
        )
    return array


def _check_pairs(pairs: int, positive: float | Literal["annealed"]) -> None:
    whole("pairs", pairs, 1)
    if positive != "annealed" and not (isinstance(positive, int | float) and 0 <= positive <= 1):
        raise RecipeError(f'The share of positive pairs is {positive!r}: give 0 to 1, or "annealed".')


def _check_from_zero(name: str, value: int) -> None:
    whole(f"The sampler's {name}", value, 0)
