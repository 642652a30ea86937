"""Ranking a gallery: features of images, the field's scores, k-reciprocal re-ranking.

reference     evaluation and re-ranking as plain loops, one query at a time: start reading here
ranking       `evaluate` a network, `rank` features, `rank_distances`; `Ranking`, how
features      `extract` the features of images
protocol      who is a match, who is junk
distances     features that can be compared; cosine and Euclidean, a block of queries at a time
metrics       CMC, mAP, mINP from blocks of distances; `result`, what comes out; `roc`, thresholds
open_set      is the person there at all? Rates of searches with and without a match, and a threshold
reranking     k-reciprocal re-ranking, step by step
codes         codes of bits, and a search through them from coarse to fine; `code_thresholds`, how far each code looks
verification  the same question put to paper A's verification head
search        the nearest images without labels, also through FAISS; query expansion
planning      what it will take
kernels       the inner loops, in torch; `kernels_numba` and `reranking_numba`: the same, compiled
"""

from reid_lab.retrieval import codes
from reid_lab.retrieval.code_thresholds import fit_thresholds
from reid_lab.retrieval.features import extract
from reid_lab.retrieval.open_set import OpenSet, open_set
from reid_lab.retrieval.planning import Plan, plan
from reid_lab.retrieval.ranking import Ranking, evaluate, rank, rank_distances
from reid_lab.retrieval.reranking import rerank
from reid_lab.retrieval.result import Matches, Result
from reid_lab.retrieval.roc import OperatingPoint, Roc
from reid_lab.retrieval.search import Found, itself, search
from reid_lab.retrieval.verification import verification

__all__ = [
    "Found",
    "Matches",
    "OpenSet",
    "OperatingPoint",
    "Plan",
    "Ranking",
    "Result",
    "Roc",
    "codes",
    "evaluate",
    "extract",
    "fit_thresholds",
    "itself",
    "open_set",
    "plan",
    "rank",
    "rank_distances",
    "rerank",
    "search",
    "verification",
]
