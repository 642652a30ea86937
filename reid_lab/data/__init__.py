"""Data: what a re-ID data set is, how it is read and checked, and how batches are made of it.

To be read first: ``records.py`` and ``benchmark.py`` (what a data set is), ``samplers.py`` (pairs, P x K),
``augment.py`` and ``images.py`` (one batch). ``datasets/`` reads the published sets, ``custom/`` folders and tables of
one's own; ``validation.py`` checks the protocol.
"""

from reid_lab.data.augment import Augment, Part, RandomErasing, normalize, to_device
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.custom.folder import folder
from reid_lab.data.custom.table import csv
from reid_lab.data.datasets.market import dukemtmc_reid, market1501, passersby
from reid_lab.data.datasets.msmt import msmt17
from reid_lab.data.finding import Finding
from reid_lab.data.images import ImageStore, image_store
from reid_lab.data.mixing import MixedSampler, VersionSampler
from reid_lab.data.recognition import recognize
from reid_lab.data.records import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Record
from reid_lab.data.samplers import PairSampler, PKSampler, ShuffleSampler
from reid_lab.data.unlabelled import ghosts, unlabelled

__all__ = [
    "DISTRACTOR",
    "JUNK",
    "UNKNOWN_CAMERA",
    "Augment",
    "Benchmark",
    "Finding",
    "ImageStore",
    "MixedSampler",
    "PKSampler",
    "Part",
    "PairSampler",
    "RandomErasing",
    "Record",
    "ShuffleSampler",
    "VersionSampler",
    "csv",
    "dukemtmc_reid",
    "folder",
    "ghosts",
    "image_store",
    "market1501",
    "msmt17",
    "normalize",
    "passersby",
    "recognize",
    "to_device",
    "unlabelled",
]
