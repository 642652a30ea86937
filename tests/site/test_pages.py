"""A small site, built with the extensions of the large one: where links lead, what formulas and pictures become."""

import io
import re
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("myst_nb", reason="MyST-NB comes with pip install -e '.[site]' -c constraints.txt")
pytest.importorskip("latex2mathml", reason="latex2mathml comes with the extra site")

ROOT = Path(__file__).parent.parent.parent
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
PAGE = """# Page

[a table](figures/demo.csv), [a folder](reid_lab/models/starts), [the front](README.md), [a part](RESULTS.md#a-part),
[a file of the package](reid_lab/losses.py), $\\delta(P)$, `losses.identification(logits, pids)` and `losses.nothing`.

$$a - b$$
"""


BAD = ("figures/gone.csv", "GONE.md", "RESULTS.md#no-part", "#nowhere")


def notebook():
    says = nbformat.v4.new_output("display_data", {"text/markdown": "**Figure 04-1.** Two `boxes`."})
    picture = nbformat.v4.new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": {"width": 7}})
    cell = nbformat.v4.new_code_cell("draw()", outputs=[picture, says], execution_count=1)
    language = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Notebook"), cell], metadata=language)


def build(folder, text):
    """The small site with one page's text; gives its folder and the warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    pages = folder / "pages"
    (pages / "api").mkdir(parents=True)
    (pages / "page.md").write_text(text, encoding="utf-8")
    (pages / "RESULTS.md").write_text("# Results\n\n## A part\n", encoding="utf-8")
    contents = "\n".join(["# Front", "", "```{toctree}", "page", "RESULTS", "note", "api/losses", "```", ""])
    (pages / "index.md").write_text(contents, encoding="utf-8")
    reference = "losses\n======\n\n.. py:module:: reid_lab.losses\n\n.. py:function:: identification(logits)\n"
    (pages / "api" / "losses.rst").write_text(reference, encoding="utf-8")
    nbformat.write(notebook(), pages / "note.ipynb")
    settings = {"extensions": ["myst_nb", "formulas", "links", "names"], "nb_execution_mode": "off"}
    settings |= {"html_math_renderer": "mathml", "myst_enable_extensions": ["dollarmath"], "html_theme": "basic"}
    settings |= {"myst_heading_anchors": 2, "nb_render_markdown_format": "myst"}
    warnings = io.StringIO()
    with docutils_namespace(), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "site")
        for name in ("links", "names", "formulas"):
            patch.delitem(sys.modules, name, raising=False)
        folders = (pages, None, folder / "site", folder / "cache", "html")
        Sphinx(*folders, confoverrides=settings, status=None, warning=warnings).build()
    return folder / "site", warnings.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of PAGE."""
    folder, warnings = build(tmp_path_factory.mktemp("site"), PAGE)
    assert not warnings
    return folder


def links(page):
    return dict(re.findall(r'<a class="[^"]*" href="([^"]*)">(?:<[^>]*>)*([^<]*)', page.read_text(encoding="utf-8")))


def test_links_of_the_repository_lead_to_the_same_things_on_the_site(site):
    found = {words: address for address, words in links(site / "page.html").items()}
    assert found["a table"] == "_files/figures/demo.csv"
    assert (site / "_files/figures/demo.csv").read_bytes() == (ROOT / "figures/demo.csv").read_bytes()
    assert found["the front"] == "index.html" and found["a part"] == "RESULTS.html#a-part"
    assert found["a file of the package"] == "api/losses.html#module-reid_lab.losses"
    assert "a folder" not in found and "a folder" in (site / "page.html").read_text(encoding="utf-8")
    assert found["losses.identification(logits,"] == "api/losses.html#reid_lab.losses.identification"
    assert not any("nothing" in words for words in found)


def test_with_an_address_of_the_repository_what_has_no_page_leads_there(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_REPOSITORY", "https://host.example/lab/")
    monkeypatch.setenv("REID_LAB_BRANCH", "trunk")
    folder, warnings = build(tmp_path, PAGE)
    found = {words: address for address, words in links(folder / "page.html").items()}
    assert not warnings and found["a part"] == "RESULTS.html#a-part"
    assert found["a table"] == "https://host.example/lab/blob/trunk/figures/demo.csv"
    assert found["a folder"] == "https://host.example/lab/tree/trunk/reid_lab/models/starts"


def test_each_link_that_leads_nowhere_is_a_warning(tmp_path):
    warnings = build(tmp_path, "# Page\n\n" + ", ".join(f"[x]({target})" for target in BAD))[1]
    assert warnings.count("WARNING") == len(BAD)
    assert all(target.split("#")[-1] in warnings for target in BAD)


def test_a_formula_is_written_as_mathml_and_its_font_comes_along(site):
    page = (site / "page.html").read_text(encoding="utf-8")
    assert page.count("<math ") == 2 and 'display="block"' in page and not re.search("<script[^>]*mathjax", page, re.I)
    assert (site / "_static" / "STIXTwoMath.woff").read_bytes().startswith(b"wOFF")


def test_a_picture_of_a_notebook_has_its_sentence_as_alternative_text(site):
    (picture,) = re.findall("<img [^>]*>", (site / "note.html").read_text(encoding="utf-8"))
    assert 'alt="Figure 04-1. Two boxes."' in picture and 'width="7"' in picture
