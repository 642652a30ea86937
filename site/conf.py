"""Sphinx's settings for the site of the course; ``build.py`` calls Sphinx, and gathers its pages first."""

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import reid_lab  # noqa: E402

project = "reid_lab"
author = "the authors of reid_lab"
project_copyright = author
version = release = reid_lab.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "formulas",
    "links",
    "names",
    "docstrings",
]
root_doc = "index"
exclude_patterns = ["README.md"]  # the front page is made of it
nitpicky = True
# Annotations name things of other packages, whose pages nothing is fetched from.
nitpick_ignore_regex = [
    ("py:(class|data|obj|exc)", r"(?!reid_lab\b|\.).*"),
    ("py:class", r"reid_lab\.(\w+\.)+(T|R|Choice|kept\.Value|pool\.Result|_\w+)"),  # types that stand for others
]

# Pages in Markdown, and notebooks with the outputs that they were saved with.
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_update_mathjax = False
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
html_math_renderer = "mathml"

# The reference, from docstrings.
default_role = "code"
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_mock_imports = ["gradio"]  # which the page to click on needs, and its description does not
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
python_display_short_literal_types = True
viewcode_line_numbers = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "reid_lab: a course on person re-identification"
html_short_title = "reid_lab"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/icon.svg"
html_context = {"default_mode": "auto"}
html_copy_source = True
html_show_sourcelink = True
html_sourcelink_suffix = ""
html_sidebars = {page: [] for page in ("index", "RESULTS", "TRAINING", "GLOSSARY", "CONTRIBUTING", "CHANGELOG")}
html_sidebars |= {"notebooks/README": [], "figures/README": []}  # only the course and the package have sections
html_theme_options = {
    "logo": {"text": "reid_lab"},
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_toc_level": 1,
    "secondary_sidebar_items": ["page-toc", "sourcelink"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "article_footer_items": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_exclude = ".linenos, .gp, .go"


def _offer_notebooks_only(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """The source of a notebook can be downloaded; that of a page that was made here helps nobody."""
    context["has_source"] = page.startswith("notebooks/") and page[len("notebooks/")].isdigit()


def setup(app: Sphinx) -> None:
    """Register what the settings cannot say."""
    app.connect("html-page-context", _offer_notebooks_only)
