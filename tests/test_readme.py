"""Every number that README, RESULTS and TRAINING quote was measured: it stands in a table of the repository."""

import re
from pathlib import Path

import pandas as pd
import pytest

from reid_lab.ablations import claims, statistics, tables

ROOT = Path(__file__).parent.parent
README, RESULTS, TRAINING = (
    (ROOT / f"{name}.md").read_text(encoding="utf-8") for name in ("README", "RESULTS", "TRAINING")
)


def rows(heading, page=RESULTS):
    """The cells of the first Markdown table below a heading, without its head."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_claims_and_verdicts_are_those_of_the_recorded_runs():
    found = claims.verdicts("classroom")
    told = found[["paper", "claim", "the paper's numbers", "ours", "verdict", "by these two alone"]].to_numpy().tolist()
    assert rows("What the papers claim") == told


def test_the_verdicts_that_change_under_the_correction_are_those_that_are_named():
    found = claims.verdicts("classroom").set_index("claim")
    changed = found[found["verdict"] != found["verdict after correction"]]
    sentence = RESULTS.split("three\nverdicts change from ")[1].split("All others stay.")[0]
    was, becomes, *named = re.findall(r"\*([^*]+)\*", " ".join(sentence.split()))
    assert named == changed.index.tolist() and len(named) == 3
    assert set(changed["verdict"]) == {was} and set(changed["verdict after correction"]) == {becomes}


def test_the_recorded_verdicts_are_those_of_the_recorded_runs():
    written = pd.read_csv(ROOT / "figures" / "claims-classroom.csv", dtype=str, keep_default_na=False)
    assert written.equals(claims.verdicts("classroom").astype(written.dtypes))


def test_what_is_said_of_erasing_is_what_the_runs_say():
    against = statistics.against("erasing", tables.read("erasing"), "classroom")
    assert (against.iloc[:, 0] < 0).all()
    assert (against["verdict"][against.index.astype(float) >= 0.3] == "separated").all()
    short, longer = (
        statistics.difference(tables.read("erasing_longer"), "classroom", f"erasing 0.5{end}", f"erasing 0.0{end}")
        for end in ("", ", 3 x epochs")
    )
    lost = [f"{-one.points:.1f} ± {one.half_width:.1f}" for one in (longer, short)]
    narrowed = f"{longer.points - short.points:.1f} ± {2**0.5 * longer.half_width:.1f}"
    sentence = " ".join(RESULTS.split("Notebook 07 looks for the reason.")[1].split("\n\n")[0].split())
    assert re.findall(r"\d+\.\d ± \d+\.\d", sentence) == [*lost, narrowed]
    assert longer.points - short.points < 2**0.5 * longer.half_width, "so it is not separated"


def test_what_notebooks_take_was_measured():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "notebooks.csv").set_index("notebook")
    page = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    shown = {cells[0]: cells[1:] for cells in rows("Minutes and memory", page)}
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert set(shown) == notebooks == set(table.index)
    assert shown == {name: [str(row.iloc[0]), str(row.iloc[1])] for name, row in table.iterrows()}


def test_the_demonstrations_scores_are_those_of_its_table():
    table = pd.read_csv(ROOT / "figures" / "demo.csv", index_col=0)
    shown = {cells[0]: [float(cell) for cell in cells[1:]] for cells in rows("What the demonstration shows")}
    columns = ["rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP"]
    assert shown == {name: [round(value, 1) for value in row] for name, row in table[columns].T.to_dict("list").items()}


@pytest.mark.parametrize(
    ("name", "heading"),
    [("pooling", "What the experiments show"), ("pooling_more_seeds", "The closest poolings, with eight seeds")],
)
def test_the_poolings_scores_and_verdicts_are_those_of_the_recorded_runs(name, heading):
    recorded = tables.read(name)
    measured = statistics.variants(recorded, "classroom")
    against = statistics.against(name, recorded, "classroom")
    shown = rows(heading)
    assert [cells[0] for cells in shown] == list(measured.index)
    for label, seeds, descriptor, rank1, mean_ap, difference in shown:
        row = measured.loc[label]
        assert (int(seeds), int(descriptor)) == (row["seeds"], row["descriptor"])
        assert rank1 == f"{row['rank-1']:.1f} ± {row['rank-1 sd']:.1f}"
        assert mean_ap == f"{row['mAP']:.1f} ± {row['mAP sd']:.1f}"
        if label in against.index:
            points, half, verdict = against.loc[label]
            assert difference == f"{points:+.1f} ± {half:.1f}, {verdict}"


def test_the_readings_scores_and_verdicts_are_those_of_the_recorded_runs():
    recorded = tables.read("interpretations")
    measured, against = (
        statistics.variants(recorded, "classroom"),
        statistics.against("interpretations", recorded, "classroom"),
    )
    shown = rows("Where paper B leaves a choice")
    assert [cells[0] for cells in shown] == list(measured.index)
    for label, seeds, rank1, mean_ap, difference in shown:
        row = measured.loc[label]
        assert int(seeds) == row["seeds"]
        assert rank1 == f"{row['rank-1']:.1f} ± {row['rank-1 sd']:.1f}"
        assert mean_ap == f"{row['mAP']:.1f} ± {row['mAP sd']:.1f}"
        if label in against.index:
            points, half, verdict = against.loc[label]
            assert difference == f"{points:+.1f} ± {half:.1f}, {verdict}"


def test_the_training_speeds_are_those_of_the_benchmark():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "training.csv")
    shown = rows("Training on a GPU, on several, on several machines", TRAINING)
    assert len(shown) >= 2
    for network, batch, loop, bare, plain, share, machine in shown:
        row = table[(table["network"] == network) & table["machine"].str.startswith(machine)].iloc[0]
        assert [int(batch), int(loop), int(bare), int(plain)] == [
            row[name] for name in ("batch", "loop_images_per_s", "bare_images_per_s", "plain_images_per_s")
        ]
        assert share == f"{row['loop_of_bare']:.2f}"


def test_the_retrieval_ratios_are_those_of_the_benchmark():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "retrieval.csv").set_index("work")
    shown = rows("Speed")
    assert len(shown) >= 4
    for work, reference, ratio, peak, reach in shown:
        row = table.loc[work]
        assert (reference, reach) == (row["reference"], row["reach"])
        assert ratio == f"{row['ratio']:.2f}" and peak == f"{row['peak_gib']:.2f}"


def test_every_local_link_and_picture_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / folder / "README.md" for folder in ("reid_lab", "notebooks", "figures"))]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_nothing_is_left_to_fill_in():
    assert not re.findall(r"@[A-Z_]+@", README + RESULTS + TRAINING)


def test_the_ten_lines_of_use_run(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path))
    lines = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1].replace("classroom", "smoke")
    used = {}
    exec(lines, used)
    assert 0 < used["result"].mAP <= 1 and used["run"].folder.parent == tmp_path


def test_the_readme_fits_two_screens():
    assert len(README.splitlines()) <= 125


def test_the_page_quotes_what_was_tried_on_validation_people():
    scores = tables.read("tuning_residual_pooling").set_index("variant")["mAP"]
    best = {}
    for pooling in ("baseline", "average", "max", "residual"):
        by_rate = [scores[f"{pooling}, rate {rate}"] for rate in ("0.0003", "0.001", "0.003", "0.01")]
        assert f"| {pooling} | {' | '.join(f'{score:.1f}' for score in by_rate)} |" in RESULTS
        best[pooling] = by_rate.index(max(by_rate))
    assert best == {"baseline": 1, "average": 2, "max": 2, "residual": 2}
