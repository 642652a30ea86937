"""What opens the site in a browser, on pages with one fault each: every fault is named, and the next page follows."""

import importlib.util
import shutil
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="Playwright comes with pip install -e '.[browser]' -c constraints.txt")

PATH = Path(__file__).parent.parent.parent / "site" / "in_browser.py"
PAGE = """<!DOCTYPE html><html lang="en"><head><link rel="icon" href="data:,"><title>A page</title>
<style>html {{ background: #fff; color: #222 }} html[data-theme=dark] {{ background: #111; color: #ddd }}</style>
<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.onchange = () => document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
dark.onchange();
</script></head><body><article><p>Text.</p>{}</article></body></html>"""
FAULTS = {
    "broken": (
        '<script>Object.defineProperty(document, "images", {get() { throw new Error("no list") }})</script>',
        "no list",
    ),
    "console": ('<script>console.error("oh no")</script>', "console: oh no."),
    "elsewhere": ('<img alt="x" src="http://127.0.0.1:9/a.png">', "elsewhere: http://127.0.0.1:9/a.png."),
    "formula": ("<p>The price $x$ of a letter.</p>", "wide-light: formulas that are not typeset: 1."),
    "missing": ('<img alt="x" src="gone.png">', "status 404: "),
    "nameless": ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">', "without alternative text: 1."),
    "pale": ('<p style="color: #999">Some words</p>', 'wide-light: text that is hard to read: p. "Some words" 2.8.'),
    "pale_dark": (
        '<p style="color: #333">Some words</p>',
        'narrow-dark: text that is hard to read: p. "Some words" 1.',
    ),
    "raised": ('<script>throw new Error("oh no")</script>', "script: oh no."),
    "stuck": ("<script>dark.onchange = null</script>", "where the computer's colour scheme is"),
    "wide": ('<p style="width: 500px">A</p>', "narrow-light: the page scrolls sideways by "),
}


@pytest.fixture(scope="module")
def browse():
    spec = importlib.util.spec_from_file_location("site_in_browser", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not any(map(shutil.which, module.BROWSERS)):
        pytest.skip("no Chromium is on PATH")
    return module


def built(folder, bodies):
    site = folder / "site" / "html"
    site.mkdir(parents=True)
    for name, body in bodies.items():
        (site / f"{name}.html").write_text(PAGE.format(body), encoding="utf-8")


def test_every_fault_is_named_and_the_next_page_follows(browse, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path))
    monkeypatch.setattr(browse, "SECONDS", 30)
    built(tmp_path, {"index": "", **{name: body for name, (body, _) in FAULTS.items()}})
    assert browse.main(["index", *FAULTS]) == 1
    lines = capsys.readouterr().out.splitlines()
    for name, (_, words) in FAULTS.items():
        assert any(line.startswith(f"{name}: ") and words in line for line in lines), (name, lines)
    assert not any(line.startswith("index: ") for line in lines), lines
    assert lines[-1].startswith(f"Pages: {1 + len(FAULTS)}, not well: {len(FAULTS)} ({', '.join(FAULTS)});")
    assert not any(line.startswith("wide: wide-") for line in lines), lines  # it has room there


def test_a_site_that_is_well_is_well_and_pictures_of_it_are_kept(browse, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path))
    built(tmp_path, {"index": "<h1>A</h1>", "GLOSSARY": ""})
    assert browse.main(["index", "GLOSSARY"]) == 0
    assert "Pages: 2, not well: 0 (none)" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "browser" / "site").iterdir()}
    assert names == {f"{page}-{way}.png" for page in ("index", "GLOSSARY") for way in browse.WAYS}
