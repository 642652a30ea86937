"""The site of the course, without building it; ``make site`` itself looks up every link of what it made."""

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from reid_lab.losses import Losses

ROOT = Path(__file__).parent.parent.parent


def load(name):
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


staging, check = load("staging"), load("check")


def test_every_notebook_is_listed_once_in_its_order():
    listed = [name for names in staging.parts().values() for name in names]
    assert listed == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert all(staging.parts().values()), "a part of README.md's table has no notebook"


def test_a_notebook_that_the_readme_does_not_list_joins_the_part_of_the_one_before(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for name in ("00_one", "01_two", "02_new", "03_three"):
        (tmp_path / "notebooks" / f"{name}.ipynb").touch()
    rows = "| I. First | [00](notebooks/00_one.ipynb): a · [01](notebooks/01_two.ipynb) |\n"
    rows += "| II. Second | [03](notebooks/03_three.ipynb): b |\n"
    (tmp_path / "README.md").write_text(rows, encoding="utf-8")
    monkeypatch.setattr(staging, "ROOT", tmp_path)
    assert staging.parts() == {"I. First": ["00_one", "01_two", "02_new"], "II. Second": ["03_three"]}


def test_the_list_of_the_course_has_the_titles_of_the_notebooks():
    page = staging.course()
    for notebook in staging.notebooks():
        first = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]).splitlines()[0]
        assert f"{notebook.stem[:2]} {first[2:]} <{notebook.stem}>" in page.splitlines()


def test_every_page_of_the_repository_is_on_the_site():
    written = {path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/README.md")]}
    assert written == {*staging.TOP, *staging.INNER, "README.md"}
    contents = (ROOT / "site" / "pages" / "front.md").read_text(encoding="utf-8") + staging.course()
    contents += (ROOT / "site" / "pages" / "api.md").read_text(encoding="utf-8")
    for page in written - {"README.md"}:
        assert page.removesuffix(".md") in contents, f"{page} is in no table of contents"


def test_the_front_page_is_the_readme_with_ways_into_the_site():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    front = staging.front().splitlines()
    assert set(staging.FOREIGN.sub(r"\1", "\n".join(readme)).splitlines()) <= set(front)
    assert not re.search(r"!\[[^\]]*\]\(http", "\n".join(front)), "the front page loads a picture from elsewhere"
    assert any(line.startswith("[Open in Colab](https://") for line in front)
    assert front.count(":::{container} doors") == 1


def test_every_room_has_a_page_of_reference():
    folder = ROOT / "reid_lab"
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    rooms |= {path.stem for path in folder.glob("[a-z]*.py")}
    assert rooms - {"cli"} == set(staging.ROOMS)  # the command line has a page of another kind


def test_the_page_of_a_room_has_all_its_modules_and_what_it_gives():
    page = staging.reference("papers").splitlines()
    files = {path.stem for path in (ROOT / "reid_lab" / "papers").glob("[a-z]*.py")}
    assert {f".. automodule:: reid_lab.papers.{name}" for name in files} <= set(page)
    assert "   ~reid_lab.papers.tables.table" in page or any(line.startswith("   ~reid_lab.papers.") for line in page)


def test_the_page_of_commands_has_the_help_of_each():
    page = staging.commands()
    for name in ("demo", "train", "ablate", "runs delete", "leaderboard"):
        assert f"\n## reid-lab {name}\n" in page and f"Usage: reid-lab {name} " in page


def test_pages_are_gathered_anew_and_what_is_no_page_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "ROOMS", ("papers",))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "99_gone.ipynb").touch()
    (tmp_path / "RESULTS.md").write_text("old", encoding="utf-8")
    staging.gather(tmp_path)
    assert not (tmp_path / "notebooks" / "99_gone.ipynb").exists()
    assert (tmp_path / "RESULTS.md").read_text(encoding="utf-8") == (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "gallery.jpg").exists() and (tmp_path / "index.md").exists()


# The checker of a built site.

GOOD = '<html><head><link rel="stylesheet" href="s.css"></head><body><h1 id="top">A</h1>{}</body></html>'
WRONG = {
    '<a href="gone.html">x</a>': "gone.html leads nowhere",
    '<a href="#gone">x</a>': "#gone names an anchor that is missing",
    '<a href="other.html#gone">x</a>': "other.html#gone names an anchor that is missing",
    '<a href="../outside.html">x</a>': "../outside.html leads nowhere",
    '<img src="gone.png">': "the file gone.png is missing",
    '<script src="https://cdn.example/a.js"></script>': "https://cdn.example/a.js is loaded from elsewhere",
    '<script src="//cdn.example/a.js"></script>': "//cdn.example/a.js is loaded from elsewhere",
    '<link rel="preload stylesheet" href="https://cdn.example/a.css">': "https://cdn.example/a.css is loaded from",
    '<img src="https://cdn.example/a.png">': "https://cdn.example/a.png is loaded from elsewhere",
}


def built(folder, body):
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text(GOOD.format(body), encoding="utf-8")
    (site / "other.html").write_text(GOOD.format('<p id="part">x</p>'), encoding="utf-8")
    (site / "s.css").write_text("@font-face { src: url('a.woff') }", encoding="utf-8")
    (folder / "outside.html").touch()
    return site


def test_a_site_whose_links_lead_somewhere_is_well(tmp_path):
    links = '<a href="other.html#part">x</a><a href="#top">x</a><a href="https://elsewhere.example/#x">x</a>'
    links += '<a href="mailto:a@b.example">x</a><img src="data:image/png;base64,AA==">'
    assert check.faults(built(tmp_path, links)) == []


@pytest.mark.parametrize("body", WRONG)
def test_a_fault_of_a_site_is_named(tmp_path, body):
    (fault,) = check.faults(built(tmp_path, body))
    assert fault.startswith("index.html: ") and WRONG[body] in fault


@pytest.mark.parametrize("rule", ["@import 'https://cdn.example/a.css';", "a { background: url(//cdn.example/a.png) }"])
def test_a_style_that_loads_from_elsewhere_is_named(tmp_path, rule):
    site = built(tmp_path, "")
    (site / "s.css").write_text(rule, encoding="utf-8")
    assert check.faults(site) == ["s.css: it loads a file from elsewhere."]


def test_a_folder_without_a_site_is_named(tmp_path):
    assert check.faults(tmp_path) == [f"{tmp_path} has no index.html."]


# The words and symbols.


def test_every_name_of_the_glossary_is_in_the_package():
    page = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:data|losses|methods|models|retrieval|training)\.[\w.]+)", page))
    assert len(names) > 15
    for name in names:
        thing = importlib.import_module("reid_lab")
        for part in name.split("."):
            try:
                thing = getattr(thing, part)
            except AttributeError:
                thing = importlib.import_module(f"{thing.__name__}.{part}")


# What needs Sphinx.


@pytest.fixture
def sphinx_file(monkeypatch):
    pytest.importorskip("sphinx", reason="Sphinx comes with pip install -e '.[site]' -c constraints.txt")
    pytest.importorskip("latex2mathml", reason="latex2mathml comes with the extra site")
    monkeypatch.setattr(sys, "path", [str(ROOT / "site"), *sys.path])
    return load


def test_a_formula_becomes_mathml_with_its_own_text(sphinx_file):
    made = sphinx_file("formulas").mathml(r"\delta(P_{max}) + 1", "block")
    assert made.startswith("<math ") and 'display="block"' in made
    assert r'alttext="\delta(P_{max}) + 1"' in made and "<msub>" in made


@pytest.mark.parametrize("latex, prefixes", [("a - b", 0), ("(-b)", 1), ("-b", 1), (r"\sum_i -p_i", 1), ("(a) - b", 0)])
def test_a_sign_stands_close_to_what_it_belongs_to(sphinx_file, latex, prefixes):
    assert sphinx_file("formulas").mathml(latex, "inline").count('form="prefix"') == prefixes


def test_the_name_of_a_function_stands_apart(sphinx_file):
    formulas = sphinx_file("formulas")
    assert formulas.mathml(r"\log p", "inline").count("mspace") == 1
    assert formulas.mathml("a p", "inline").count("mspace") == 0


def plain(docstrings, text):
    lines = text.split("\n")
    docstrings.plain(None, "module", "", None, None, lines)
    return "\n".join(lines)


def test_a_diagram_of_a_docstring_is_kept_and_marks_are_escaped(sphinx_file):
    docstrings = sphinx_file("docstrings")
    assert plain(docstrings, "A:\n\n    x -- |y| -- c_\n\n    z\n\nThe norm |a|, ``|b|``.") == (
        "A:\n\n::\n\n    x -- |y| -- c_\n\n    z\n\nThe norm \\|a\\|, ``|b|``."
    )
    columns = "A.\n\none    the first\nlonger two words\nthree  the third"
    assert plain(docstrings, columns).startswith("A.\n\n::\n\n    one    the first\n    longer two")
    sections = "A.\n\nArgs:\n    a: one.\n        more.\n    b: two.\n\nReturns:\n    c."
    assert plain(docstrings, sections) == sections


def test_a_recipe_shows_what_its_paper_says(sphinx_file):
    from reid_lab import methods

    docstrings, lines = sphinx_file("docstrings"), ["A recipe."]
    docstrings.numbers(None, "class", "", methods.ResidualPoolingRecipe, None, lines)
    assert "   * - margin" in lines and lines[lines.index("   * - margin") + 1 :][:2] == ["     - 0.3", "     - silent"]
    lines = ["Another class."]
    docstrings.numbers(None, "class", "", Losses, None, lines)
    assert lines == ["Another class."]


def test_a_short_name_is_found_where_it_is_defined(sphinx_file):
    names = sphinx_file("names")
    assert names._defined_as("reid_lab.data.csv") == "reid_lab.data.custom.table.csv"
    assert names._defined_as("reid_lab.training.Run.history") == "reid_lab.training.run.Run.history"
    assert names.CALL.fullmatch("losses.identification(logits, pids)")[1] == "losses.identification"
