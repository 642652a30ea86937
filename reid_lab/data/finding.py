"""One sentence about a data set, and how the images are told that a reader passed over."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reid_lab.data.records import Record

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN = 3  # culprits named in a sentence


@dataclass(frozen=True)
class Finding:
    """One sentence about a data set.

    Attributes:
        level: How bad it is.
        sentence: What was found, where, and what helps.
        subject: Tells the kinds of finding apart; "" for most.
    """

    level: Level
    sentence: str
    subject: str = ""

    def __str__(self) -> str:
        """The level and the sentence."""
        return f"[{self.level}] {self.sentence}"


def n_images(count: int) -> str:
    """Say ``1 image``, ``2 images``."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def some(values: Iterable[object]) -> str:
    """List the first three, and say whether there are more."""
    listed = [str(value) for value in values]
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")


def first(records: Sequence[Record]) -> str:
    """List the names of the first three images."""
    return f"first: {', '.join(record.path.name for record in records[:SHOWN])}"


def not_read(paths: Sequence[Path], root: Path, why: str, cure: str, level: Level = "warning") -> list[Finding]:
    """Report that images are not read.

    Args:
        paths: The images; with none, nothing is reported.
        root: The folder to which the names are relative.
        why: The reason.
        cure: What helps.
        level: How bad it is.
    """
    if not paths:
        return []
    names = some(path.relative_to(root).as_posix() if path.is_relative_to(root) else path for path in sorted(paths))
    verb = "is" if len(paths) == 1 else "are"
    return [Finding(level, f"{n_images(len(paths))} {verb} not read (first: {names}), {why}: {cure}.", "not read")]


def passed_over(passed: dict[str, list[Path]], root: Path) -> list[Finding]:
    """Report what :func:`reid_lab.data.files.look` saw and did not take, one finding per reason."""
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in passed.get("suffix", []))
    kinds = some(f"{count:,} with {suffix}" for suffix, count in sorted(suffixes.items()))
    cure = "save them as JPEG or PNG with the suffix .jpg or .png, or move them away"
    found = not_read(passed.get("suffix", []), root, f"because of the suffix ({kinds})", cure)
    found += not_read(passed.get("hidden", []), root, "because they are hidden", "rename them if they belong", "note")
    told: dict[str, tuple[Level, str, str]] = {
        "link": ("warning", "lead nowhere", "so what lay behind them is not read: restore that, or remove them"),
        "archive": ("note", "are not unpacked", "so what is in them is not read: unpack them, if it belongs"),
    }
    for kind, (level, what, cure) in told.items():
        paths = passed.get(kind, [])
        if paths:
            names = some(path.relative_to(root).as_posix() for path in sorted(paths))
            found.append(Finding(level, f"{len(paths):,} {kind}s {what} ({names}), {cure}.", "not read"))
    return found
