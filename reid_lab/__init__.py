"""reid_lab: person re-identification to read, run and measure.

The rooms, in the order in which they import one another, are described in ``reid_lab/README.md``. ``import reid_lab``
is quick: a room is imported when it is first used, as in ``reid_lab.methods.multitask("classroom")``.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors, which then know what `reid_lab.data` is
    from reid_lab import (
        ablations,
        analysis,
        data,
        losses,
        methods,
        models,
        papers,
        passersby,
        plots,
        retrieval,
        training,
    )

__version__ = "0.2.0"
__all__ = [
    "ablations",
    "analysis",
    "data",
    "losses",
    "methods",
    "models",
    "papers",
    "passersby",
    "plots",
    "retrieval",
    "training",
]


def __getattr__(name: str) -> ModuleType:
    """Import a room when it is first used."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what the package has, rooms that are not imported yet included."""
    return sorted({*globals(), *__all__})
