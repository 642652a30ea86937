"""A page to play with, for somebody who writes no code: ``reid-lab app``.

rules     what is asked and what is found: rules, images, a query, an answer
desk      answers, with trained runs; it knows no page
kept      what is kept in memory between two clicks, within a bound
cards     an answer as HTML: frames, signs, scores, heat maps
controls  the page's parts, each with a sentence that explains it
page      what a click does, and the server; only this file and ``controls`` import Gradio
"""

import importlib.util
import os

from reid_lab.runtime.errors import ReidLabError

ALONE = {  # what Gradio and its libraries would otherwise ask the network for, or tell it
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def offline(uploads: str) -> None:
    """Prepare this process for Gradio, before it is imported: no telemetry, no look-ups, no proxy to this machine.

    Args:
        uploads: the folder for pictures from outside.

    Raises:
        ReidLabError: Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ReidLabError("The page needs Gradio, which is not installed: pip install 'gradio>=6.31' adds it.")
    os.environ.update(ALONE, GRADIO_TEMP_DIR=uploads)
    for name in ("NO_PROXY", "no_proxy"):  # Gradio asks its own server whether it is there
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost")))
