"""Finds the entry of a name in the reference: by its full name, as a room gives it, or as a module sees it."""

import functools
import importlib
import re
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

CALL = re.compile(r"(?:reid_lab\.)?([A-Za-z_]\w*(?:\.\w+)+)(?:\(.*\))?", re.S)


def entry(env: BuildEnvironment, name: str, module: str | None = None) -> Any | None:
    """The entry of a name.

    Args:
        env: Sphinx's, with the objects of the reference.
        name: With dots or without, such as ``data.csv``, which is defined as ``reid_lab.data.custom.table.csv``.
        module: The full name of the module in which it stands.

    Returns:
        The entry; None if there is none, or several.
    """
    objects, known = env.domains["py"].objects, _by_last_name(env)
    for start in (f"{module}.", "reid_lab.", ""):
        found = objects.get(f"{start}{name}") or objects.get(_defined_as(f"{start}{name}"))
        if found:
            return found
    same = [full for full in known.get(name.rpartition(".")[2], []) if full.endswith(f".{name}")]
    return objects[same[0]] if len(same) == 1 else None


@functools.lru_cache(maxsize=1)
def _by_last_name(env: BuildEnvironment) -> dict[str, list[str]]:
    """The full names of all objects but modules, by their last part; asked for when all pages have been read."""
    found: dict[str, list[str]] = {}
    for full, each in env.domains["py"].objects.items():
        if each.objtype != "module":
            found.setdefault(full.rpartition(".")[2], []).append(full)
    return found


def entry_of_code(env: BuildEnvironment, text: str) -> Any | None:
    """The entry that a piece of code in a text means, such as ``losses.identification(logits, pids)``."""
    found = CALL.fullmatch(text)
    if not found or text.endswith((".py", ".csv", ".md", ".json")):
        return None
    return entry(env, found[1])


@functools.cache
def _defined_as(name: str) -> str | None:
    """The full name of the same thing where it is defined, as far as it is known; None if there is no such thing."""
    full, *path = name.split(".")
    if full != "reid_lab":
        return None
    thing: Any = importlib.import_module(full)
    for part in path:
        thing, full = _member(thing, part), f"{full}.{part}"
        if isinstance(thing, ModuleType):
            full = thing.__name__
        elif hasattr(thing, "__qualname__") and hasattr(thing, "__module__"):
            full = f"{thing.__module__}.{thing.__qualname__}"
    return full


def _member(thing: Any, name: str) -> Any:
    """What a module or class has under this name; a function comes before a module that is called so, too."""
    if not isinstance(thing, ModuleType) or hasattr(thing, name):
        return getattr(thing, name, None)
    try:
        return importlib.import_module(f"{thing.__name__}.{name}")
    except ModuleNotFoundError:
        return None


def missing(app: Sphinx, env: BuildEnvironment, node: nodes.Element, words: nodes.Element) -> nodes.Element | None:
    """Resolve what Sphinx does not find by itself."""
    if node.get("refdomain") != "py":
        return None
    found = entry(env, node["reftarget"].lstrip("."), node.get("py:module"))
    if found is None:
        return None
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, words, node["reftarget"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the resolver."""
    app.connect("missing-reference", missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
