"""Gathers the pages of the site in one folder, which has the repository's layout: relative links lead where they led.

Pages that the repository has are copied. The front page is README.md with a table of contents; the lists of notebooks
and of modules are taken from the folders. Nothing is written twice.
"""

import importlib
import json
import pkgutil
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
TOP = ("RESULTS.md", "TRAINING.md", "GLOSSARY.md", "CONTRIBUTING.md", "CHANGELOG.md")
INNER = ("notebooks/README.md", "figures/README.md", "reid_lab/README.md")
PICTURES = ("figures/*.png", "figures/*.jpg")
# A picture of another server, which a page of the site does not load: its words stay.
FOREIGN = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")
# The rooms of the reference, in the order in which they are used.
ROOMS = (
    *("data", "models", "methods", "losses", "training", "retrieval", "analysis", "ablations", "plots", "papers"),
    *("course", "capstone", "passersby", "pretraining", "export", "app", "demo", "doctor", "runtime"),
)


def notebooks() -> list[Path]:
    """The notebooks of the course, in order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def title(notebook: Path) -> str:
    """The heading of a notebook."""
    cell = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]
    return "".join(cell["source"]).splitlines()[0].removeprefix("# ").strip()


def parts() -> dict[str, list[str]]:
    """The parts of the course, as README.md names them, with the names of their notebooks.

    A notebook that README.md does not list yet is in the part of the one before it.
    """
    rows = re.findall(r"^\| ([IVX]+\. .+?) \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    part_of = {name: part for part, row in rows for name in re.findall(r"\(notebooks/(\w+)\.ipynb\)", row)}
    found: dict[str, list[str]] = {part: [] for part, _ in rows}
    part = next(iter(found))
    for notebook in notebooks():
        part = part_of.get(notebook.stem, part)
        found[part].append(notebook.stem)
    return found


def modules(room: str) -> list[str]:
    """The full names of a room's modules, the room itself first."""
    module = importlib.import_module(f"reid_lab.{room}")
    if not hasattr(module, "__path__"):
        return [module.__name__]
    return [module.__name__, *(found.name for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}."))]


def given(room: str) -> list[str]:
    """The full names of what a room gives to those who import it alone, where these are defined elsewhere."""
    module = importlib.import_module(f"reid_lab.{room}")
    things = [getattr(module, name) for name in getattr(module, "__all__", vars(module)) if not name.startswith("_")]
    names = [
        f"{thing.__module__}.{thing.__qualname__}"
        for thing in things
        if getattr(thing, "__module__", "").startswith(f"{module.__name__}.") and hasattr(thing, "__qualname__")
    ]
    return list(dict.fromkeys(names))


def pages() -> Iterator[tuple[str, str]]:
    """The pages that are made: each page's path and its text."""
    yield "index.md", front()
    yield "notebooks/index.md", course()
    yield "api/index.md", (HERE / "pages" / "api.md").read_text(encoding="utf-8").replace("ROOMS", "\n".join(ROOMS))
    yield "api/commands.md", commands()
    for room in ROOMS:
        yield f"api/{room}.rst", reference(room)


def front() -> str:
    """README.md, with the ways into the site above its picture."""
    text = FOREIGN.sub(r"\1", (ROOT / "README.md").read_text(encoding="utf-8"))
    return text.replace("\n![", "\n" + (HERE / "pages" / "front.md").read_text(encoding="utf-8") + "\n![", 1)


def course() -> str:
    """The list of the notebooks, by parts."""
    text = [(HERE / "pages" / "course.md").read_text(encoding="utf-8")]
    for part, names in parts().items():
        lines = [f"{name[:2]} {title(ROOT / 'notebooks' / f'{name}.ipynb')} <{name}>" for name in names]
        text.append("\n".join(["```{toctree}", ":maxdepth: 1", f":caption: {part}", "", *lines, "```"]))
    return "\n\n".join(text) + "\n"


def reference(room: str) -> str:
    """The page of one room: what it gives, and all its modules."""
    first, *others = modules(room)
    lines = [room, "=" * len(room), "", f".. automodule:: {first}", ""]
    names = given(room)
    if names:
        lines += [f".. rubric:: What reid_lab.{room} gives", "", ".. py:currentmodule:: None", ""]
        lines += [".. autosummary::", "   :nosignatures:", "", *(f"   ~{name}" for name in names), ""]
    for module in others:
        heading = module.removeprefix("reid_lab.")
        lines += [heading, "-" * len(heading), "", f".. automodule:: {module}", ""]
    return "\n".join(lines)


def commands() -> str:
    """The help of every command of the command line."""
    import typer

    import reid_lab.cli  # noqa: F401 (its modules register the commands)
    from reid_lab.cli.app import PROGRAM, app

    text = ["# The command line", "What `reid-lab COMMAND --help` says.", *_help(typer.main.get_command(app), PROGRAM)]
    return "\n\n".join(text) + "\n"


def _help(command: Any, name: str) -> Iterator[str]:
    """The help of a command and of those below it, each with a heading."""
    with command.context_class(command, info_name=name, terminal_width=100, max_content_width=100) as context:
        yield f"```text\n{command.get_help(context).rstrip()}\n```"
    for word, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield f"## {name} {word}"
            yield from _help(below, f"{name} {word}")


def gather(target: Path) -> None:
    """Fill a folder with the pages: copies, and pages that are made.

    Args:
        target: The folder; what was in it is deleted.
    """
    shutil.rmtree(target, ignore_errors=True)
    copies = [*(ROOT / path for path in (*TOP, *INNER)), *notebooks()]
    for source in (*copies, *(each for pattern in PICTURES for each in sorted(ROOT.glob(pattern)))):
        copy = target / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    for path, text in pages():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text, encoding="utf-8")
