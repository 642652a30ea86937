"""What an answer borrows instead of writing it: this package's own functions, and what its exercise forbids."""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

PACKAGE = Path(__file__).parent.parent
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def forbids(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a check: its exercise must be solved without these functions, too.

    Args:
        *functions: Functions of a library, written in Python.
    """
    return _noting("forbidden", functions)


def permits(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a check: its exercise may call this part of the package.

    Args:
        *functions: Functions and classes of the package.
    """
    return _noting("permitted", functions)


def _noting(name: str, functions: tuple[Any, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def note(check: Callable[..., Any]) -> Callable[..., Any]:
        setattr(check, name, functions)
        return check

    return note


def inherited(answer: Any, check: Callable[..., Any]) -> list[str]:
    """Name the classes of this package that an answer inherits from, other than those that ``check`` permits."""
    bases = getattr(answer, "__mro__", ())[1:]
    permitted = getattr(check, "permitted", ())
    return [f"{base.__module__}.{base.__name__}" for base in bases if _ours(base) and base not in permitted]


def _ours(kind: type) -> bool:
    return kind.__module__.split(".")[0] == PACKAGE.name


@contextmanager
def watched(check: Callable[..., Any]) -> Iterator[list[str]]:
    """Watch what an answer calls while ``check`` looks at it.

    Methods of objects that an answer is given are its own business: only functions, and classes that it makes an object
    of, count. Calls by ``check`` itself or by a library do not.

    Yields:
        The full names of what the answer borrowed, in order, without repetition; it grows while the check runs.
    """
    found: list[str] = []
    checks = check.__code__.co_filename
    own = (checks, __file__)  # in an installed package the checks lie in the package, too
    forbidden = _codes(getattr(check, "forbidden", ()))
    permitted = _codes(getattr(check, "permitted", ()))

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_code in permitted or frame.f_code.co_filename in own:
            return
        name = forbidden.get(frame.f_code) or _name(frame.f_code)
        if name and name not in found and _by_the_answer(frame, checks):
            found.append(name)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _codes(functions: tuple[Any, ...]) -> dict[CodeType, str]:
    """The code of each function, or of what makes an object of each class, and its name."""
    codes = {}
    for function in functions:
        made_by = vars(function)["__init__"] if isinstance(function, type) else inspect.unwrap(function)
        codes[made_by.__code__] = f"{function.__module__}.{function.__qualname__}"
    return codes


@functools.cache
def _name(code: CodeType) -> str:
    """The full name of a function of this package, or of a class whose object is made; "" of anything else."""
    name = code.co_qualname.removesuffix(".__init__")
    if not _within(code.co_filename) or "." in name or name.startswith("<"):
        return ""
    parts = Path(code.co_filename).relative_to(PACKAGE).with_suffix("").parts
    return ".".join([PACKAGE.name, *(part for part in parts if part != "__init__"), name])


def _by_the_answer(frame: FrameType, checks: str) -> bool:
    """Whether the call came from an answer's own lines, perhaps by way of a library."""
    caller = frame.f_back
    while caller and caller.f_code.co_filename.startswith(LIBRARIES) and not _within(caller.f_code.co_filename):
        caller = caller.f_back
    return caller is not None and caller.f_code.co_filename != checks and not _within(caller.f_code.co_filename)


@functools.cache
def _within(file: str) -> bool:
    return Path(file).is_relative_to(PACKAGE)
