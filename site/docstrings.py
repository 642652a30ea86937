"""Docstrings for the reference: diagrams stay diagrams, and a recipe shows what its paper says about every number."""

import dataclasses
import re
from typing import Any

from sphinx.application import Sphinx

SECTION = re.compile(r"\s*\*?(Args|Returns|Raises|Yields|Attributes|Example|Examples|Note):")
CODE = re.compile(r"(``.+?``|:\w+:`.+?`)")
COLUMNS = re.compile(r"\S {2,}\S")  # names and what they are, one below the other
MARK = re.compile(r"\||(?<=\w)_(?!\w)")  # norms and names, which reStructuredText takes for marks


def plain(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make a literal block of what is indented below an empty line or set in columns; escape marks elsewhere."""
    _indent_columns(lines)
    found: list[str] = []
    outside = 0  # the indentation of the last line that is in no literal block
    literal = False
    for line in lines:
        if line.strip():
            if not literal and found and not found[-1].strip() and _indent(line) > outside and not _in_section(found):
                literal = True
                found += [" " * outside + "::", ""]
            elif literal and _indent(line) <= outside:
                literal = False
            if not literal:
                outside = _indent(line)
                line = "".join(_escaped(part) for part in CODE.split(line))
        found.append(line)
    lines[:] = found


def _indent_columns(lines: list[str]) -> None:
    """Indent each paragraph that has two or more lines in columns."""
    starts = [0, *(place + 1 for place, line in enumerate(lines) if not line.strip())]
    for start, end in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        paragraph = lines[start : end - 1]
        columns = sum(bool(COLUMNS.search(line)) for line in paragraph)
        if start and columns >= 2 and not _indent(paragraph[0]) and not _in_section(paragraph[:1]):
            lines[start : start + len(paragraph)] = [f"    {line}" for line in paragraph]


def _in_section(lines: list[str]) -> bool:
    """Whether the last words are the name of a section of Google's style."""
    return bool(SECTION.fullmatch(next((line for line in reversed(lines) if line.strip()), "")))


def _escaped(part: str) -> str:
    return part if CODE.fullmatch(part) else MARK.sub(lambda mark: "\\" + mark[0], part)


def numbers(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add a table of the fields of a recipe: the value, and what the paper says."""
    rows = [
        (field.name, _value(field), field.metadata["status"], field.metadata["paper says"])
        for field in _numbers(what, thing)
    ]
    if not rows:
        return
    lines += ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in (("field", "value", "the paper", "where, or what it says"), *rows):
        first, *others = (_plain(cell) for cell in row)
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
    lines.append("")


def signature(app: Sphinx, what: str, name: str, thing: Any, options: Any, *given: str) -> tuple[str, None] | None:
    """Leave the fields of a recipe to their table."""
    return ("(**fields)", None) if _numbers(what, thing) else None


def _numbers(what: str, thing: Any) -> list[dataclasses.Field]:
    """The fields of a recipe of which it is known what a paper says."""
    if what != "class" or not dataclasses.is_dataclass(thing):
        return []
    return [field for field in dataclasses.fields(thing) if "paper says" in field.metadata]


def _value(field: dataclasses.Field) -> str:
    return "" if field.default is dataclasses.MISSING else f"{field.default!r}"


def _plain(text: str) -> str:
    """Text without a meaning in reStructuredText."""
    return re.sub(r"([*`_|\\])", r"\\\1", text) or "\\ "


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both, before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", plain, priority=400)
    app.connect("autodoc-process-docstring", numbers, priority=600)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
