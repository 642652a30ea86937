"""Slides for the lecturer, from the notebooks: ``python notebooks/slides.py [--out FOLDER] [NOTEBOOK ...]``.

A slide has a heading and what stands below it in the notebook: pictures with their sentences, predictions, outcomes
(on the next click), and the summary. Code and running text are left out. A Markdown cell with the tag ``slide`` is
shown as it is. Nothing is executed: the pictures are those that the notebooks hold.

The pages are shown by reveal.js, which the browser gets from the network. Without a network: ``npm install
reveal.js@4.0.2 requirejs jquery`` in the slides' folder, and then ``--local node_modules``. Formulas need the network
even then.
"""

import argparse
import html
import re
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter

from reid_lab.runtime.files import runs_folder, write_text

HERE = Path(__file__).resolve().parent
LEFT_OUT = {"## Set-up", "## Exercises", "## References"}


def reduced(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook that holds its slides: every cell has the slide type that nbconvert reads."""
    cells: list = []
    for cell in notebook.cells:
        cells += _of_markdown(cell) if cell.cell_type == "markdown" else _of_code(cell)
    shown = [cell for i, cell in enumerate(cells) if not _is_bare(cell, cells[i + 1 :])]
    pictures = 0  # on this slide
    for cell in shown:
        kind, pictures = _slide_type(cell, pictures)
        cell.metadata["slideshow"] = {"slide_type": kind}
    return nbformat.v4.new_notebook(cells=shown, metadata=notebook.metadata)


def _of_markdown(cell) -> list:
    """The sections of a Markdown cell, shortened; a cell that is tagged stays as it is."""
    if "slide" in cell.metadata.get("tags", []):
        return [nbformat.v4.new_markdown_cell(cell.source)]
    text = re.sub(r"^```.*?^```$", "", cell.source, flags=re.M | re.S)
    found = []
    for section in re.split(r"^(?=#{1,3} )", text, flags=re.M)[1:]:
        heading, _, rest = section.partition("\n")
        if heading.strip() in LEFT_OUT:
            continue
        if heading.startswith("# ") or heading.strip() == "## Summary":
            items = re.findall(r"^- .*(?:\n(?!- |\n|\*\*).*)*", rest, flags=re.M)
            heading = "\n\n".join([heading, "\n".join(items)]) if items else heading
        found.append(nbformat.v4.new_markdown_cell(heading))
    return found


def _of_code(cell) -> list:
    """The outputs of a cell that shows pictures, asks for a prediction or says what came out; else nothing."""
    asks, tells = ("course.predict(" in cell.source, "course.outcome(" in cell.source)
    pictures = any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))
    if not (asks or tells or pictures):
        return []
    kept = nbformat.v4.new_code_cell("", metadata={"does": "asks" if asks else "tells" if tells else "shows"})
    for output in cell.outputs:
        kinds = output.get("data", {}).keys()
        if asks or tells or any(kind.startswith("image/") or kind == "text/markdown" for kind in kinds):
            kept.outputs.append(_fitting(output))
    return [kept]


def _fitting(output):
    """A picture that fits the slide, with its alternative text, which nbconvert's own slides forget."""
    for kind in ("image/png", "image/jpeg"):
        if kind in output.get("data", {}):
            told = output.metadata.get(kind, {})
            width = f' width="{told["width"]}"' if "width" in told else ""
            words = html.escape(told.get("alt", ""), quote=True)
            style = "max-width: 100%; max-height: 560px; height: auto"
            page = f'<img src="data:{kind};base64,{output.data[kind].strip()}"{width} alt="{words}" style="{style}">'
            return nbformat.v4.new_output("display_data", {"text/html": page})
    return output


def _is_bare(cell, later: list) -> bool:
    """Whether this is a heading, and no text but the heading, that nothing follows before the next one."""
    alone = cell.cell_type == "markdown" and re.fullmatch(r"#{2,3} .*", cell.source) is not None
    return alone and (not later or later[0].cell_type == "markdown")


def _slide_type(cell, pictures: int) -> tuple[str, int]:
    """The slide type of a cell, and how many pictures its slide has then: one each, and a prediction has its own."""
    if cell.cell_type == "markdown":
        return ("subslide" if cell.source.startswith("### ") else "slide"), 0
    does = cell.metadata.pop("does")
    if does == "tells" and not any("text/html" in output.get("data", {}) for output in cell.outputs):
        return "fragment", pictures
    return ("subslide" if pictures else "-"), 1


def exported(notebook: nbformat.NotebookNode, title: str, local: str | None = None) -> str:
    """A notebook's slides as one page of HTML; ``local`` is the address of a folder with copies of what shows them."""
    settings = {"reveal_scroll": True, "exclude_input": True}
    if local:
        settings |= {
            "reveal_url_prefix": f"{local}/reveal.js",
            "require_js_url": f"{local}/requirejs/require.js",
            "jquery_url": f"{local}/jquery/dist/jquery.min.js",
        }
    exporter = SlidesExporter(exclude_input_prompt=True, exclude_output_prompt=True, **settings)
    return exporter.from_notebook_node(reduced(notebook), resources={"metadata": {"name": title}})[0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make slides from the notebooks' headings, pictures and predictions.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument("--out", type=Path, help="default: runs/slides")
    parser.add_argument("--local", help="a folder with copies of reveal.js, requirejs and jquery, seen from the pages")
    chosen = parser.parse_args()
    folder = chosen.out or runs_folder() / "slides"
    for path in chosen.notebooks or sorted(HERE.glob("[0-9]*.ipynb")):
        page = exported(nbformat.read(path, as_version=4), path.stem, chosen.local)
        write_text(folder / f"{path.stem}.html", page)
        print(f"{folder / path.stem}.html", flush=True)


if __name__ == "__main__":
    main()
