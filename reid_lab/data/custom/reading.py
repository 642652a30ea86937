"""What is known so far about the images below a folder, while its sub-folders are being understood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class ImagePath:
    """An image below the root, and what the folders above it say so far."""

    name: str  # posix path below the root
    rest: str  # of it, below the folders that are understood
    split: str = ""  # train, query, gallery; test, of which queries are still to be drawn; "" where nothing tells
    person: str = ""
    camera: int | None = None


@dataclass
class Reading:
    """All images with their person, and those that are not read, by reason."""

    images: list[ImagePath]
    unread: dict[tuple[str, str], list[str]]  # (why, cure): names
    taken: list[str] = field(default_factory=list)  # what folders were taken for, where nobody has told

    def loose(self) -> list[ImagePath]:
        """List the images that lie in no folder below those that are understood."""
        return [image for image in self.images if "/" not in image.rest]

    def set_aside(self, gone: Iterable[ImagePath], why: str, cure: str) -> None:
        """Leave these images out, for a reason."""
        names = {image.name for image in gone}
        if names:
            self.unread[why, cure] += sorted(names)
            self.images = [image for image in self.images if image.name not in names]


def by_top_folder(images: Iterable[ImagePath]) -> dict[str, list[ImagePath]]:
    """Group images by the first folder of their rest."""
    tops: defaultdict[str, list[ImagePath]] = defaultdict(list)
    for image in images:
        if "/" in image.rest:
            tops[image.rest.split("/")[0]].append(image)
    return dict(sorted(tops.items()))


def one_folder_down(image: ImagePath, **known: object) -> ImagePath:
    """Go one folder down, and note what that folder tells."""
    return replace(image, rest=image.rest.partition("/")[2], **known)  # type: ignore[arg-type]
