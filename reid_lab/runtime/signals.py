"""Ctrl-C and a scheduler's SIGTERM are held back until a step is done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Interruption:
    """A context in which SIGINT and SIGTERM raise KeyboardInterrupt, but not in the middle of a step.

    Within ``with interruption.held()`` they wait until its end, so that nobody sees a network with half of its weights
    updated. Only Python's main thread may handle signals. In other threads everything stays as it is.

    Args:
        active: Whether to do anything at all.
    """

    def __init__(self, active: bool = True) -> None:
        self.active = active and threading.current_thread() is threading.main_thread()
        self._holding = self._arrived = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if self.active:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make a context in which signals wait for its end."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._arrived:
            self._arrived = False
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._arrived = True
        else:
            raise KeyboardInterrupt
