"""The history of a run as TensorBoard reads it; optional."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from reid_lab.runtime.errors import DeviceError


def tensorboard_writer() -> Any:
    """Load the class that writes TensorBoard's logs.

    Raises:
        DeviceError: it is not installed, or does not load.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception as error:  # a package that was made for other versions may raise anything
        if isinstance(error, ModuleNotFoundError) and "tensorboard" in str(error):
            raise DeviceError("Logs for TensorBoard need its package: pip install tensorboard.") from error
        raise DeviceError(
            f"TensorBoard does not load ({error}): leave out its logs, or pip install --upgrade tensorboard."
        ) from error
    return SummaryWriter


def write_tensorboard(folder: Path, row: dict[str, Any]) -> None:
    """Write one epoch's numbers for TensorBoard. Where they cannot be written, that is logged, and training goes on."""
    try:
        with tensorboard_writer()(folder, purge_step=row["epoch"]) as writer:
            for name, value in row.items():
                writer.add_scalar(name, value, row["epoch"])
    except Exception as error:  # whatever its packages raise: history.csv holds the same numbers
        reason = getattr(error, "strerror", None) or error
        logging.getLogger("reid_lab").warning("Epoch %s is missing in %s (%s).", row["epoch"], folder, reason)
