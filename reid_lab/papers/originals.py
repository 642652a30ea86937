"""What the systems report of themselves, beside what papers A and B quote of them.

Paper A compares itself with ten systems in its Table 4, paper B with eight in its Table 3. Most of these rows agree
with what their systems report. Some hold the numbers of another system, or of another version of it.
"""

from __future__ import annotations

import io

import pandas as pd

from reid_lab.papers.tables import table

SEEN, SECOND_HAND, MEMORY = "seen", "second-hand", "from memory"
CHECKED = {  # how a number of ours was checked
    SEEN: "in the authors' own code or page, or on a public leaderboard",
    SECOND_HAND: "in another paper or in somebody else's code",
    MEMORY: "nowhere: look at the publication before you quote it",
}

# system; year; publication; Market-1501 and DukeMTMC-reID as rank-1 / mAP; how each was checked; what to know
_ORIGINALS = """
LOMO+XQDA|2015|Liao et al., CVPR 2015|43.79|22.22|from memory|30.75|17.04|seen|\
Its paper has neither data set: Market's numbers are from a paper of 2016, Duke's from that data set's authors.
BoW+kissme|2015|Zheng et al., ICCV 2015; Koestinger et al., CVPR 2012|44.42|20.76|from memory|25.13|12.17|seen|\
Duke's numbers are from that data set's authors.
SVDNet|2017|Sun et al., ICCV 2017|82.3|62.1|seen|76.7|56.8|seen|\
Features are the input of its Eigenlayer. It was trained for 339 epochs, its baseline for 62.
PAR|2017|Zhao et al., ICCV 2017|81.0|63.4|seen||||\
Published without DukeMTMC-reID.
PAN|2018|Zheng, Zheng and Yang, TCSVT 2018|82.81|63.35|seen|71.59|51.51|seen|\
Two networks side by side; each alone has about two points less, from memory.
GAN|2017|Zheng, Zheng and Yang, ICCV 2017|78.06|56.23|from memory|67.68|47.13|seen|\
Paper A's row mixes two networks. Its numbers on Market-1501 are those of a two-stream network of identification and \
verification, which is paper A's own ancestor; those on DukeMTMC-reID belong to a plain network.
SVDNet+Era|2020|Zhong et al., AAAI 2020|87.08|71.31|from memory|79.31|62.44|seen|\
Another input size than SVDNet's. Its authors' own SVDNet without erasing has 84.41 / 65.60 (from memory), more than \
the published one, so erasing is worth less than the two rows suggest.
MultiScate|2017|Chen, Zhu and Gong, ICCV Workshops 2017|88.9|73.1|from memory|79.2|60.6|seen|\
DPFL; the name is that of another paper's table.
MultiLoss|2017|Li, Zhu and Gong, IJCAI 2017|85.1|65.5|second-hand||||\
JLML. Paper A quotes 83.9 / 64.4, which is probably an earlier version of the paper.
PCB|2018|Sun et al., ECCV 2018|92.3|77.4|seen|81.8|66.1|second-hand|\
Its two tables have 81.7 and 81.8 on DukeMTMC-reID; paper A quotes one, paper B the other.
PCB+RPP|2018|Sun et al., ECCV 2018|93.8|81.6|second-hand|83.3|69.2|seen|\
The authors' released script leaves out the stage that the paper explains.
GLAD|2017|Wei et al., ACM Multimedia 2017|89.9|73.9|second-hand|80.0|62.2|from memory|\
The numbers on DukeMTMC-reID are in the journal version alone, from memory.
BEF|2019|Dai et al., ICCV 2019|95.3|86.7|seen|89.0|76.0|seen|\
Later called batch DropBlock. The numbers are those of the last version, which was trained with Cutout, too.
APR|2019|Lin et al., Pattern Recognition 2019|87.04|66.89|from memory|73.92|55.56|from memory|\
The journal version; the first one has 84.29 / 64.67 (from memory) and, on DukeMTMC-reID, 70.69 / 51.88 (seen).
DG-Net|2019|Zheng et al., CVPR 2019|94.8|86.0|seen|86.6|74.8|seen|\
The published weights give 94.77 / 86.09.
CtF|2020|Wang et al., ECCV 2020|93.7|84.9|from memory|87.6|74.8|from memory|\
All four numbers of paper B's row are printed elsewhere as those of HOReID (CVPR 2020, by the same first author).
"""
_COLUMNS = ["system", "year", "publication", "rank-1", "mAP", "checked"]
_COLUMNS += ["Duke rank-1", "Duke mAP", "Duke checked", "note"]


def originals() -> pd.DataFrame:
    """Every system of the papers' tables: what it reports of itself, and what is quoted.

    Returns:
        One row per system and data set, in the order of the papers. Columns: ``year``; ``publication``; ``rank-1`` and
        ``mAP``, the system's own; ``quoted by``, "A" or "B"; ``quoted rank-1`` and ``quoted mAP``; ``checked``, one of
        CHECKED, which says where our number of the original was seen; ``note``. A system that both papers quote has two
        rows per data set.
    """
    text = _ORIGINALS.strip().replace("\\\n", "")
    known = pd.read_csv(io.StringIO(text), sep="|", header=None, names=_COLUMNS, index_col="system")
    rows = []
    for paper, number in (("A", 4), ("B", 3)):
        quoted = table(paper, number)
        for system in quoted.index.intersection(known.index, sort=False):
            for name, prefix in (("Market-1501", ""), ("DukeMTMC-reID", "Duke ")):
                own, theirs = known.loc[system], quoted.loc[system, name]
                rows.append(
                    {"system": system, "data set": name, "year": own["year"], "publication": own["publication"]}
                    | {score: own[prefix + score] for score in ("rank-1", "mAP")}
                    | {"quoted by": paper, "quoted rank-1": theirs["rank-1"], "quoted mAP": theirs["mAP"]}
                    | {"checked": own[prefix + "checked"], "note": own["note"]}
                )
    return pd.DataFrame(rows).dropna(subset="rank-1").set_index(["system", "data set"])


def differing(points: float = 0.06) -> pd.DataFrame:
    """The rows of :func:`originals` in which what is quoted lies more than ``points`` from what is reported.

    A paper that rounds to one digit may be 0.05 points away.
    """
    found = originals()
    gaps = pd.concat([(found[f"quoted {score}"] - found[score]).abs() for score in ("rank-1", "mAP")], axis=1)
    return found[(gaps > points).any(axis=1)]
