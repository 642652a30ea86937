"""The command line: ``reid-lab COMMAND``, or ``python -m reid_lab COMMAND``.

app          the application: groups in the help, errors as sentences, exit statuses
options      the options that several commands share, and the checks of their values
start        demo, doctor
datasets     passersby, check
training     train, evaluate (and data_of_run: the data that a run was trained on)
runs         runs: list, compare, delete
experiments  ablate
use          a trained run at work: embed, search, export, app
teaching     the capstone: handout, leaderboard

Each command imports what it needs when it runs, so that ``--help`` does not wait for PyTorch.
"""

from reid_lab.cli import start, datasets, training, runs, experiments, use, teaching  # noqa: F401, I001  # the help's order
from reid_lab.cli.app import main

__all__ = ["main"]
