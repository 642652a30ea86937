"""Read a data set of any kind from its path alone."""

from pathlib import Path

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.cameras import Cameras
from reid_lab.data.custom.folder import folder
from reid_lab.data.custom.table import csv
from reid_lab.data.datasets.market import FOLDERS, MARKER, dukemtmc_reid, is_duke, market1501
from reid_lab.data.datasets.msmt import LISTS, RELEASES, msmt17
from reid_lab.data.files import ARCHIVES, candidates, child, existing_folder, locate
from reid_lab.runtime.errors import DataError

MARKET_ONLY = ("bounding_box_train", "bounding_box_test")  # a folder of that name is no identity


def recognize(root: Path | str, cameras: Cameras = None) -> tuple[str, Benchmark]:
    """Find out what kind of data set a path is, and read it.

    Args:
        root: A folder, or a table (CSV).
        cameras: As in :func:`reid_lab.data.folder`.

    Returns:
        The kind ("passersby", "market1501", "dukemtmc_reid", "msmt17", "folder" or "csv") and the benchmark.

    Raises:
        DataError: It is none of these, or cannot be read.
    """
    path = Path(root).expanduser()
    if path.is_file() and path.suffix.lower() == ".csv":
        return "csv", csv(path, cameras)
    if path.is_file():
        cure = "unpack it, and give the folder" if path.suffix.lower() in ARCHIVES else "give a folder"
        raise DataError(f"The file {path} is no data set: {cure}, or a table whose name ends in .csv.")
    path = existing_folder(path)
    if candidates(path, FOLDERS.values()) or any(child(path, name).is_dir() for name in MARKET_ONLY):
        top = locate(path, FOLDERS.values(), "a data set in Market-1501's layout")
        if (top / MARKER).is_file():
            return "passersby", market1501(top, cameras=cameras)
        if is_duke(top):
            return "dukemtmc_reid", dukemtmc_reid(top, cameras)
        return "market1501", market1501(top, cameras=cameras)
    inside = [name for release in RELEASES for name in release]
    if candidates(path, LISTS, inside) or any((path / name).is_file() for name in LISTS):
        return "msmt17", msmt17(path, cameras)
    return "folder", folder(path, cameras)
