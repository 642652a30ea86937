"""Let every notebook open in one click: ``python notebooks/one_click.py`` writes what it needs, from pyproject.toml.

Below a notebook's heading stands a line that opens it on Colab or Binder. Its first code cell begins with lines that
install the package where it is missing, beside the torch that is there; where the package is there, they do nothing.
The README has the same links. ``notebooks/run.py`` writes both into every notebook that it runs.
"""

import re
import tomllib

import nbformat

from reid_lab import __version__
from reid_lab.runtime.files import ROOT, write_text

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
FIRST = "notebooks/00_welcome.ipynb"  # where the README's links lead

LINKS = re.compile(r"^Open in \[Colab\]\(.*\n\n", re.M)
BADGES = re.compile(r"^\[!\[Open in Colab\].*\n\[!\[Open in Binder\].*$", re.M)
INSTALLS = re.compile(r"\Afrom importlib import metadata, util\n\nif not util\.find_spec.*?\n\n", re.S)
INSTALL = f"""from importlib import metadata, util

if not util.find_spec("reid_lab"):  # as on Colab: install it beside the torch that is there
    there = [f"{{p.name}}=={{p.version}}" for p in metadata.distributions() if p.name in ("torch", "torchvision")]
    %pip install --quiet "reid_lab[notebooks]>={__version__}" {{" ".join(there)}}

"""


def addresses(path: str) -> tuple[str, str]:
    """Where Colab and Binder open a notebook of the repository."""
    return (
        f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/{path}",
        f"https://mybinder.org/v2/gh/{REPOSITORY}/main?urlpath=lab/tree/{path}",
    )


def links(name: str) -> str:
    """The line below the heading of a notebook: four words, no picture that a class without a network would miss."""
    colab, binder = addresses(f"notebooks/{name}.ipynb")
    return f"Open in [Colab]({colab}), [Binder]({binder})\n\n"


def badges() -> str:
    """The line of the README."""
    colab, binder = addresses(FIRST)
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def add(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Put both into a notebook that lacks them, or has them with another address or version.

    Args:
        notebook: Changed in place; outputs and counts stay.
        name: Its file's name without ending, such as "02_metrics".

    Returns:
        The same notebook.

    Raises:
        ValueError: Its first cell does not begin with its heading, or there is no code cell.
    """
    first = notebook.cells[0]
    code = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    heading = re.match(r"# .*\n\n", LINKS.sub("", first.source))
    if first.cell_type != "markdown" or heading is None or code is None:
        raise ValueError(f"{name} needs a heading with text below it in its first cell, and a code cell.")
    first.source = heading[0] + links(name) + LINKS.sub("", first.source)[heading.end() :]
    code.source = INSTALL + INSTALLS.sub("", code.source)
    return notebook


def main() -> None:
    """The command line."""
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        before = path.read_text(encoding="utf-8")
        after = nbformat.writes(add(nbformat.reads(before, as_version=4), path.stem)) + "\n"
        if after != before:
            write_text(path, after)
            print(path.name)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    write_text(ROOT / "README.md", BADGES.sub(badges(), page))


if __name__ == "__main__":
    main()
