"""Every number that the README quotes was measured: it stands in a table of the repository."""

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(heading):
    """The cells of the first Markdown table below a heading, without its head."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_demonstrations_scores_are_those_of_its_table():
    table = pd.read_csv(ROOT / "figures" / "demo.csv", index_col=0)
    shown = {cells[0]: [float(cell) for cell in cells[1:]] for cells in rows("What the demonstration shows")}
    columns = ["rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP"]
    assert shown == {name: [round(value, 1) for value in row] for name, row in table[columns].T.to_dict("list").items()}


def test_the_retrieval_ratios_are_those_of_the_benchmark():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "retrieval.csv").set_index("work")
    shown = rows("Speed")
    assert len(shown) >= 4
    for work, reference, ratio, peak, reach in shown:
        row = table.loc[work]
        assert (reference, reach) == (row["reference"], row["reach"])
        assert ratio == f"{row['ratio']:.2f}" and peak == f"{row['peak_gib']:.2f}"


def test_every_local_link_and_picture_leads_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "reid_lab" / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z_]+@", README)
