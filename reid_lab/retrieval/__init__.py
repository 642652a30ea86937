"""Ranking a gallery: descriptors of images, the field's scores, k-reciprocal re-ranking."""

from reid_lab.retrieval.features import extract
from reid_lab.retrieval.planning import Plan, plan
from reid_lab.retrieval.ranking import evaluate, rank, rank_distances
from reid_lab.retrieval.reranking import rerank
from reid_lab.retrieval.result import Matches, Result
from reid_lab.retrieval.roc import OperatingPoint, Roc
from reid_lab.retrieval.search import Found, search
from reid_lab.retrieval.verification import verification

__all__ = [
    "Found",
    "Matches",
    "OperatingPoint",
    "Plan",
    "Result",
    "Roc",
    "evaluate",
    "extract",
    "plan",
    "rank",
    "rank_distances",
    "rerank",
    "search",
    "verification",
]
