"""Finding a data set's folder and the images in it."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reid_lab.runtime.errors import DataError


def _set_of(suffixes: str) -> frozenset[str]:
    return frozenset(suffixes.split())


SUFFIXES = _set_of(
    ".jpg .jpeg .jpe .jfif .png .apng .bmp .dib .webp .gif .tif .tiff .avif .jp2 .j2k .j2c .jpc .jpf .jpx "
    ".ppm .pgm .pbm .pnm .pfm .tga .pcx .sgi .qoi"
)
# Pictures and films that Pillow does not read
OTHER_PICTURES = _set_of(
    ".heic .heif .jxl .svg .psd .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .exr .hdr "
    ".mp4 .avi .mov .mkv .webm .m4v .wmv .mpg .mpeg"
)
TEXTS = _set_of(".txt .csv .json .xml .yaml .yml .md .log .py .npy .npz .mat .pkl")
ARCHIVES = _set_of(".zip .tar .gz .tgz .bz2 .xz .rar .7z")
SYSTEM = _set_of("__macosx @eadir $recycle.bin lost+found")  # folders that computers make: hidden, by other names
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")  # of image files


@dataclass
class Seen:
    """What lies below a folder.

    Attributes:
        images: The images, sorted.
        passed: Pictures that are not taken, by reason: "suffix", "hidden", "link", "archive".
        others: The names of all other files.
    """

    images: list[Path] = field(default_factory=list)
    passed: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    others: list[str] = field(default_factory=list)


def existing_folder(root: Path | str) -> Path:
    """Make ``root`` an absolute path.

    Raises:
        DataError: It is not a folder.
    """
    folder = Path(os.path.abspath(Path(root).expanduser()))
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"The data folder {folder} {found}: give the folder that holds the unpacked data set.")
    return folder


def candidates(root: Path | str, needed: Iterable[str], inside: Iterable[str] = ()) -> list[Path]:
    """Find the folders that hold all needed names: ``root``, else its parent, else any of its sub-folders.

    Args:
        root: Where to look.
        needed: Names of files or folders, in lower case.
        inside: Other names of folders in such a folder. The parent is tried only if ``root`` has a name of ``needed``
            or ``inside``, that is if it lies one level too low.
    """
    root, needed = existing_folder(root), tuple(needed)
    around = [root]
    if root.name.lower() in (*needed, *inside):
        around.append(root.parent)
    for folder in around:
        if not _missing(folder, needed):
            return [folder]
    return [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not _missing(folder, needed)]


def locate(root: Path | str, needed: Iterable[str], what: str, inside: Iterable[str] = ()) -> Path:
    """Find the one folder among the :func:`candidates`.

    Args:
        root: Where to look.
        needed: Names that the folder must hold, in lower case.
        what: What the data set is called in the error.
        inside: Other names of folders in such a folder.

    Raises:
        DataError: There is none, or more than one.
    """
    needed = tuple(needed)
    found = candidates(root, needed, inside)
    if len(found) == 1:
        return found[0]
    root = existing_folder(root)
    if found:
        names = " and ".join(folder.name for folder in found)
        raise DataError(f"The folder {root} holds {what} more than once ({names}): give one of them.")
    raise DataError(
        f"The folder {root} is not {what}: it lacks {', '.join(_missing(root, needed))}, and so do the "
        "folders around it; give the folder that holds them, or unpack the archive again."
    )


def child(folder: Path, name: str) -> Path:
    """Find what ``folder`` holds under this name, capitals or not."""
    exact = folder / name
    if exact.exists():
        return exact
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower()), exact)


def _missing(folder: Path, needed: Iterable[str]) -> list[str]:
    try:
        names = {path.name.lower() for path in folder.iterdir()}
    except OSError:
        return list(needed)
    return [name for name in needed if name.lower() not in names]


def look(folder: Path, recursive: bool = True) -> Seen:
    """List everything below a folder, linked folders too.

    A linked folder that leads back to one above itself is not entered again. An image that is a link to nowhere is
    listed: whoever opens it will name it.

    Args:
        folder: Where to look.
        recursive: Whether sub-folders are entered.

    Returns:
        The images, sorted by their name below the folder, and what else is there.

    Raises:
        DataError: A folder cannot be read.
    """
    seen = Seen()
    for entry, hidden in _walk(str(folder), recursive, (os.path.realpath(folder),), False):
        _sort_in(seen, entry, hidden)
    seen.images.sort(key=Path.as_posix)
    return seen


def image_files(folder: Path, recursive: bool = False) -> list[Path]:
    """List the images of :func:`look` alone."""
    return look(folder, recursive).images


def _walk(folder: str, recursive: bool, above: tuple[str, ...], hidden: bool) -> Iterator[tuple[os.DirEntry, bool]]:
    """All entries that are no folders, and whether they or a folder above them are hidden."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise _unreadable(Path(folder), error) from error
    for entry in entries:
        secret = hidden or entry.name.startswith(".") or entry.name.lower() in SYSTEM
        if not _is_folder(entry):
            yield entry, secret
        elif recursive:
            real = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(above[-1], entry.name)
            if not any(upper == real or upper.startswith(os.path.join(real, "")) for upper in above):
                yield from _walk(entry.path, recursive, (*above, real), secret)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _sort_in(seen: Seen, entry: os.DirEntry, hidden: bool) -> None:
    path = Path(entry.path)
    suffix = path.suffix.lower()
    if path.exists() and not path.is_file():  # a pipe: whoever opens it waits for ever
        seen.others.append(path.name)
    elif hidden:
        if suffix in SUFFIXES and not path.name.startswith("._"):  # macOS keeps notes about files in such
            seen.passed["hidden"].append(path)
    elif suffix in SUFFIXES:
        seen.images.append(path)
    elif suffix in ARCHIVES:
        seen.passed["archive"].append(path)
    elif suffix in OTHER_PICTURES or (suffix not in TEXTS and _begins_like_an_image(path)):
        seen.passed["suffix"].append(path)
    elif entry.is_symlink() and not path.exists():
        seen.passed["link"].append(path)
    else:
        seen.others.append(path.name)


def _begins_like_an_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(BEGINNINGS)
    except OSError:
        return False


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"The folder {folder} cannot be read ({error.strerror}): allow your user to read it, or move it away."
    )


def with_any_suffix(path: Path) -> Path:
    """Find ``path``, or the same name in another image format or case if only that exists."""
    if path.exists():
        return path
    others = (path.with_suffix(form) for suffix in sorted(SUFFIXES) for form in (suffix, suffix.upper()))
    return next((other for other in others if other.exists()), path)
