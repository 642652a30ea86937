"""One progress bar for all long work: a plain tqdm bar in a shell, a widget in a notebook, silence elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm


def silenced() -> bool:
    """Whether the user wants to hear of no progress: ``TQDM_DISABLE`` is set."""
    return os.environ.get("TQDM_DISABLE", "") not in ("", "0")


def interactive() -> bool:
    """Whether somebody is watching: a terminal on stderr or a Jupyter kernel, and ``TQDM_DISABLE`` not set."""
    if silenced():
        return False
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def bar(
    iterable: Iterable[Any] | None = None, total: int | None = None, description: str = "", unit: str = "it"
) -> tqdm:
    """Make a tqdm bar, silent where nobody is watching.

    Args:
        iterable: What it runs over. None: ``update`` moves it.
        total: How many units there are.
        description: The text in front of it.
        unit: What it counts.
    """
    return tqdm(
        iterable, total=total, desc=description, unit=unit, disable=not interactive(), leave=False, dynamic_ncols=True
    )
