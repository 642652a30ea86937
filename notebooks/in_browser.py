"""Open the notebooks in JupyterLab, in a browser, and run them: ``python notebooks/in_browser.py [NOTEBOOK ...]``.

What ``pytest --nbval`` cannot see: that the page itself works. Copies of the notebooks, emptied of their outputs, are
opened in Chromium one after another, run by *Run > Run All Cells* and saved; every cell must have run without an
error, every picture and formula must be drawn, and a control that is moved must change what stands above it. Leaves a
screenshot of each notebook in ``runs/browser``. Settings are those under which the tests compare outputs.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import conftest  # noqa: F401 (sets the environment of the kernels)
import nbformat

from reid_lab.runtime.errors import ReidLabError
from reid_lab.runtime.files import runs_folder, write_whole

os.environ.pop("REID_LAB_STATIC")  # here predictions are clicked on
HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MINUTES = 15  # for one notebook: some train when they are run for the first time
BASE = "/user/anna/"  # below the server's own address, as JupyterHub serves it: an absolute link would lead astray
WINDOW = {"width": 1280, "height": 1500}
SETTINGS = {  # no questions about news, and every output in the page, not only what is in view
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
}
# The notebook on the page, as JupyterLab holds it.
CELLS = "jupyterapp.shell.currentWidget.content.widgets.map(w => w.model).filter(m => m.type === 'code')"
READY = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
STARTED = f"() => {CELLS}.some(cell => cell.executionState === 'running' || cell.executionCount)"
FINISHED = f"() => {CELLS}.every(cell => cell.executionState !== 'running')"
SAVED = "() => !jupyterapp.shell.currentWidget.context.model.dirty"
# What a control's cell shows beside the control itself.
SHOWN = """cell => [...cell.querySelectorAll('.jp-OutputArea-output img, .jp-RenderedText, .jp-RenderedHTMLCommon')]
                   .concat([...cell.querySelectorAll('.widget-vbox > .widget-label')])
                   .map(part => part.src || part.innerText).join()"""
CONTROLS = ".jp-Notebook .jp-CodeCell:has(.noUi-handle, .widget-dropdown select, .widget-radio)"


@contextlib.contextmanager
def server(root: Path):
    """JupyterLab on a free port, for the folder ``root / "notebooks"``; gives its address and ends with the block."""
    for name, values in SETTINGS.items():
        path = root / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    own |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    token = secrets.token_hex()
    environment = {**os.environ, **{name: str(root / folder) for name, folder in own.items()}, "JUPYTER_TOKEN": token}
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.base_url={BASE}",
    ]
    command += ["--LabApp.expose_app_in_browser=True", "--allow-root", f"--notebook-dir={root / 'notebooks'}"]
    with open(root / "server.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _answers(process, f"http://127.0.0.1:{port}{BASE}api", root / "server.log")
        yield f"http://127.0.0.1:{port}{BASE}lab/tree/{{}}?reset&token={token}"
    finally:
        _end(process)


def _answers(process: subprocess.Popen, address: str, log: Path) -> None:
    for _ in range(240):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        if process.poll() is not None:
            break
        time.sleep(0.5)
    raise ReidLabError("JupyterLab did not start; its last words: " + log.read_text(errors="replace")[-500:].strip())


def _end(process: subprocess.Popen) -> None:
    """First by asking, so that it ends its kernels; they also end by themselves when it is gone."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def emptied(path: Path, folder: Path) -> Path:
    """A copy of a notebook in ``folder`` without outputs and counts: whatever is there later was made there."""
    if not path.is_file():
        raise ReidLabError(f"There is no notebook {path}: give paths such as notebooks/02_metrics.ipynb.")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / path.name)
    return folder / path.name


def visit(page, address: str, copy: Path, picture: Path) -> tuple[str, list[str]]:
    """Run one notebook in the page; returns what was seen, and a sentence for everything that is wrong."""
    page.goto(address.format(copy.name))
    page.wait_for_function(READY, timeout=120_000)
    page.click('.lm-MenuBar-itemLabel:text-is("Run")')
    page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
    page.wait_for_function(STARTED, timeout=60_000)
    page.wait_for_function(FINISHED, timeout=MINUTES * 60_000, polling=500)
    moved, wrong = move(page)
    page.wait_for_timeout(1000)  # for the last formula and picture
    wrong += look(page)
    write_whole(picture, lambda part: part.write_bytes(_shot(page)))
    page.keyboard.press("Control+s")
    page.wait_for_function(SAVED, timeout=60_000)
    cells = [cell for cell in nbformat.read(copy, as_version=4).cells if cell.cell_type == "code"]
    drawn = sum(kind.startswith("image/") for c in cells for o in c.outputs for kind in o.get("data", {}))
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    return f"cells: {len(cells)}, pictures: {drawn}, controls moved: {moved}", wrong + faults(cells)


def faults(cells: list) -> list[str]:
    """What is wrong in the cells of a saved notebook."""
    found = []
    for place, cell in enumerate(cells, start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"code cell {place} ends with {output.ename}: {output.evalue}")
        if cell.execution_count is None:
            found.append(f"code cell {place} was not run")
    return found


def look(page) -> list[str]:
    """What is wrong on the page: pictures that are not drawn, formulas that cannot be read."""
    broken = page.eval_on_selector_all(".jp-Notebook img", "all => all.filter(one => !one.naturalWidth).length")
    unread = page.locator(".jp-Notebook :is(mjx-merror, .MathJax_Error)").count()
    left = page.eval_on_selector_all(
        ".jp-Notebook .jp-RenderedMarkdown",
        "all => all.filter(one => !one.querySelector('code') && /\\$[^$]+\\$/.test(one.innerText)).length",
    )
    wrong = [f"pictures that are not drawn: {broken}"] if broken else []
    return wrong + ([f"formulas that are not typeset: {unread + left}"] if unread + left else [])


def move(page) -> tuple[int, list[str]]:
    """Move the first control of each cell that has one; returns how many, and a sentence for each without effect."""
    cells, wrong = page.locator(CONTROLS), []
    for place in range(cells.count()):
        cell = cells.nth(place)
        before = cell.evaluate(SHOWN)
        handle = cell.locator(".noUi-handle")
        if handle.count():
            handle.first.focus()
            handle.first.press("ArrowRight")
        elif cell.locator(".widget-radio").count():
            cell.locator(".widget-radio input:not(:checked)").first.check()
        else:
            chosen = cell.locator(".widget-dropdown select").first
            chosen.select_option(
                index=(chosen.evaluate("one => one.selectedIndex") + 1) % chosen.locator("option").count()
            )
        if not _changes(page, cell, before):
            wrong.append(f"control {place + 1} was moved and its cell shows the same as before")
    return cells.count(), wrong


def _changes(page, cell, before: str) -> bool:
    for _ in range(60):
        page.wait_for_timeout(500)
        if cell.evaluate(SHOWN) != before:
            return True
    return False


def _shot(page) -> bytes:
    """The window at the first control, else at the first picture, else at the first output."""
    for selector in (CONTROLS, ".jp-OutputArea-output img", ".jp-OutputArea-output"):
        if page.locator(selector).count():
            page.locator(selector).first.evaluate("one => one.scrollIntoView({block: 'center'})")
            break
    page.wait_for_timeout(500)
    return page.screenshot()


def visit_all(paths: list[Path], browser: str) -> bool:
    """Visit the notebooks, print a line for each; returns whether all is well."""
    from playwright.sync_api import Error, sync_playwright

    well = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root, sync_playwright() as play:
        shutil.copytree(HERE, Path(root) / "notebooks", ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
        shutil.copytree(HERE.parent / "benchmarks" / "results", Path(root) / "benchmarks" / "results")
        flags = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        window = play.chromium.launch(executable_path=browser, args=flags)
        with server(Path(root)) as address:
            for path in paths:
                start, page = time.perf_counter(), window.new_page(viewport=WINDOW)
                copy, picture = emptied(path, Path(root) / "notebooks"), runs_folder() / "browser" / f"{path.stem}.png"
                try:
                    seen, wrong = visit(page, address, copy, picture)
                except Error as error:
                    seen, wrong = "not finished", [str(error).split("\n")[0]]
                    write_whole(picture, lambda part, page=page: part.write_bytes(page.screenshot()))
                page.close()
                well = well and not wrong
                print(
                    f"{path.stem}: {time.perf_counter() - start:.0f} s, {seen}; {'; '.join(wrong) or 'all well'}.",
                    flush=True,
                )
        window.close()
    return well


def main(names: list[str]) -> int:
    """0 where all is well or there is no browser, 1 where something is wrong."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"Skipped: the notebooks were not opened, because no browser ({', '.join(BROWSERS)}) is on PATH.")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with this script
    paths = [Path(name) for name in names] or sorted(HERE.glob("[0-9]*.ipynb"))
    try:
        return 0 if visit_all(paths, browser) else 1
    except (ReidLabError, ImportError) as error:
        print(
            f"{error} (Playwright comes with `pip install -e '.[browser]'`.)"
            if isinstance(error, ImportError)
            else error
        )
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
