"""Photograph the page of `reid-lab app` with two runs side by side: ``python figures/app_page.py RUN RUN``.

RUN is the folder of a trained run. Without any, both runs of the demonstration are taken, and trained where they are
not there. Needs Playwright (the extra `browser`), Gradio (`app`), and Chromium or Chrome on PATH. Leaves ``app.jpg``,
at most BYTES large.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from reid_lab import data, methods, training

HERE, BYTES, PORT = Path(__file__).parent, 150_000, 7899
QUERY = 3  # the index of the query that is clicked on, chosen because both kinds of frame are seen
WINDOW = {"width": 1280, "height": 1500}


def photograph(address: str, runs: list[Path]) -> bytes:
    """The page after one click on a query, as PNG."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as play:
        flags = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        window = play.chromium.launch(executable_path=browser, args=flags)
        page = window.new_page(viewport=WINDOW)
        page.set_default_timeout(600_000)
        page.goto(address)
        page.wait_for_function("document.querySelector('input[aria-label=\"Run A\"]')?.value")
        for label, run in zip(("Run A", "Run B, to compare"), runs, strict=True):
            page.get_by_role("combobox", name=label).click()
            page.get_by_role("option", name=run.name[-10:]).first.click()
        page.click("#open")
        page.wait_for_selector("#found-B button")
        page.locator("#queries button").nth(QUERY).click()
        page.wait_for_selector(f"#asked :text('query {QUERY + 1} of')")
        page.wait_for_timeout(3000)
        picture = page.screenshot()
        window.close()
    return picture


def demonstrated() -> list[Path]:
    """The runs of the demonstration."""
    recipes = methods.residual_pooling("classroom"), methods.multitask("classroom")
    return [training.fit(recipe, data.passersby("classroom"), seed=0).folder for recipe in recipes]


def main(given: list[str]) -> None:
    """Show the page with the runs, and photograph it."""
    runs = [Path(name) for name in given] or demonstrated()
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            shutil.copytree(run, Path(folder) / run.name)
        command = [sys.executable, "-m", "reid_lab", "app", "--no-browser", "--port", str(PORT), "--runs", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            print(process.stdout.readline().strip())
            picture = photograph(f"http://127.0.0.1:{PORT}/", runs)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for quality in range(85, 30, -5):
        image.save(HERE / "app.jpg", quality=quality, optimize=True)
        if (HERE / "app.jpg").stat().st_size <= BYTES:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
