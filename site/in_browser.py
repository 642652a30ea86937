"""Opens the built site in Chromium and looks at its pages: ``python site/in_browser.py [PAGE ...]``.

The site is served below a path, as on a server that has other sites, too. Every page must load without an error and
load nothing from elsewhere. The pages of the course are looked at wide and narrow, in light and in dark: pictures and
formulas must be drawn, text must stand out from its ground, and the page must not scroll sideways. The pages of the
reference and of source are made by one template each, so few of them are looked at. The search must find a word.
A page that cannot be opened is a fault like others: the next page follows. Leaves screenshots of some pages in
``runs/browser/site``.
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
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from reid_lab.runtime.files import runs_folder  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BELOW = "/sub/path"
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}
WAYS = {f"{name}-{scheme}": (size, scheme) for name, size in SIZES.items() for scheme in ("light", "dark")}
SHOWN = ("index", "notebooks/04_residual_pooling", "api/retrieval", "RESULTS", "GLOSSARY")
ALIKE = ("api/", "_modules/", "genindex", "py-modindex", "search")  # they are opened once, and not looked at
LOOKED = ("api/index", "api/commands", "api/retrieval", "_modules/reid_lab/losses")  # but these are
WORD = "junk"
SECONDS = 120  # for one page, on a machine that has other work
FOLLOWED = "scheme => document.documentElement.dataset.theme === scheme"
CONTRAST = 4.5  # of text, as WCAG 2.2 asks for (1.4.3)
LOOK = """async () => {
    await new Promise(requestAnimationFrame);  // the page has taken notice of its new size and scheme
    const seen = box => box.width > 0 && box.height > 0;
    const light = colour => {
        const most = colour.startsWith("rgb") ? 255 : 1;
        const parts = colour.match(/[\\d.]+/g).map(Number).slice(0, 3).map(v => v / most)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const grounds = new Map([[null, "rgb(255, 255, 255)"]]);
    const ground = one => {
        if (!grounds.has(one)) {
            const colour = getComputedStyle(one).backgroundColor;
            grounds.set(one, /rgba\\(.*, 0\\)|transparent/.test(colour) ? ground(one.parentElement) : colour);
        }
        return grounds.get(one);
    };
    const contrast = one => {
        const both = [light(getComputedStyle(one).color), light(ground(one))];
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    };
    const article = document.querySelector("article") ?? document.querySelector("main") ?? document.body;
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
        wide: [...article.querySelectorAll("*")].filter(one =>
            one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .map(one => `${one.tagName.toLowerCase()}.${one.className}`).slice(0, 3),
        pale: [...new Set(pale)].slice(0, 5),
        scheme: document.documentElement.dataset.theme,
    };
}""".replace("LEAST", str(CONTRAST))
STILL = "*, ::before, ::after { transition: none !important; animation: none !important }"  # colours are read at once


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


def open_page(window: Any, address: str, wrong: list[str]) -> Any:
    """An empty page, which notes in ``wrong`` what fails and what is asked elsewhere."""
    page = window.new_context().new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if _is_fault(said) else None)
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("requestfailed", lambda asked: None if _left(asked) else wrong.append(f"not loaded: {asked.url}"))
    page.on("response", lambda got: wrong.append(f"status {got.status}: {got.url}") if got.status >= 400 else None)
    page.on("request", lambda asked: None if _own(asked.url, address) else wrong.append(f"elsewhere: {asked.url}"))
    return page


def _left(asked: Any) -> bool:
    """Whether the browser gave a request up itself, since it went on to the next page."""
    return asked.failure == "net::ERR_ABORTED"


def _is_fault(said: Any) -> bool:
    """Whether the console tells an error; of what could not be loaded, the answer's status says more."""
    return said.type == "error" and "Failed to load resource" not in said.text


def _own(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", "data:", "blob:"))


def look(page: Any, way: str) -> list[str]:
    """Look at the open page in one size and colour scheme; returns a sentence for everything that is wrong."""
    from playwright.sync_api import TimeoutError as TooLate

    size, scheme = WAYS[way]
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    with contextlib.suppress(TooLate):  # the theme follows a moment later; if it does not, it is told below
        page.wait_for_function(FOLLOWED, arg=scheme, timeout=5000)
    seen = page.evaluate(LOOK)
    wrong = [f"pictures that are not drawn: {seen['pictures']}"] if seen["pictures"] else []
    wrong += [f"pictures without alternative text: {seen['nameless']}"] if seen["nameless"] else []
    wrong += [f"formulas that are not drawn: {seen['formulas']}"] if seen["formulas"] else []
    wrong += [f"formulas that are not typeset: {seen['unread']}"] if seen["unread"] else []
    wrong += [f"text that is hard to read: {each}" for each in seen["pale"]]
    if seen["sideways"] > 0:
        wrong.append(f"the page scrolls sideways by {seen['sideways']} pixels: {', '.join(seen['wide'])}")
    if seen["scheme"] != scheme:
        wrong.append(f"the page is {seen['scheme']} where the computer's colour scheme is {scheme}")
    return [f"{way}: {each}" for each in wrong]


def visit(page: Any, address: str, name: str, pictures: Path) -> list[str]:
    """Open a page, and look at it if it is to be looked at; returns a sentence for everything that is wrong."""
    page.goto(f"{address}/{name}.html", wait_until="load")
    if name.startswith(ALIKE) and name not in LOOKED:
        return []
    page.add_style_tag(content=STILL)
    page.evaluate("() => document.querySelectorAll('img[loading=lazy]').forEach(one => one.loading = 'eager')")
    page.wait_for_function("() => [...document.images].every(one => one.complete)")
    page.evaluate("() => document.fonts.ready.then(() => null)")
    wrong = []
    for way in WAYS:
        wrong += look(page, way)
        if name in SHOWN:
            page.screenshot(path=pictures / f"{name.replace('/', '-')}-{way}.png")
    return wrong


def search(page: Any, address: str, pictures: Path) -> list[str]:
    """Search for a word; returns what is wrong with what is found."""
    from playwright.sync_api import TimeoutError as TooLate

    page.goto(f"{address}/search.html?q={WORD}", wait_until="load")
    page.wait_for_selector("#search-results ul.search li .context")  # an excerpt: by then all links are there
    page.add_style_tag(content=STILL)
    wanted = ("GLOSSARY.html", "notebooks/02_metrics.html", "api/data.html")
    for name in wanted:
        with contextlib.suppress(TooLate):  # what was found is listed one by one; what is missing is told below
            page.wait_for_selector(f'#search-results li > a[href*="{name}"]', timeout=10_000)
    found = page.eval_on_selector_all("#search-results ul.search > li > a", "all => all.map(one => one.href)")
    wrong = [
        f"the search for {WORD} does not find {name}" for name in wanted if not any(name in each for each in found)
    ]
    for way in WAYS:
        wrong += look(page, way)
        page.screenshot(path=pictures / f"search-{way}.png")
    return wrong


def chosen(site: Path, names: list[str]) -> list[str]:
    """The pages to visit: those that were asked for, else all, those that are looked at first."""
    every = sorted(path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html"))
    every = [page for page in every if not page.startswith("_static/")]  # there a theme keeps parts of pages
    return names or sorted(every, key=lambda page: page.startswith(ALIKE) and page not in LOOKED)


def visit_all(site: Path, names: list[str], browser: str) -> list[str]:
    """Visit the pages, and print a line for each that is not well.

    Args:
        site: The folder that holds ``index.html``.
        names: The pages, such as ``notebooks/02_metrics``; none: all, and the search.
        browser: The path of Chromium.

    Returns:
        The names of the pages that are not well.
    """
    from playwright.sync_api import Error, sync_playwright

    pictures = runs_folder() / "browser" / "site"
    pictures.mkdir(parents=True, exist_ok=True)
    flags = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    bad: list[str] = []
    wrong: list[str] = []
    visits = {name: functools.partial(visit, name=name, pictures=pictures) for name in chosen(site, names)}
    visits |= {} if names else {f"search for {WORD}": functools.partial(search, pictures=pictures)}
    with server(site) as address, sync_playwright() as play:
        window = play.chromium.launch(executable_path=browser, args=flags)
        page = open_page(window, address, wrong)
        for name, call in visits.items():
            try:
                wrong += call(page, address)
            except Error as error:
                wrong.append(str(error).split("\n")[0])
                if window.is_connected():
                    page.context.close()
                    page = open_page(window, address, wrong)
            if wrong:
                bad.append(name)
                print(*(f"{name}: {each}." for each in dict.fromkeys(wrong)), sep="\n", flush=True)
                wrong.clear()
        window.close()
    print(f"Pages: {len(visits)}, not well: {len(bad)} ({', '.join(bad) or 'none'}); screenshots are in {pictures}.")
    return bad


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
        return 1 if visit_all(site, names, browser) else 0
    except ImportError as error:
        print(f"{error} (Playwright comes with `pip install -e '.[browser]'`.)")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
