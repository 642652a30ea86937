"""Sources: what a training learns from beside the benchmark's own images. Most methods have none of them.

There are two. ``recipe.training_images(benchmark, seed)`` adds images that were made, whose identity may be unknown
(pid -1, label -1). ``recipe.teacher`` is another recipe, whose finished run the network learns from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reid_lab.data import Benchmark, Record

if TYPE_CHECKING:
    from reid_lab.methods.recipe import Recipe


class WithSources:
    """What a recipe says about its method's sources."""

    def training_images(self, benchmark: Benchmark, seed: int) -> Sequence[Record]:
        """List all images to learn from, the benchmark's own first. The sampler's indices count in this list.

        An image with the pid -1 is of nobody who is known; its label is -1, too. Nothing here may use torch's own
        random numbers, because those of the training come after them.

        Args:
            benchmark: Whose training images these are.
            seed: Of the training.

        Raises:
            DataError: The further images cannot be made of this benchmark.
        """
        return benchmark.train

    @property
    def teacher(self) -> Recipe | None:
        """The recipe of the run that the network learns from; training makes it first, on the same data and seed.

        The network is given the trained one (:meth:`reid_lab.models.Network.learn_from`).
        """
        return None
