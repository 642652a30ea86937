"""What every notebook of the second edition keeps to: each rule yields a sentence for everything that breaks it."""

import ast
import json
import re
import unicodedata
from pathlib import Path

MOST_CELLS, MOST_WORDS, MOST_BOOLEANS = 45, 1800, 2
LEAST_WIDTH = 590  # pixels of a figure on the page: 600, less what a tight frame takes away
LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
EXERCISE = re.compile(
    r"^(?:#+ +)?(?:[-*] +)?(?:\*\*)?(?:\d+\.)?(?:\*\*)? *\*+(Warm-up|Code|Open)\b[^*\n]*\*", re.M
)  # as in notebooks/student.py


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8")).get("cells", [])


def source_of(cell):
    return "".join(cell["source"])


def markdown(path):
    """All Markdown of a notebook or page, without blocks of code."""
    if path.suffix == ".ipynb":
        text = "\n\n".join(source_of(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def prose(path):
    """The same without code and formulas in it."""
    text = markdown(path)
    for part, instead in ((r"`[^`\n]+`", "code"), (r"\$\$.*?\$\$", "formula")):
        text = re.sub(part, instead, text, flags=re.S)
    return re.sub(r"(?<!\\)\$[^$\n]+\$", "formula", text)


def calls(path, name):
    """The calls of ``course.NAME`` in a notebook, in order, as the texts among their arguments."""
    for cell in cells_of(path):
        if cell["cell_type"] == "code" and f"course.{name}(" in source_of(cell):
            code = re.sub(r"^ *[%!].*$", "", source_of(cell), flags=re.M)
            found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
            for call in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
                if ast.unparse(call.func) == f"course.{name}":
                    yield [each.value for each in call.args if isinstance(each, ast.Constant)]


def load(path):
    """A lesson fits an hour and a half."""
    cells, words = len(cells_of(path)), len(prose(path).split())
    if cells > MOST_CELLS:
        yield f"{cells} cells are more than {MOST_CELLS}"
    if words > MOST_WORDS:
        yield f"{words} words of Markdown are more than {MOST_WORDS}"


def booleans(path):
    """Numbers are printed, not whether they are as wished."""
    found = 0
    for cell in cells_of(path):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = "".join(output.get("text", ""))
            if "text/latex" not in data:  # else it is source code on the page
                text += "".join(data.get("text/plain", ""))
            found += len(re.findall(r"\b(True|False)\b", text))
    if found > MOST_BOOLEANS:
        yield f"{found} printed Booleans are more than {MOST_BOOLEANS}"


def mentions(path):
    """Who reads of another notebook can go there."""
    text = prose(path)
    for words, target in LINK.findall(text):
        for number in re.findall(r"\bnotebooks? (\d\d)\b", words, flags=re.I):
            if not Path(target).name.startswith(f"{number}_"):
                yield f"[{words}] leads to {target}"
    rest = LINK.sub("LINK", text)
    for found in re.findall(r"\bnotebooks? (?:(?:LINK|\d\d)(?:,|,? and|,? or| to)? )*\d\d\b", rest, flags=re.I):
        yield f"{found!r} is no link"


def foot(path):
    """The last cell leads to the notebook before and to the one after."""
    order = sorted(each.name for each in path.parent.glob("[0-9]*.ipynb"))
    place = order.index(path.name)
    wanted = [("previous", order[place - 1])] if place else []
    wanted += [("next", order[place + 1])] if place + 1 < len(order) else []
    last = cells_of(path)[-1]
    text = source_of(last) if last["cell_type"] == "markdown" else ""
    found = re.findall(r"(previous|next): \[[^]]+\]\(([^)]+)\)", text)
    if found != wanted:
        yield "the last cell must be " + " · ".join(f"{word}: [..]({name})" for word, name in wanted)


def predictions(path):
    """Every prediction comes out, once and later, and has the next number."""
    steps, number = [], path.name[:2]
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            steps += re.findall(r"course\.(predict|outcome)\(\s*[\"']([^\"']*)[\"']", source_of(cell))
    asked = [name for step, name in steps if step == "predict"]
    if asked != [f"{number}-{count + 1}" for count in range(len(asked))]:
        yield f"predictions are numbered {', '.join(asked)}"
    for name in dict.fromkeys(name for _, name in steps):
        if (each := [step for step, other in steps if other == name]) != ["predict", "outcome"]:
            yield f"prediction {name} has the steps {', '.join(each)}"


def figures(path):
    """Figures are numbered in order, and wide enough to be seen from the back row."""
    numbers = [texts[0] if texts else "?" for texts in calls(path, "figure")]
    if numbers != [f"{path.name[:2]}-{count + 1}" for count in range(len(numbers))]:
        yield f"figures are numbered {', '.join(numbers)}"
    for cell in cells_of(path):
        if "course.figure(" in source_of(cell):
            for width in widths(cell):
                if width < LEAST_WIDTH:
                    yield f"a figure is {width:.0f} pixels wide on the page: {source_of(cell)[:60]!r}"


def alternatives(path):
    """Every picture has words for those who cannot see it: ``course.figure`` keeps them beside the picture."""
    for place, cell in enumerate(cells_of(path)):
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/") and not output.get("metadata", {}).get(kind, {}).get("alt", "").strip():
                    yield f"the picture of cell {place} has no alternative text: {source_of(cell)[:60]!r}"


def widths(cell):
    """How wide the pictures of a cell are on the page: a retina picture has more pixels than that."""
    import base64
    from io import BytesIO

    from PIL import Image

    for output in cell.get("outputs", []):
        for kind in ("image/png", "image/jpeg"):
            if kind in output.get("data", {}):
                file = base64.b64decode("".join(output["data"][kind]))
                told = output.get("metadata", {}).get(kind, {})
                yield told.get("width") or Image.open(BytesIO(file)).width


def keys(path):
    """Whoever grades has an answer to every warm-up and every open exercise."""
    kinds = EXERCISE.findall(prose(path))
    page = path.parent / "solutions" / f"{path.stem}.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    parts = re.split(r"^## +((?:Warm-up|Open) \d+).*$", text, flags=re.M)
    answers = {heading: part.strip() for heading, part in zip(parts[1::2], parts[2::2], strict=True)}
    wanted = [f"{kind} {count + 1}" for kind in ("Warm-up", "Open") for count in range(kinds.count(kind))]
    for missing in (name for name in wanted if not answers.get(name)):
        yield f"solutions/{page.name} has no key for {missing}"
    for left in answers.keys() - wanted:
        yield f"solutions/{page.name} has a key for {left}, which the notebook does not have"


def links(path):
    """Every link within the course leads to a file that is there, and to a heading or line in it."""
    found = [target for _, target in LINK.findall(prose(path))]
    found += re.findall(r"\b(?:src|href)=\"([^\"]+)\"", prose(path))
    for target in found:
        if re.match(r"[a-z]+:", target):  # on the web
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file) if file else path
        if not there.exists():
            yield f"{target} leads nowhere"
        elif anchor and not leads_to(there, anchor):
            yield f"{target}: {there.name} has no such heading or line"


def leads_to(path, anchor):
    """Whether a page or notebook has this heading, or a source file this line."""
    if line := re.fullmatch(r"L(\d+)(?:-L(\d+))?", anchor):
        return int(line[2] or line[1]) <= path.read_text(encoding="utf-8").count("\n")
    if path.suffix not in (".md", ".ipynb"):
        return False
    raw = markdown(path)
    return slug(anchor) in {slug(heading) for heading in re.findall(r"^#+ +(.*?) *#*$", raw, flags=re.M)}


def slug(heading):
    """A heading as GitHub and JupyterLab name it, in lower case."""
    words = LINK.sub(r"\1", unicodedata.normalize("NFC", heading)).lower()
    return re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")


RULES = (load, booleans, mentions, foot, predictions, figures, alternatives, keys, links)
