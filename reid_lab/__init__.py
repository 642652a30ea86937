"""reid_lab: person re-identification to read, run and measure.

The rooms, in the order in which they import one another, are described in ``reid_lab/README.md``.
"""

__version__ = "0.1.0"
