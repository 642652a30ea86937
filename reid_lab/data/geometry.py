"""Where augmentation puts the pixels of a batch: points in the images move with them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """The crops and flips of a batch (see :meth:`reid_lab.data.Augment.geometry`).

    Attributes:
        corners: Top and left of each crop in its padded image, int64 (B, 2).
        flipped: Whether each crop is mirrored, bool (B, 1).
        pad: Pixels of padding on each side.
        size: (height, width) of the crop.
        shrink: Both sides of the crop are divided by it at the end.
    """

    corners: Tensor
    flipped: Tensor
    pad: int
    size: tuple[int, int]
    shrink: int

    def move(self, points: Tensor) -> Tensor:
        """Find points of the images again in what the augmentation makes of these images.

        Coordinates are in pixels. A pixel in column c lies from x = c to x = c + 1, and its middle at c + 1/2.

        Args:
            points: x and y in the images that the augmentation is given, float (B, ..., 2).

        Returns:
            x and y in its result, (B, ..., 2). Points that are cropped away lie outside of the image. Points keep their
            order: the left hand of a mirrored person stays the left one, though it looks like a right hand.
        """
        each = (len(points), *(1 for _ in points.shape[1:-1]))  # one value for all points of an image
        top, left = (corner.view(each) for corner in self.corners.unbind(1))
        x, y = points[..., 0] + self.pad - left, points[..., 1] + self.pad - top
        x = torch.where(self.flipped.view(each), self.size[1] - x, x)
        return torch.stack([x, y], dim=-1) / self.shrink
