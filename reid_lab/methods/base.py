"""What all recipes share: they are checked, they never change, they are written as JSON.

A recipe has a size, one of SIZES. Its other fields are those of its kind: :class:`reid_lab.methods.Recipe` is trained,
step by step; :class:`reid_lab.methods.ClosedForm` is solved, at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from pydantic import ConfigDict, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, ErrorDetails

from reid_lab.runtime.errors import RecipeError

SizeName = Literal["smoke", "classroom", "full", "paper"]
SIZES = get_args(SizeName)
FULL_MEMORY = 10 * 2**30  # bytes of a GPU in which "full" is thought to fit; nobody has measured it

LATER = {"half_size_epochs": 0}  # fields that version 0.1.0 did not have, and the value that means what it did


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class BaseRecipe:
    """What is common to methods that are trained and methods that are solved.

    A method's class gives ``method``, ``sizes`` (values at each of SIZES) and ``network``.

    Raises:
        RecipeError: an unknown field, a missing one or an impossible value. It names the field and what is allowed.
    """

    method: ClassVar[str]  # its name on the command line and in files
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]]  # what differs from the paper's values at each of SIZES
    from_random: ClassVar[Mapping[str, Any]] = {}  # what weights=None changes at "classroom"

    size: SizeName

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, given: ArgsKwargs, check: Callable[[ArgsKwargs], Self]) -> Self:
        """Take NumPy's numbers as Python's and lists as tuples; turn pydantic's error into our sentence."""
        fields = {name: _plain(value) for name, value in (given.kwargs or {}).items()}
        try:
            recipe = check(ArgsKwargs(given.args, fields))
        except ValidationError as error:
            raise RecipeError(_sentence(cls, fields, error.errors())) from None
        recipe._check()
        return recipe

    def _check(self) -> None:
        """Check what several fields say together. A subclass extends this method."""

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise RecipeError(_wrong(type(self), name, getattr(self, name), expected))

    @classmethod
    def at(cls, size: str | None = None, **fields: Any) -> Self:
        """The recipe at one of SIZES (default: see :func:`default_size`), with some ``fields`` changed.

        At "classroom", ``weights=None`` brings the longer schedule that random weights need; to change the start and
        nothing else, use :meth:`replace`.

        Raises:
            RecipeError: unknown size or field, or an impossible value.
        """
        size = size or default_size()
        if size not in cls.sizes:
            raise RecipeError(f"{cls.method} has no size {size!r}; choose one of {', '.join(cls.sizes)}.")
        longer = cls.from_random if size == "classroom" and fields.get("weights", "") is None else {}
        return cls(**({"size": size, **cls.sizes[size], **longer} | fields))

    def replace(self, **changes: Any) -> Self:
        """This recipe with some fields changed. Raises RecipeError for an unknown field or impossible value."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The recipe as JSON text, which :func:`from_json` reads back to an equal recipe.

        A field of LATER is written only where it changes something, so that earlier runs keep their names.
        """
        fields = {name: value for name, value in dataclasses.asdict(self).items() if (name, value) not in LATER.items()}
        return json.dumps({"method": self.method, **fields}, indent=1)

    def _lacks(self, name: str) -> RecipeError:
        method = getattr(self, "method", "none: it is the base of all recipes")
        return RecipeError(f"{type(self).__name__} (method {method}) does not define {name}, which every method must.")


def default_size(device: str | torch.device | None = None) -> str:
    """``REID_LAB_SIZE``, else "full" on a GPU with room for it, else "classroom".

    ``device`` is where the training will run; None: the default one. An Apple GPU takes its memory from the computer,
    and gets "classroom". Raises RecipeError for an unknown size, DeviceError for a device that is not there.
    """
    from reid_lab.runtime.device import find_device, memory

    size = os.environ.get("REID_LAB_SIZE")
    if size and size not in SIZES:
        raise RecipeError(f"The environment variable REID_LAB_SIZE is {size!r}; set it to one of {', '.join(SIZES)}.")
    if size:
        return size
    found = find_device(device)
    return "full" if found.type in ("cuda", "xpu") and memory(found)[1] >= FULL_MEMORY else "classroom"


def _sentence(recipe: type[BaseRecipe], fields: Mapping[str, Any], errors: Sequence[ErrorDetails]) -> str:
    """Our sentence for what pydantic found first: the field, its value, what is allowed, the cure."""
    kinds = {error["type"]: str(error["loc"][0]) for error in reversed(errors)}
    name = str(errors[0]["loc"][0])
    if "unexpected_keyword_argument" in kinds:
        return unknown_field(recipe, kinds["unexpected_keyword_argument"])
    if "missing" in kinds:
        lacking = [str(error["loc"][0]) for error in errors if error["type"] == "missing"]
        return f"The recipe lacks {', '.join(lacking)}; add what is missing."
    expected = recipe.__pydantic_fields__[name].description  # type: ignore[attr-defined]
    if not expected:
        found = [error["msg"] for error in errors if error["loc"][0] == name]
        expected = re.sub("Input should be |Value error, |valid ", "", " or ".join(dict.fromkeys(found)))
    return _wrong(recipe, name, fields[name], expected)


def unknown_field(recipe: type[BaseRecipe], name: str) -> str:
    """Our sentence for a field that a recipe does not have."""
    known = [field.name for field in dataclasses.fields(recipe)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}."
    return f"A {recipe.method} recipe has no field {name!r}; {hint}"


def _wrong(recipe: type[BaseRecipe], name: str, value: object, expected: str) -> str:
    return (
        f"The recipe's field {name} is {value!r}; it must be {expected}. "
        f"Change it in methods.{recipe.method}(...) or in the recipe's file."
    )


def _plain(value: Any) -> Any:
    """A value of NumPy's, a sweep's say, as Python's own, and a list, JSON's only sequence, as a tuple."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
