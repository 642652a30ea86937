"""Samplers of batches that hold made images beside the data set's own. As all samplers, functions of (seed, epoch)."""

from collections.abc import Sequence

import numpy as np

from reid_lab.data.samplers import ShuffleSampler
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.runtime.validation import whole


class MixedSampler:
    """Batches of images in random order, with images of nobody who is known (label -1) evenly among them.

    An epoch visits each labelled image once, in the order of :class:`ShuffleSampler`. The unlabelled ones come in
    random order and return only when all have been seen.
    """

    def __init__(self, labels: Sequence[int] | np.ndarray, images: int, unlabelled: int, seed: int) -> None:
        """Prepare the sampler.

        Args:
            labels: The label of each training image, (N,); -1 where it is unknown.
            images: The number of labelled images in a batch.
            unlabelled: The number of unlabelled images in a batch, from 0.
            seed: The seed of all random draws.

        Raises:
            RecipeError: A number has an impossible value.
            DataError: There are too few labelled images for a batch, or no unlabelled ones.
        """
        labels = np.asarray(labels)
        self.known, self.unknown = np.flatnonzero(labels != -1), np.flatnonzero(labels == -1)
        self.sampler = ShuffleSampler(labels[self.known], images, seed)
        self.unlabelled, self.seed = whole("unlabelled", unlabelled, 0, RecipeError), seed
        # Each part of a batch has its share of both: processes that divide a batch get alike ones.
        place = np.concatenate([np.arange(count) / max(count, 1) for count in (images, unlabelled)])
        self._order = np.argsort(place, kind="stable")
        if unlabelled and not len(self.unknown):
            raise DataError(f"A batch takes {unlabelled} unlabelled images, and there are none: make some, or take 0.")

    def __len__(self) -> int:
        """The number of batches in an epoch: labelled images / ``images``, rounded down."""
        return len(self.sampler)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Draw the batches of one epoch.

        Args:
            epoch: The number of the epoch, from 0.

        Returns:
            One array of image indices per batch, (images + unlabelled,).
        """
        batches = [self.known[batch] for batch in self.sampler.epoch(epoch)]
        if not self.unlabelled:
            return batches
        random = np.random.default_rng([self.seed, epoch, 1])  # other numbers than the labelled images'
        rounds = -(-len(batches) * self.unlabelled // len(self.unknown))
        order = np.concatenate([random.permutation(self.unknown) for _ in range(rounds)])
        drawn = order[: len(batches) * self.unlabelled].reshape(len(batches), self.unlabelled)
        return [np.concatenate(pair)[self._order] for pair in zip(batches, drawn, strict=True)]


class VersionSampler:
    """Batches of images in random order, each beside another version of itself.

    The training images are N originals, then one or more rounds of N versions in the same order. An epoch visits each
    original once; which of its versions stands beside it is drawn anew.
    """

    def __init__(self, count: int, versions: int, images: int, seed: int) -> None:
        """Prepare the sampler.

        Args:
            count: The number of all training images: originals and versions.
            versions: How many of each original there are; 0: each image stands beside itself.
            images: The number of originals in a batch.
            seed: The seed of all random draws.

        Raises:
            RecipeError: A number has an impossible value.
            DataError: There are fewer originals than a batch takes, or versions are missing.
        """
        self.versions, self.seed = whole("versions", versions, 0, RecipeError), seed
        self.originals, missing = divmod(count, versions + 1)
        if missing:
            raise DataError(f"{count} images are not originals with {versions} versions of each: make the rest.")
        self.sampler = ShuffleSampler(np.arange(self.originals), images, seed)

    def __len__(self) -> int:
        """The number of batches in an epoch: originals / ``images``, rounded down."""
        return len(self.sampler)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Draw the batches of one epoch.

        Args:
            epoch: The number of the epoch, from 0.

        Returns:
            One array of image indices per batch, (2 * images,): first the originals, then a version of each.
        """
        batches = self.sampler.epoch(epoch)
        random = np.random.default_rng([self.seed, epoch, 1])  # other numbers than the originals' order
        turns = [random.integers(1, self.versions + 1, len(batch)) if self.versions else 0 for batch in batches]
        return [np.concatenate([one, one + self.originals * turn]) for one, turn in zip(batches, turns, strict=True)]
