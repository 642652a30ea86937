"""The page in a browser: what somebody who plays with it sees, and that nothing outside this machine is asked."""

import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reid_lab.app import ALONE
from reid_lab.cli import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
in_a_browser = pytest.mark.skipif(bool(NEEDED or not BROWSER), reason=f"needs a browser and {NEEDED or 'nothing else'}")
WINDOW = {"width": 1280, "height": 1500}
SECONDS = 300  # no wait is that long but on a machine that does much else: whoever waits here waits for a failure


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def listening(handler):
    """A server of this process; gives its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Outside(BaseHTTPRequestHandler):
    """Stands for the network: every request that leaves the machine would come here."""

    asked: list = []  # noqa: RUF012

    def answer(self):
        self.asked.append(self.path)
        self.send_error(502)

    do_GET = do_POST = do_HEAD = do_CONNECT = answer  # noqa: N815

    def log_message(self, *_):
        pass


@contextmanager
def served(runs, *more):
    """`reid-lab app` as a process; gives its port."""
    port = free_port()
    with listening(Outside) as network:
        proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), f"http://127.0.0.1:{network}")
        command = [sys.executable, "-m", "reid_lab", "app", "--no-browser", "--device", "cpu"]
        command += ["--runs", str(runs), "--port", str(port), *more]
        process = subprocess.Popen(command, env=os.environ | proxy, stdout=subprocess.PIPE, text=True)
        try:
            assert f"127.0.0.1:{port}" in process.stdout.readline()
            yield port
        finally:
            process.terminate()
            process.wait(SECONDS)


@pytest.fixture(scope="module")
def runs(smoke_run, tmp_path_factory):
    """A folder with two runs, one of which lost its weights."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(smoke_run.folder, folder / smoke_run.folder.name)
    damaged = shutil.copytree(smoke_run.folder, folder / "damaged-smoke-0123456789")
    (damaged / "weights.safetensors").unlink()
    return folder


@contextmanager
def visited(address):
    """The page in a window, and what was said and asked on the way."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        flags = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        window = play.chromium.launch(executable_path=BROWSER, args=flags, timeout=SECONDS * 1000)
        page, seen = window.new_page(viewport=WINDOW), {"errors": [], "requests": []}
        page.set_default_timeout(SECONDS * 1000)
        page.on("console", lambda message: seen["errors"].append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.goto(address)
        try:
            yield page, seen
        finally:
            window.close()


def opens(page):
    """Press Open when the runs are listed, and wait for the first answer."""
    page.wait_for_function("document.querySelector('input[aria-label=\"Run A\"]')?.value")
    page.click("#open")
    page.wait_for_selector("#found-A .framed")


def asks(page, number):
    """Click on a query, counted from 1, and wait for its answer."""
    page.locator("#queries button").nth(number - 1).click()
    page.wait_for_selector(f"#asked >> text=query {number} of")


@in_a_browser
def test_somebody_plays_with_the_page_and_nothing_outside_is_asked(runs, smoke, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with served(runs) as port, visited(f"http://127.0.0.1:{port}/") as (page, seen):
        page.wait_for_selector("text=damaged-smoke-0123456789")  # is not offered, and the page says why
        opens(page)
        assert f"query 1 of {len(smoke.query)}" in page.inner_text("#asked")
        asks(page, 4)
        page.wait_for_selector("#found-A .framed.junk")
        page.get_by_role("checkbox", name="Same-camera rule").click()
        page.wait_for_selector("#found-A .framed.junk", state="detached")
        for kind, line in (("match", "solid"), ("miss", "dashed")):
            frame = page.locator(f"#found-A .framed.{kind}").first
            assert frame.evaluate("one => getComputedStyle(one).borderTopStyle") == line
        page.get_by_role("checkbox", name="Re-ranking").click()
        page.wait_for_selector("#side-A >> text=re-ranked distance")
        page.set_viewport_size({"width": 390, "height": 844})  # a telephone: nothing lies beside the window
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size(WINDOW)
        page.locator("input[type=file]").set_input_files(tmp_path / "notes.txt")
        page.wait_for_selector("#wrong-file [role=alert]")
        assert "notes.txt is not an image" in page.inner_text("#wrong-file")
        page.get_by_text("What is searched").click()
        page.get_by_role("radio", name="a folder of crops").click()
        page.get_by_label("Path of the data set or folder").fill(str(tmp_path / "gone"))
        page.click("#open")
        page.wait_for_selector("#opened [role=alert]")
        assert "does not exist" in page.inner_text("#opened")
        page.wait_for_timeout(500)
    assert not seen["errors"] and not Outside.asked
    own = f"http://127.0.0.1:{port}/", "data:", "blob:"
    assert [url for url in seen["requests"] if not url.startswith(own)] == []


def prefixed(port, prefix):
    """A proxy that shows the page below a path, as a server in front of several programs does."""

    class Proxy(BaseHTTPRequestHandler):
        def pass_on(self):
            if self.path == "/favicon.ico":  # asked for by browsers themselves: the icon of the server in front
                self.send_response(204)
                return self.end_headers()
            if not self.path.startswith(f"{prefix}/"):
                return self.send_error(404)
            length = int(self.headers.get("Content-Length") or 0)
            upstream = http.client.HTTPConnection("127.0.0.1", port)
            kept = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            upstream.request(self.command, self.path.removeprefix(prefix), self.rfile.read(length), kept)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(OSError):
                while piece := answer.read1(65536):
                    self.wfile.write(piece)
                    self.wfile.flush()

        do_GET = do_POST = do_HEAD = pass_on  # noqa: N815

        def log_message(self, *_):
            pass

    return Proxy


@in_a_browser
def test_the_page_works_below_the_path_of_a_proxy(runs):
    with served(runs, "--root-path", "/reid") as port, listening(prefixed(port, "/reid")) as proxy:
        with visited(f"http://127.0.0.1:{proxy}/reid/") as (page, seen):
            opens(page)
            asks(page, 3)
        assert not seen["errors"]
        own = f"http://127.0.0.1:{proxy}/reid/", "data:", "blob:"
        assert [url for url in seen["requests"] if not url.startswith(own)] == []


@pytest.mark.skipif("gradio" in NEEDED, reason="needs Gradio")
def test_without_a_run_the_page_says_how_to_train_one_and_a_taken_port_gets_a_sentence(tmp_path, capsys, monkeypatch):
    for name in (*ALONE, "GRADIO_TEMP_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")  # put back afterwards
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["app", "--no-browser", "--runs", str(tmp_path), "--port", str(port)]) == 2
        assert str(port) in capsys.readouterr().err
    from reid_lab.app.desk import Desk
    from reid_lab.app.page import Page

    runs, others, sentence = Page(Desk(lambda run, path: None, tmp_path / "none", "cpu")).list_runs()
    assert "no trained run" in sentence and "reid-lab train" in sentence and not runs["choices"]


def test_without_gradio_one_sentence_says_how_to_install_it(monkeypatch, tmp_path, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else find(name, *rest)
    )
    assert main(["app", "--no-browser", "--runs", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install" in said
    for port in ("80", "x", "99999"):
        assert main(["app", "--port", port]) == 2
        assert "--port" in capsys.readouterr().err
