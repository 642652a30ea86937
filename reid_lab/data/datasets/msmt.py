"""MSMT17, both releases: MSMT17_V1 (folders train and test) and MSMT17_V2 (mask_train_v2 and mask_test_v2).

The split is in list files with lines such as ``0000/0000_000_01_0303morning_0008_0.jpg 0``: the path below
the train or test folder, and the identity; the third field of the name is the camera.
"""

from pathlib import Path

from reid_lab.data import cameras as cameras_of
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.cameras import Cameras, camera_of
from reid_lab.data.datasets.published import verdict
from reid_lab.data.decoding import with_grey_range
from reid_lab.data.files import child, locate, look, with_any_suffix
from reid_lab.data.finding import Finding, not_read, passed_over
from reid_lab.data.records import Record, Splits
from reid_lab.runtime.errors import DataError

LISTS = ("list_train.txt", "list_query.txt", "list_gallery.txt")
VALIDATION = "list_val.txt"
RELEASES = (("train", "test"), ("mask_train_v2", "mask_test_v2"))


def msmt17(root: Path | str, cameras: Cameras = None) -> Benchmark:
    """Read MSMT17 (Wei, Zhang, Gao and Tian, CVPR 2018); validation images are train images, as in most work.

    The lists number identities from 0, train and test each. Here train identities count from 1, and test identities
    go on from there, so that no number means two people or a distractor.

    Args:
        root: The folder.
        cameras: Replaces the names' cameras: a pattern that is looked for in the path below ``root``, "none", a
            function, or one number for all.

    Raises:
        DataError: The folder is another, or a line of a list does not parse.
    """
    cameras_of.check(cameras)
    folders = [name for release in RELEASES for name in release]
    root = locate(root, LISTS, "MSMT17", inside=folders)
    train_folder, test_folder = _release(root)

    def read(name: str, folder: Path, first_pid: int) -> list[Record]:
        return _records(root, name, folder, first_pid, cameras)

    train = read("list_train.txt", train_folder, 1)
    if (root / VALIDATION).is_file():
        train += read(VALIDATION, train_folder, 1)
    first_test_pid = 1 + max((record.pid for record in train), default=0)
    query = read("list_query.txt", test_folder, first_test_pid)
    gallery = read("list_gallery.txt", test_folder, first_test_pid)
    splits = {"train": train, "query": query, "gallery": gallery}
    notes = (verdict("MSMT17", splits), *_left_out(root, splits))
    return Benchmark("MSMT17", **with_grey_range(splits), root=root, notes=notes)


def _left_out(root: Path, splits: Splits) -> list[Finding]:
    seen = look(root)
    listed = {record.path for records in splits.values() for record in records}
    unlisted = [path for path in seen.images if path not in listed]
    cure = "add them to a list if they belong"
    return passed_over(seen.passed, root) + not_read(unlisted, root, "because no list names them", cure, "note")


def _release(root: Path) -> tuple[Path, Path]:
    for release in RELEASES:
        train, test = (child(root, name) for name in release)
        if train.is_dir() and test.is_dir():
            return train, test
    expected = " nor ".join(" and ".join(release) for release in RELEASES)
    raise DataError(f"The MSMT17 folder {root} has its lists, but neither {expected}: unpack the archive again.")


def _records(root: Path, list_name: str, folder: Path, first_pid: int, cameras: Cameras) -> list[Record]:
    try:
        lines = child(root, list_name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The list {root / list_name} cannot be read ({error}): restore it from the archive."
        ) from error
    return [
        _record(line, folder, first_pid, cameras, f"Line {number} of {root / list_name}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _record(line: str, folder: Path, first_pid: int, cameras: Cameras, where: str) -> Record:
    try:
        name, pid = line.rsplit(maxsplit=1)
        camid = int(Path(name).name.split("_")[2])
        path = with_any_suffix(folder / name)
        return Record(path, first_pid + int(pid), camera_of(path, (name,), cameras, camid))
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{where} is {line!r}, not an image and its identity as in "
            "'0000/0000_000_01_0303morning_0008_0.jpg 0': restore the list from the archive."
        ) from error
