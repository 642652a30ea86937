"""The published tables as text, laid out as they are printed, and as data frames."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pandas as pd

from reid_lab.runtime.errors import DataError


@dataclass(frozen=True)
class Table:
    """A published table: our title for it, where it stands, what to know before quoting it, and its numbers.

    `text` has one line per row: labels, then values, all separated by commas, nothing where the paper prints
    none. Where its head has two lines, the first names the data set and the second the score.
    """

    title: str
    source: str
    notes: tuple[str, ...]
    text: str

    @property
    def frame(self) -> pd.DataFrame:
        """A fresh data frame, indexed by the first column."""
        lines = self.text.strip().splitlines()
        heads = 2 if lines[0].startswith(",") else 1
        rows = pd.read_csv(io.StringIO("\n".join(lines[heads:])), header=None, index_col=0, skipinitialspace=True)
        rows.index = rows.index.rename(lines[heads - 1].split(",")[0].strip())
        head = [[name.strip() for name in line.split(",")[1:]] for line in lines[:heads]]
        rows.columns = pd.MultiIndex.from_arrays(head, names=["data set", "score"]) if heads == 2 else pd.Index(head[0])
        return rows


A_DATA = Table(
    "The two data sets of paper A",
    "paper A, Table 1",
    (
        "The images are those of the training set alone; the identities are those of training and test together.",
        "Market-1501's gallery of 19,732 counts the 3,819 junk images; without them it has 15,913.",
        "12,936 + 19,732 make the 32,668 boxes that the text gives Market-1501: the 3,368 queries are not in it.",
    ),
    """
    data set,      images, gallery, identities, cameras
    Market-1501,    12936,   19732,       1501,       6
    DukeMTMC-reID,  16522,   17661,       1404,       8
    """,
)

A_ERASING = Table(
    "Rate of random erasing against accuracy on Market-1501",
    "paper A, Table 2",
    (
        "Rank-1 is best at 0.4, mAP at 0.5; paper A's text says so, and trains with 0.5.",
        "Row 0.4 is Table 3's ResNet-50 row to the last digit: so this table was made with ResNet-50, which nobody "
        "says, and Table 3 with rate 0.4, where the text has 0.5.",
        "One number per rate and no spread over seeds: from 0.1 to 0.5, rank-1 stays within 0.65 points.",
        "The paper writes the rates Er_0.0 to Er_1.0.",
    ),
    """
    erasing, rank-1, mAP
    0.0, 88.24, 71.14
    0.1, 89.82, 75.10
    0.2, 90.05, 75.43
    0.3, 89.96, 75.50
    0.4, 90.47, 76.13
    0.5, 90.02, 76.39
    0.6, 89.46, 74.75
    0.7, 89.04, 74.58
    0.8, 89.01, 74.06
    0.9, 89.16, 74.31
    1.0, 89.19, 74.14
    """,
)

A_BACKBONES = Table(
    "Four backbones in paper A's multi-task network",
    "paper A, Table 3",
    (
        "Neither ResNet nor Res2Net exists with 121 layers: read 101.",
        "With ResNet, the deeper backbone has the lower mAP on Market-1501 (75.60 against 76.13).",
        "The text calls Res2Net-50 (92.93 / 77.35) the best; this table, Table 4 and the abstract have Res2Net-121.",
    ),
    """
    ,            Market-1501, Market-1501, DukeMTMC-reID, DukeMTMC-reID
    method,      rank-1, mAP,   rank-1, mAP
    ResNet-50,    90.47, 76.13, 80.71, 65.31
    Res2Net-50,   92.93, 77.35, 82.67, 67.87
    ResNet-121,   90.76, 75.60, 80.86, 65.92
    Res2Net-121,  93.14, 77.67, 83.18, 68.16
    """,
)

A_OTHERS = Table(
    "Paper A beside ten earlier methods, as it quotes them",
    "paper A, Table 4",
    (
        "The gains in the abstract, 0.84 and 1.38 points of rank-1, are those over PCB.",
        "PCB+RPP, of the same publication as PCB, is left out; paper B's Table 3 quotes it with 93.80 / 81.60 on "
        "Market-1501 and 83.30 / 69.20 on DukeMTMC-reID: better than the proposed row in all four.",
        "PCB's rank-1 on DukeMTMC-reID is 81.8 here and 81.7 in paper B.",
        "The reference printed beside LOMO+XQDA is PAR's; the text cites another one for it.",
        "MultiScate is the paper's spelling.",
    ),
    """
    ,            Market-1501, Market-1501, DukeMTMC-reID, DukeMTMC-reID
    method,      rank-1, mAP,   rank-1, mAP
    LOMO+XQDA,    43.79, 22.22, 30.8,  17
    BoW+kissme,   44.4,  20.8,  25.1,  12.2
    SVDNet,       82.3,  62.1,  76.7,  56.8
    PAR,          81.0,  63.4,  ,
    PAN,          82.8,  63.4,  71.6,  51.5
    GAN,          83.97, 66.07, 67.7,  47.1
    SVDNet+Era,   87.08, 71.31, 79.31, 62.44
    MultiScate,   88.9,  73.1,  79.2,  60.6
    MultiLoss,    83.9,  64.4,  ,
    PCB,          92.3,  77.4,  81.8,  66.1
    Proposed,     93.14, 77.67, 83.18, 68.16
    """,
)

B_POOLING = Table(
    "Which networks pool by maximum and which by mean",
    "paper B, Table 1",
    ("Ticks, not scores: yes, or the part of the network that is named beside the tick; NaN where there is none.",),
    """
    network, max pooling, average pooling
    LeNet5,    early, late
    AlexNet,   yes,
    VGGNet,    yes,
    NIN,       yes, yes
    GoogloeNet, yes, yes
    ResNet,    yes, yes
    """,
)

_B_HEAD = """
    ,                       Market-1501, Market-1501, Market-1501, Market-1501, \
DukeMTMC-reID, DukeMTMC-reID, DukeMTMC-reID, DukeMTMC-reID
    method,                 mAP, rank-1, rank-5, rank-10, mAP, rank-1, rank-5, rank-10"""

_B_OURS = """
    Residual,               87.68, 95.01, 98.34, 99.17, 77.70, 88.64, 94.57, 96.90
    Residual + re-ranking,  94.52, 96.41, 98.22, 98.90, 89.30, 91.43, 95.20, 96.77
    """

B_VARIANTS = Table(
    "Paper B's poolings against one another",
    "paper B, Table 2",
    (
        "The sizes of the descriptors of Avg, Max and the baseline are not given, nor their losses.",
        "The baseline (79.63 / 64.67) lies far below the public softmax baseline (87.9 / 70.4, see anchors).",
        "Re-ranking raises mAP and rank-1 and lowers rank-5 and rank-10 on Market-1501 and rank-10 on DukeMTMC-reID.",
        "On DukeMTMC-reID, Avg is above Max at rank-5 and rank-10, and below it at rank-1 and mAP.",
        "Stated to be means of three runs; no spread is printed.",
    ),
    _B_HEAD
    + """
    ResNet50_baseline,      64.67, 79.63, 91.86, 93.88, 32.54, 51.79, 67.43, 71.89
    Avg,                    65.97, 85.36, 94.12, 96.41, 45.51, 70.83, 84.07, 88.38
    Max,                    74.18, 89.82, 96.26, 97.80, 52.10, 71.10, 83.62, 87.88"""
    + _B_OURS,
)

B_OTHERS = Table(
    "Paper B beside eight earlier methods, as it quotes them",
    "paper B, Table 3",
    (
        "Only the last row is re-ranked; the others' results are plain ones. Before re-ranking, BEF's rank-1 is "
        "higher on both data sets.",
        "The last two rows are those of Table 2.",
    ),
    _B_HEAD
    + """
    SVDNet,                 62.10, 82.30, 92.30, 95.20, 56.80, 76.70, 86.40, 89.90
    GLAD,                   73.90, 89.90, ,      ,      62.20, 80.00, ,
    PCB,                    77.40, 92.30, 97.20, 98.20, 66.10, 81.70, 89.70, 91.90
    PCB+RPP,                81.60, 93.80, 97.50, 98.50, 69.20, 83.30, 90.50, 92.50
    BEF,                    86.70, 95.30, ,      ,      76.00, 89.00, ,
    APR,                    66.89, 87.04, 95.10, 96.42, 55.56, 73.92, ,
    DG-Net,                 86.00, 94.80, ,      ,      74.80, 86.60, ,
    CtF,                    84.90, 94.20, ,      ,      75.60, 86.90, ,"""
    + _B_OURS,
)

B_COST = Table(
    "Parameters, arithmetic and time of paper B and others",
    "paper B, Table 4",
    (
        "Inference of one image on a GTX 1080 Ti; how it was timed is not said.",
        "A multiply-add counts as two operations: ResNet-50's convolutions alone take 10.26 G so at 288 x 144 with "
        "last stride 1, and 6.89 G with stride 2. So 10.82 G tells the last stride, which the text does not.",
        "30.55 M is what ResNet-50 without its classifier, six 1x1 convolutions to 640 channels and one 751-way "
        "classifier add up to. It may be a coincidence.",
        "The text claims less arithmetic and time than most; SVDNet has less arithmetic and the same time.",
    ),
    """
    method, parameters (M), FLOPs (G), inference (ms)
    SVDNet,   26.02, 10.81, 4.15
    GLAD,     26.07, 17.74, 5.61
    PCB,      23.72, 11.91, 4.38
    PCB+RPP,  23.74, 11.92, 4.38
    BEF,      27.59, 12.93, 4.59
    APR,      27.74, 12.94, 4.59
    DG-Net,   31.54, 12.94, 4.60
    CtF,      37.54, 12.95, 4.60
    Residual, 30.55, 10.82, 4.15
    """,
)

ANCHORS = Table(
    "Public results on Market-1501 to judge the papers' numbers by",
    "public code; each row says which",
    (
        "Plain ranking except where the row says re-ranked.",
        "AGW's own publication has, from memory, 95.1 / 87.8.",
        "CLIP-ReID's own publication has, from memory, 95.5 / 89.6.",
    ),
    """
    method,                     backbone,  rank-1, mAP,  source,                              checked
    softmax baseline,           ResNet-50, 87.9,   70.4, Torchreid's model zoo,               seen
    bag of tricks,              ResNet-50, 94.5,   85.9, its authors' code,                   seen
    bag of tricks + re-ranking, ResNet-50, 95.4,   94.2, its authors' code,                   seen
    AGW,                        ResNet-50, 95.3,   88.2, FastReID's model zoo,                seen
    SBS,                        ResNet-50, 95.4,   88.2, FastReID's model zoo,                seen
    CLIP-ReID,                  ViT-B,     95.4,   89.5, its weights evaluated by others,     second-hand
    SOLIDER,                    Swin-B,    96.9,   93.9, its authors' code,                   seen
    """,
)

TABLES: dict[tuple[str, int], Table] = {
    ("A", 1): A_DATA,
    ("A", 2): A_ERASING,
    ("A", 3): A_BACKBONES,
    ("A", 4): A_OTHERS,
    ("B", 1): B_POOLING,
    ("B", 2): B_VARIANTS,
    ("B", 3): B_OTHERS,
    ("B", 4): B_COST,
}


def table(paper: str, number: int) -> pd.DataFrame:
    """The numbers of a published table, percent where they are scores; `TABLES[paper, number]` says more.

    Args:
        paper: "A" or "B".
        number: as printed, 1 to 4.

    Raises:
        DataError: there is no such table.
    """
    if (paper, number) not in TABLES:
        known = ", ".join(f"{letter}{place}" for letter, place in TABLES)
        raise DataError(f"The papers print no table {paper}{number}; choose one of {known}.")
    return TABLES[paper, number].frame


def anchors() -> pd.DataFrame:
    """Public results on Market-1501 (percent), by method; `ANCHORS` says more.

    Returns:
        One row per method: backbone, rank-1, mAP; "source", where the numbers were read; and "checked", how they were
        checked (see `reid_lab.papers.originals.CHECKED`).
    """
    return ANCHORS.frame
