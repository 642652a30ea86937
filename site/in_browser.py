"""Opens the built site in Chromium and looks at its pages: ``python site/in_browser.py [PAGE ...]``.

The site is served below a path, as on a server that has other sites, too. Every page is opened wide and dark, and
narrow and light. It must load without an error and load nothing from elsewhere; its pictures and formulas must be
drawn; its text must stand out from its ground; and narrow it must not scroll sideways. The search must find a word.
Leaves screenshots of some pages in ``runs/browser/site``.
"""

import contextlib
import functools
import http.server
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from reid_lab.runtime.files import runs_folder  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BELOW = "/sub/path"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WAYS = (("wide-light", WIDE), ("wide-dark", WIDE), ("narrow-light", NARROW), ("narrow-dark", NARROW))
CHECKED = ("wide-dark", "narrow-light")  # the other two are for screenshots alone
SHOWN = ("index", "notebooks/04_residual_pooling", "api/retrieval", "RESULTS", "GLOSSARY")
MODULES = 3  # of the pages with source, which are all alike
WORD = "junk"
MINUTES = 3  # for one page, on a machine that has other work
CONTRAST = 4.5  # of text, as WCAG 2.2 asks for (1.4.3)
LOOK = """() => {
    const seen = box => box.width > 0 && box.height > 0;
    const light = colour => {
        const parts = colour.match(/[\\d.]+/g).map(Number).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const ground = one => {
        for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const contrast = one => {
        const both = [light(getComputedStyle(one).color), light(ground(one))];
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    };
    const article = document.querySelector("article");
    const texts = [...article.querySelectorAll("p, li, td, th, h1, h2, h3, a, dt, pre span, code, mi, mo")]
        .filter(one => one.checkVisibility() && [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
    const pale = texts.map(one => [contrast(one), one]).filter(([value]) => value < LEAST)
        .map(([value, one]) => `${one.tagName.toLowerCase()}.${one.className} "${one.innerText?.slice(0, 20)}" ` +
            value.toFixed(1));
    const formulas = [...article.querySelectorAll("math")].filter(one => one.checkVisibility());
    return {
        pictures: [...article.querySelectorAll("img")].filter(one => one.checkVisibility() && !one.naturalWidth).length,
        nameless: [...article.querySelectorAll("img")].filter(one => !one.alt).length,
        formulas: formulas.filter(one => !seen(one.getBoundingClientRect()) || one.querySelector("merror")).length,
        unread: [...article.querySelectorAll("p, li, td")].filter(one => one.checkVisibility() &&
            !one.querySelector("code") && /\\$[^$]+\\$|\\\\(frac|sum|delta)/.test(one.innerText)).length,
        sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        wide: [...document.querySelectorAll("article *")].filter(one =>
            one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .map(one => `${one.tagName.toLowerCase()}.${one.className}`).slice(0, 3),
        pale: [...new Set(pale)].slice(0, 5),
    };
}""".replace("LEAST", str(CONTRAST))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site below ``BELOW`` and nothing elsewhere."""

    def translate_path(self, path: str) -> str:
        """The file of an address; one that is not there for an address outside."""
        if not path.startswith(f"{BELOW}/"):
            return str(Path(self.directory) / "outside of the site")
        return super().translate_path(path.removeprefix(BELOW))

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@contextlib.contextmanager
def server(site: Path) -> Iterator[str]:
    """Serve a folder on a free port; gives the address of its pages and ends with the block."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site))) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}{BELOW}"
        served.shutdown()


def open_page(browser: object, way: str, size: dict[str, int], wrong: list[str], address: str) -> object:
    """An empty page of one size and colour scheme, which notes in ``wrong`` what fails and what is asked elsewhere."""
    page = browser.new_context(viewport=size, color_scheme=way.split("-")[1]).new_page()
    page.set_default_timeout(MINUTES * 60_000)
    page.on(
        "console",
        lambda said: wrong.append(f"console: {said.text} ({said.location['url']})") if said.type == "error" else None,
    )
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("requestfailed", lambda asked: wrong.append(f"not loaded: {asked.url}"))
    page.on("request", lambda asked: None if _own(asked.url, address) else wrong.append(f"elsewhere: {asked.url}"))
    return page


def _own(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", "data:", "blob:"))


def visit(page: object, address: str, narrow: bool) -> list[str]:
    """Open a page; returns a sentence for everything that is wrong with it."""
    page.goto(address, wait_until="load")
    page.evaluate("() => document.querySelectorAll('img[loading=lazy]').forEach(one => one.loading = 'eager')")
    page.wait_for_function("() => [...document.images].every(one => one.complete)")
    page.evaluate("() => document.fonts.ready.then(() => null)")
    seen = page.evaluate(LOOK)
    wrong = [f"pictures that are not drawn: {seen['pictures']}"] if seen["pictures"] else []
    wrong += [f"pictures without alternative text: {seen['nameless']}"] if seen["nameless"] else []
    wrong += [f"formulas that are not drawn: {seen['formulas']}"] if seen["formulas"] else []
    wrong += [f"formulas that are not typeset: {seen['unread']}"] if seen["unread"] else []
    wrong += [f"text that is hard to read: {each}" for each in seen["pale"]]
    if narrow and seen["sideways"] > 0:
        wrong.append(f"the page scrolls sideways by {seen['sideways']} pixels: {', '.join(seen['wide'])}")
    return wrong


def search(page: object, address: str) -> list[str]:
    """Search for a word; returns what is wrong with what is found."""
    page.goto(f"{address}/search.html?q={WORD}")
    page.wait_for_selector("#search-results ul.search li a", timeout=60_000)
    page.wait_for_timeout(3000)  # for the excerpts
    found = page.eval_on_selector_all("#search-results ul.search > li > a", "all => all.map(one => one.href)")
    wanted = ("GLOSSARY.html", "notebooks/02_metrics.html", "api/data.html")
    return [f"the search for {WORD} does not find {name}" for name in wanted if not any(name in each for each in found)]


def chosen(site: Path, names: list[str]) -> list[str]:
    """The pages to visit: those that were asked for, else all, but few of those with source."""
    every = sorted(path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html"))
    every = [page for page in every if not page.startswith("_static/")]  # there a theme keeps parts of pages
    sources = [page for page in every if page.startswith("_modules/")][:MODULES]
    return names or [page for page in every if not page.startswith("_modules/")] + sources


def visit_all(site: Path, names: list[str], browser: str) -> bool:
    """Visit the pages, print a line for each that is not well; returns whether all is well."""
    from playwright.sync_api import sync_playwright

    pictures = runs_folder() / "browser" / "site"
    pictures.mkdir(parents=True, exist_ok=True)
    flags = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    count = bad = 0
    with server(site) as address, sync_playwright() as play:
        window = play.chromium.launch(executable_path=browser, args=flags)
        for way, size in WAYS:
            wrong: list[str] = []
            page = open_page(window, way, size, wrong, address)
            for name in [name for name in chosen(site, names) if way in CHECKED or name in SHOWN]:
                wrong += visit(page, f"{address}/{name}.html", size is NARROW)
                if name in SHOWN:
                    page.screenshot(path=pictures / f"{name.replace('/', '-')}-{way}.png")
                count, bad = count + 1, bad + bool(wrong)
                print(*(f"{name}, {way}: {each}." for each in wrong), sep="\n", end="\n" if wrong else "", flush=True)
                wrong.clear()
            wrong += search(page, address)
            page.screenshot(path=pictures / f"search-{way}.png")
            bad += bool(wrong)
            print(*(f"search, {way}: {each}." for each in wrong), sep="\n", end="\n" if wrong else "", flush=True)
            page.context.close()
        window.close()
    print(f"Visits: {count}, not well: {bad}; screenshots are in {pictures}.")
    return not bad


def main(names: list[str]) -> int:
    """0 where all is well or there is no browser, 1 where something is wrong."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    site = runs_folder() / "site" / "html"
    if not (site / "index.html").is_file():
        print(f"There is no site in {site}: build it with `python site/build.py`.")
        return 1
    if browser is None:
        print(f"Skipped: the site was not opened, because no browser ({', '.join(BROWSERS)}) is on PATH.")
        return 0
    try:
        return 0 if visit_all(site, names, browser) else 1
    except ImportError as error:
        print(f"{error} (Playwright comes with `pip install -e '.[browser]'`.)")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
