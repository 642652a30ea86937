"""Formulas as MathML, made when the site is built: a page needs no script to show them.

Browsers set MathML in a font for mathematics. Few computers have one, so the site brings a part of STIX Two Math.
"""

from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from fontTools import subset
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
# Latin, Greek, arrows and operators, accents, and the letters of mathematics.
CHARACTERS = (
    *range(0x20, 0x400),
    *range(0x2000, 0x2400),
    *range(0x27C0, 0x27F0),
    *range(0x1D400, 0x1D800),
)
CLOSING = set(")]}|‖!")


def mathml(latex: str, display: str) -> str:
    """Make MathML of a formula.

    Args:
        latex: The formula.
        display: "inline" or "block".

    Returns:
        The element ``math``, with ``latex`` as its alternative text.
    """
    ElementTree.register_namespace("", NAMESPACE)
    formula = ElementTree.fromstring(convert(latex, display=display))
    formula.set("alttext", latex)
    for row in list(formula.iter(f"{{{NAMESPACE}}}mrow")):
        _space(row)
    return ElementTree.tostring(formula, encoding="unicode")


def _space(row: ElementTree.Element) -> None:
    """Set signs close to what they belong to, and names of functions apart from it."""
    children = list(row)
    for place, child in enumerate(children):
        before = children[place - 1] if place else None
        after = children[place + 1] if place + 1 < len(children) else None
        if child.text in ("−", "-") and (before is None or _is_operator(before)):
            child.set("form", "prefix")
        if child.tag.endswith("}mi") and len(child.text or "") > 1 and after is not None and after.text != "(":
            thin = ElementTree.Element(f"{{{NAMESPACE}}}mspace", width="0.167em")
            row.insert(list(row).index(child) + 1, thin)


def _is_operator(element: ElementTree.Element) -> bool:
    """Whether a sign behind this element belongs to what follows: it is an operator, a sum or an opening mark."""
    while len(element):
        element = element[0]
    return element.tag.endswith("}mo") and not set(element.text or ")") & CLOSING


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line."""
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula that has lines of its own; a wide one scrolls, also by keys."""
    formula = mathml(node.astext(), "block")
    translator.body.append(f'<div class="formula" tabindex="0" role="region" aria-label="Formula">{formula}</div>\n')
    raise nodes.SkipNode


def bring_font(app: Sphinx, error: Exception | None) -> None:
    """Put the font into the site, without the characters that no formula has."""
    target = Path(app.outdir) / "_static" / "STIXTwoMath.woff"
    if error or app.builder.format != "html" or target.exists():
        return
    import ziamath

    (source,) = (Path(ziamath.__file__).parent / "fonts").glob("STIXTwoMath*.ttf")
    options = subset.Options(flavor="woff", layout_features=["*"], notdef_outline=True)
    font = subset.load_font(str(source), options)
    part = subset.Subsetter(options)
    part.populate(unicodes=CHARACTERS)
    part.subset(font)
    subset.save_font(font, str(target), options)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", bring_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
