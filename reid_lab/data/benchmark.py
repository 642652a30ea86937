"""What a re-identification data set is: three lists of records, and what can be said about them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import pandas as pd

from reid_lab.data import validation
from reid_lab.data.finding import LEVELS, Finding
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record, Splits
from reid_lab.runtime.errors import DataError, NoMatchError

VALIDATION = ", validation"  # ends the name of a validation split


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A re-identification data set: images to learn from, and queries to look for in a gallery.

    Attributes:
        name: What the data set is called.
        train: The images to learn from.
        query: The images to look for.
        gallery: The images to look among.
        annotations: What a data set knows beyond identities and cameras (Passersby): a table indexed by the image's
            posix path relative to ``root``; else None.
        root: The data set's folder.
        notes: What the loader found out while reading.
    """

    name: str
    train: Sequence[Record]
    query: Sequence[Record]
    gallery: Sequence[Record]
    annotations: pd.DataFrame | None = None
    root: Path | None = None
    notes: tuple[Finding, ...] = ()

    @property
    def splits(self) -> Splits:
        """The three lists by name, in the order train, query, gallery."""
        return {"train": self.train, "query": self.query, "gallery": self.gallery}

    def __repr__(self) -> str:
        """The name, and the number of images in each split."""
        counts = ", ".join(f"{len(records):,} {split}" for split, records in self.splits.items())
        return f"Benchmark({self.name!r}: {counts})"

    def summary(self) -> pd.DataFrame:
        """Count images, identities (people only), cameras, distractors and junk images; one row per split."""
        rows = {split: _count(records) for split, records in self.splits.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")

    def relative(self, record: Record) -> str:
        """The posix path of an image below ``root``: its name in ``annotations`` and in the digest."""
        if self.root is not None and record.path.is_relative_to(self.root):
            return record.path.relative_to(self.root).as_posix()
        return record.path.as_posix()

    def validation(self, share: float = 0.2, seed: int = 0) -> "Benchmark":
        """Give a benchmark for choosing: its queries and gallery show people who are in neither training nor test.

        Make every choice of a recipe there, and look at the test once, at the end. Passersby draws people of its own
        for it, on first use, and keeps all training images. Of any other set some training identities are held out:
        one image of each camera becomes a query, as in :func:`reid_lab.data.folder`, and the rest is the gallery.

        Args:
            share: The share of the training identities to hold out, between 0 and 1; at least two are. Passersby's
                validation people are always the same.
            seed: The seed of the drawing, not for Passersby.

        Returns:
            A benchmark called "NAME, validation".

        Raises:
            DataError: This is a validation split already, there are too few people, or a value cannot work.
        """
        from reid_lab.data.held_out import validation_of  # which makes benchmarks

        return validation_of(self, share, seed)

    def findings(self, read_images: bool = True) -> list[Finding]:
        """Find everything that is wrong or worth knowing.

        Args:
            read_images: Whether every image is decoded. Missing and empty files, and byte-for-byte copies, are found
                without it.

        Returns:
            All findings, errors first. What a full copy of a published data set holds twice is a warning, since
            everybody's copy holds it.
        """
        found = validation.findings(self.splits, read_images)
        if any(note.subject == "copy" and note.level == "note" for note in self.notes):
            found = [replace(one, level="warning") if one.subject == "copies" else one for one in found]
        return sorted([*self.notes, *found], key=lambda finding: LEVELS.index(finding.level))

    def check(self, read_images: bool = False) -> None:
        """Refuse to start work on a data set that cannot give a meaningful number.

        Args:
            read_images: Whether every image is decoded, see :meth:`findings`.

        Raises:
            NoMatchError: The only errors are queries without a match.
            DataError: There are other errors. The message holds every one.
        """
        errors = [finding for finding in self.findings(read_images) if finding.level == "error"]
        if errors:
            unmatched = all(finding.subject == "match" for finding in errors)
            message = " ".join(finding.sentence for finding in errors)
            raise (NoMatchError if unmatched else DataError)(message)

    @cached_property
    def digest(self) -> str:
        """Sha256 (hex) of split, relative name, pid, camid and file size of every record.

        Images are not read: the digest of a large set takes a second.

        Raises:
            DataError: A file is missing.
        """
        total = sha256()
        for split, records in self.splits.items():
            for record in records:
                try:
                    size = record.path.stat().st_size
                except OSError as error:
                    raise DataError(
                        f"The {split} image {record.path} cannot be found ({error.strerror}): "
                        "restore it, or load the data set again."
                    ) from error
                line = f"{split}\t{self.relative(record)}\t{record.pid}\t{record.camid}\t{size}\n"
                total.update(line.encode(errors="surrogateescape"))  # a name need not be UTF-8
        return total.hexdigest()


def _count(records: Sequence[Record]) -> dict[str, int]:
    return {
        "images": len(records),
        "identities": len({record.pid for record in records if record.pid > DISTRACTOR}),
        "cameras": len({record.camid for record in records if record.camid != UNKNOWN_CAMERA}),
        "distractors": sum(record.pid == DISTRACTOR for record in records),
        "junk": sum(record.pid == JUNK for record in records),
    }
