"""What a click does, and the server that shows the page. ``Desk`` does the work."""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from reid_lab.app import cards, controls
from reid_lab.app.controls import CSS, FONTS, NONE
from reid_lab.app.desk import Desk
from reid_lab.app.rules import Images, Query, Rules, picture
from reid_lab.runtime.errors import ReidLabError

HOST = "127.0.0.1"  # this machine alone
LARGEST_FILE = "64mb"
HOUR = 3600
SIDES = ("A", "B")
PROGRESS = gr.Progress()  # tells Gradio that a function reports how far it is
_say: contextvars.ContextVar[Callable[[str], object]] = contextvars.ContextVar("say", default=lambda line: None)


def say(line: str) -> None:
    """Tell the page that asked what is being done."""
    _say.get()(line)


@dataclass(frozen=True)
class Session:
    """What one open page looks at.

    Attributes:
        images: what is searched.
        names: of the runs, one or two.
        query: for whom.
        chosen: of each run, the gallery image that was clicked on, or the first one; None: there is none.
    """

    images: Images
    names: tuple[str, ...]
    query: Query = 0
    chosen: tuple[int | None, ...] = (None, None)


class Page:
    """The page on a desk."""

    def __init__(self, desk: Desk, path: Path | None = None) -> None:
        """Lay the page out.

        Args:
            desk: what answers.
            path: a data set or a folder of crops that the page begins with.
        """
        self.desk = desk
        with gr.Blocks(title="reid_lab", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as self.blocks:
            self.session = gr.State(None)
            gr.Markdown(controls.HEAD)
            self.choice = controls.choice(*controls.first_of(path))
            with gr.Row():
                with gr.Column(scale=3, min_width=320):
                    self.asking = controls.asking()
                    gr.Markdown("## What is found")
                    self.notice = gr.HTML(css_template=cards.STYLE, elem_id="notice")
                    gr.HTML(cards.key(), css_template=cards.STYLE)
                    with gr.Row():
                        self.sides = [controls.side(letter) for letter in SIDES]
                with gr.Column(scale=1, min_width=260):
                    self.picture = controls.picture()
                    self.controls = controls.controls()
            self._connect()

    def _connect(self) -> None:
        """Say which function answers which click."""
        choice, asking, control, own = self.choice, self.asking, self.controls, self.picture
        found = [self.session, self.notice, asking.asked, *(part for side in self.sides for part in side.parts)]
        rank: dict[str, Any] = {"fn": self.rank, "inputs": [self.session, *control.values], "outputs": found}
        rank |= {"trigger_mode": "always_last", "show_progress_on": [self.notice]}
        heat: dict[str, Any] = {"fn": self.heat, "inputs": [self.session, control.heat]}
        heat["outputs"] = [side.heat for side in self.sides]
        heat |= {"trigger_mode": "always_last", "show_progress": "minimal"}
        opened = [self.session, choice.notice, asking.strip, asking.pages, choice.part]
        asked = [self.session, own.notice, asking.strip]
        self.blocks.load(self.list_runs, None, [choice.run, choice.other, choice.notice])
        choice.source.change(lambda source: gr.update(visible=source != "run"), choice.source, choice.path)
        given = [choice.run, choice.other, choice.source, choice.path]
        queries = [
            choice.open.click(self.open, given, opened, show_progress_on=[choice.notice]),
            own.file.upload(self.ask_picture, [self.session, own.file, asking.pages], asked),
        ]
        asking.pages.change(self.turn, [self.session, asking.pages], asking.strip, trigger_mode="always_last")
        control.rerank.change(lambda on: gr.update(visible=on), control.rerank, control.parameters)
        changes = [value.change(**rank) for value in control.values]
        changes.append(asking.strip.select(**{**rank, "fn": self.rank_clicked}))  # in one step, to be quick
        for event in [*(query.then(**rank) for query in queries), *changes]:
            event.then(**heat)
        control.heat.change(**heat)
        for number, side in enumerate(self.sides):
            side.cards.select(self._chooser(number), self.session, self.session).then(**heat)

    def list_runs(self) -> tuple:
        """What can be chosen when the page is opened."""
        try:
            good, bad = self.desk.runs()
        except (ReidLabError, OSError) as error:
            good, bad = {}, [str(error)]
        names = [(line, name) for name, line in good.items()]
        sentence = f"Not offered, because they are not finished or damaged: {'; '.join(bad)}." if bad else ""
        if not good:
            sentence = (
                f"There is no trained run in {self.desk.folder}. Train one in a terminal: reid-lab train "
                f"residual_pooling --size classroom. Then load this page again. {sentence}"
            )
        first = names[0][1] if names else None
        return (
            gr.update(choices=names, value=first),
            gr.update(choices=[("none", NONE), *names], value=NONE),
            cards.notice(sentence) if not good else cards.said(sentence),
        )

    def open(self, name: str | None, other: str, source: str, path: str, progress: gr.Progress = PROGRESS) -> tuple:
        """Read the images, and load the runs."""

        def work() -> tuple:
            images = self.desk.images(source, path, name or "")
            names = tuple(dict.fromkeys(each for each in (name, other) if each))
            for each in names:
                self.desk.run(each)
            pages = -(-len(images.query) // cards.STRIP)
            told = f"{images.name}: {len(images.query):,} queries, {len(images.gallery):,} images in the gallery. "
            return (
                Session(images, names),
                cards.said(told + " ".join(images.notes)),
                cards.strip(images, 0, 0),
                gr.update(maximum=max(pages, 2), value=1, visible=pages > 1, label=f"More queries: page 1 to {pages}"),
                gr.update(open=False),
            )

        return _tried(
            work, progress, lambda sentence: (None, cards.notice(sentence), "", gr.update(), gr.update(open=True))
        )

    def ask_picture(self, session: Session | None, file: str | None, page: float) -> tuple:
        """Take a picture from outside as the query."""

        def work() -> tuple:
            if session is None:
                raise ReidLabError("There is nothing to search yet: press Open first, then drop the picture again.")
            query = picture(file or "")
            return replace(session, query=query), "", self.turn(session, page, pressed=False)

        return _tried(work, None, lambda sentence: (session, cards.notice(sentence), gr.update()))

    def turn(self, session: Session | None, page: float, pressed: bool = True) -> Any:
        """Show another page of queries."""
        if session is None:
            return gr.update()
        return cards.strip(session.images, (int(page) - 1) * cards.STRIP, session.query if pressed else None)

    def rank(
        self,
        session: Session | None,
        same_camera: bool,
        rerank: bool,
        k1: float,
        k2: float,
        lam: float,
        rate: float,
        top: float,
        progress: gr.Progress = PROGRESS,
    ) -> tuple:
        """Rank the gallery for the query with each run."""
        if session is None:
            return None, "", "", *[gr.update()] * 6
        rules = Rules(same_camera, rerank, int(k1), int(k2), lam, rate / 100)

        def work() -> tuple:
            images, query, shown, chosen = session.images, session.query, list[Any](), list[int | None]()
            for letter, name in zip(SIDES, session.names, strict=False):
                answer = self.desk.answer(name, images, query, rules, int(top))
                chosen.append(
                    next((int(i) for i, rank in zip(answer.indices, answer.ranks, strict=True) if rank), None)
                )
                head = f"<h3>{letter}: {escape(name)}</h3>" + cards.sentences(answer, images, rules.rerank)
                shown += [gr.update(visible=True), head, cards.gallery(answer, images, query)]
            if len(session.names) == 1:
                shown += [gr.update(visible=False), "", ""]
            return replace(session, chosen=tuple(chosen)), "", cards.asked(images, query), *shown

        return _tried(work, progress, lambda sentence: (session, cards.notice(sentence), *[gr.update()] * 7))

    def rank_clicked(
        self,
        session: Session | None,
        same_camera: bool,
        rerank: bool,
        k1: float,
        k2: float,
        lam: float,
        rate: float,
        top: float,
        event: gr.EventData,
        progress: gr.Progress = PROGRESS,
    ) -> tuple:
        """Take the query that was clicked on, and rank the gallery for it."""
        asked = replace(session, query=_index(event)) if session is not None else None
        return self.rank(asked, same_camera, rerank, k1, k2, lam, rate, top, progress)

    def _chooser(self, number: int) -> Callable:
        """What takes the gallery image that was clicked on, of one run, for the heat map."""

        def choose(session: Session | None, event: gr.EventData) -> Session | None:
            if session is None or number >= len(session.chosen):
                return session
            chosen = (_index(event) if place == number else index for place, index in enumerate(session.chosen))
            return replace(session, chosen=tuple(chosen))

        return choose

    def heat(self, session: Session | None, on: bool) -> tuple:
        """Draw where each network looks."""
        drawn = ["", ""]
        if session is not None and on:
            for number, (name, index) in enumerate(zip(session.names, session.chosen, strict=False)):
                if index is not None:
                    work = functools.partial(self._heat, name, session, index)
                    drawn[number] = _tried(work, None, cards.notice)
        return tuple(drawn)

    def _heat(self, name: str, session: Session, index: int) -> str:
        return cards.figure(self.desk.heat(name, session.images, session.query, index), name)

    def serve(self, port: int | None, root_path: str, browser: bool, started: Callable[[str], object]) -> None:
        """Show the page on this machine until Ctrl-C.

        Args:
            port: where; None: the first free one from 7860 on.
            root_path: under which path a proxy shows the page; "" without a proxy.
            browser: whether a browser is opened.
            started: called with the address.

        Raises:
            ReidLabError: the port cannot be used.
        """
        options = {"footer_links": [], "run_history": False, "ssr_mode": False, "pwa": False, "mcp_server": False}
        options |= {"share": False, "quiet": True, "show_error": False, "enable_monitoring": False}
        try:
            _, address, _ = self.blocks.queue(max_size=32, api_open=False).launch(
                server_name=HOST,
                server_port=port,
                root_path=root_path or None,
                inbrowser=browser,
                prevent_thread_lock=True,
                max_file_size=LARGEST_FILE,
                css=CSS,
                theme=gr.themes.Default(primary_hue="blue", font=FONTS[0], font_mono=FONTS[1]),
                **options,
            )
        except OSError as error:
            asked = "the ports from 7860 on" if port is None else f"port {port}"
            raise ReidLabError(f"The page cannot use {asked} of {HOST}: give a free one with --port.") from error
        started(address)
        try:
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            self.blocks.close(verbose=False)


def _index(event: gr.EventData) -> int:
    """The number of the card that was clicked on; -1 where the event has none, which is no image."""
    try:
        return int(event._data["index"])
    except (TypeError, KeyError, ValueError):
        return -1


def _tried(work: Callable[[], Any], progress: gr.Progress | None, otherwise: Callable[[str], Any]) -> Any:
    """What ``work`` gives, or what is shown with a sentence in its place."""
    if progress is not None:
        _say.set(lambda line: progress(0, desc=line))  # Gradio shows no line without a number
    try:
        return work()
    except ReidLabError as error:
        return otherwise(str(error))
    except OSError as error:
        return otherwise(f"{error.filename or 'A file'} could not be used: {error.strerror or error}.")
    except Exception as error:  # a bug of ours: the terminal says where, the page says that there is one
        logging.getLogger("reid_lab").exception("The page could not answer")
        return otherwise(f"This is an error of the program ({type(error).__name__}). The terminal says more about it.")
