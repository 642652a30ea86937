"""One function per picture, each returning a matplotlib ``Figure``: show it in a notebook, or :func:`save` it.

galleries  images: what was found for a query, what a benchmark shows, what erasing does, people in swapped clothes
heat       heat maps on images
lines      accuracy over ranks, thresholds, epochs and conditions; the vital signs of a training
style      colors, lines, axes, and how a picture is saved; ``sheets`` places many images on one
"""

from matplotlib.figure import Figure

from reid_lab.plots.galleries import contact_sheet, erasing_grid, found, gallery, swapped_clothes
from reid_lab.plots.heat import heat_maps
from reid_lab.plots.lines import cmc, conditions, curves, identification, thresholds, vital_signs
from reid_lab.plots.sheets import left_out
from reid_lab.plots.style import COLORS, INK, LINES, MATCH, MISS, NEUTRAL, axes_of, dress, save

__all__ = [
    "COLORS",
    "Figure",
    "INK",
    "LINES",
    "MATCH",
    "MISS",
    "NEUTRAL",
    "axes_of",
    "cmc",
    "conditions",
    "contact_sheet",
    "curves",
    "dress",
    "erasing_grid",
    "found",
    "gallery",
    "heat_maps",
    "identification",
    "left_out",
    "save",
    "swapped_clothes",
    "thresholds",
    "vital_signs",
]
