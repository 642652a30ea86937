"""Extras: what a method learns from beside images and identities, such as attributes or joints.

They travel with the images of a batch, from the benchmark to the network:

    recipe.extras(benchmark)          one row for each training image, by name
      -> the rows of a batch          taken by the batch's indices
      -> recipe.move(rows, geometry)  points follow the crop and the flip of their image
      -> network(images, **rows)      arguments of ``forward``, by these names; what the loss needs goes to the outputs
"""

from torch import Tensor

from reid_lab.data import Benchmark
from reid_lab.data.geometry import Geometry


class WithExtras:
    """What a recipe says about its method's extras: by default there are none."""

    def extras(self, benchmark: Benchmark) -> dict[str, Tensor]:
        """Read what travels with the training images. Training asks before any other work.

        Returns:
            By name, one row for each training image: (N, ...).

        Raises:
            DataError: The benchmark lacks what the method needs. The sentence names what would provide it.
        """
        return {}

    def move(self, rows: dict[str, Tensor], geometry: Geometry) -> dict[str, Tensor]:
        """Let the extras of a batch follow the crops and flips of its images. By default they stay as they are.

        Args:
            rows: The extras of the batch's images, by name: (B, ...).
            geometry: How the images are cropped and flipped.
        """
        return rows
