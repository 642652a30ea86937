"""Looks up every link, anchor, picture, style and script of a built site; nothing may come from elsewhere."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {  # what a browser loads by itself: the element and its attribute
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("embed", "src"),
    ("object", "data"),
}
ELSEWHERE = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//")


class Page(HTMLParser):
    """The anchors and links of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what an element names, links to and loads."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name, value in values.items():
            if (tag, name) in LOADED or (tag == "link" and name == "href" and _is_loaded(values)):
                self.loaded.append(value)
            elif name == "href":
                self.links.append(value)


def _is_loaded(values: dict[str, str]) -> bool:
    return bool({"stylesheet", "icon", "preload", "modulepreload", "preconnect"} & set(values.get("rel", "").split()))


def faults(site: Path) -> list[str]:
    """Find what is wrong in a built site.

    Args:
        site: The folder that holds ``index.html``.

    Returns:
        A sentence for each link or file that is missing or that comes from elsewhere.
    """
    files = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]  # there a theme keeps parts
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in files}
    found = [] if site / "index.html" in pages else [f"{site} has no index.html."]
    for path, page in pages.items():
        found += [f"{path.relative_to(site)}: {fault}" for fault in _page_faults(site, path, page, pages)]
    for path in sorted(site.rglob("*.css")):
        if ELSEWHERE.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)}: it loads a file from elsewhere.")
    return found


def _page_faults(site: Path, path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    for address in dict.fromkeys(page.loaded):
        if address.startswith("data:"):
            continue
        if urlsplit(address).netloc:
            yield f"{address} is loaded from elsewhere."
        elif _target(site, path, address) is None:
            yield f"the file {address} is missing."
    for address in dict.fromkeys(page.links):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = _target(site, path, address)
        if target is None:
            yield f"{address} leads nowhere."
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{address} names an anchor that is missing."


def _target(site: Path, path: Path, address: str) -> Path | None:
    """The file of an address, if it is there and inside the site."""
    parts = urlsplit(address)
    if not parts.path:
        return path
    target = (path.parent / unquote(parts.path)).resolve()
    target = target / "index.html" if target.is_dir() else target
    return target if target.is_file() and target.is_relative_to(site.resolve()) else None
