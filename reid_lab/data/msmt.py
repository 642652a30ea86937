"""MSMT17, both releases: MSMT17_V1 (folders train and test) and MSMT17_V2 (mask_train_v2 and mask_test_v2).

The split is in list files with lines such as ``0000/0000_000_01_0303morning_0008_0.jpg 0``: the path below
the train or test folder, and the identity; the third field of the name is the camera.
"""

from pathlib import Path

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.files import locate, with_any_suffix
from reid_lab.data.published import verdict
from reid_lab.data.records import Record
from reid_lab.errors import DataError

LISTS = ("list_train.txt", "list_query.txt", "list_gallery.txt")
VALIDATION = "list_val.txt"
RELEASES = (("train", "test"), ("mask_train_v2", "mask_test_v2"))


def msmt17(root: Path | str) -> Benchmark:
    """MSMT17 (Wei, Zhang, Gao and Tian, CVPR 2018); the validation images are train images, as in most work.

    The lists number identities from 0, train and test each: here train identities count from 1, and test
    identities go on from there, so that no number means two people or a distractor.
    Raises DataError if the folder is another, or a line of a list does not parse.
    """
    folders = [name for release in RELEASES for name in release]
    root = locate(root, LISTS, "MSMT17", inside=folders)
    train_folder, test_folder = _release(root)
    train = _records(root, "list_train.txt", train_folder, first_pid=1)
    if (root / VALIDATION).is_file():
        train += _records(root, VALIDATION, train_folder, first_pid=1)
    first_test_pid = 1 + max((record.pid for record in train), default=0)
    query = _records(root, "list_query.txt", test_folder, first_test_pid)
    gallery = _records(root, "list_gallery.txt", test_folder, first_test_pid)
    splits = {"train": train, "query": query, "gallery": gallery}
    return Benchmark("MSMT17", **splits, root=root, notes=(verdict("MSMT17", splits),))


def _release(root: Path) -> tuple[str, str]:
    for release in RELEASES:
        if all((root / name).is_dir() for name in release):
            return release
    expected = " nor ".join(" and ".join(release) for release in RELEASES)
    raise DataError(f"The MSMT17 folder {root} has its lists, but neither {expected}: unpack the archive again.")


def _records(root: Path, list_name: str, folder: str, first_pid: int) -> list[Record]:
    try:
        lines = (root / list_name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The list {root / list_name} cannot be read ({error}): restore it from the archive."
        ) from error
    return [
        _record(line, root / folder, first_pid, f"Line {number} of {root / list_name}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _record(line: str, folder: Path, first_pid: int, place: str) -> Record:
    try:
        name, pid = line.rsplit(maxsplit=1)
        camid = int(Path(name).name.split("_")[2])
        return Record(with_any_suffix(folder / name), first_pid + int(pid), camid)
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{place} is {line!r}, not an image and its identity as in "
            "'0000/0000_000_01_0303morning_0008_0.jpg 0': restore the list from the archive."
        ) from error
