"""Every number that README, RESULTS and TRAINING quote was measured: it stands in a table of the repository."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from reid_lab.ablations import claims, tables

ROOT = Path(__file__).parent.parent
README, RESULTS, TRAINING = (
    (ROOT / f"{name}.md").read_text(encoding="utf-8") for name in ("README", "RESULTS", "TRAINING")
)


def rows(heading, page=RESULTS):
    """The cells of the first Markdown table below a heading, without its head."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("size", ["classroom", "classroom-random"])
def test_the_recorded_verdicts_are_those_of_the_recorded_runs(size):
    written = pd.read_csv(ROOT / "figures" / f"claims-{size}.csv", dtype=str, keep_default_na=False)
    assert written.equals(claims.verdicts(size).astype(written.dtypes))


def test_the_tables_of_the_results_are_those_of_the_recorded_runs():
    """Made anew from the files; and three of them read with other eyes."""
    spec = importlib.util.spec_from_file_location("quote", ROOT / "figures" / "quote.py")
    quote = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quote)
    assert quote.quoted(RESULTS) == RESULTS, "run python figures/quote.py"
    scores = tables.read("tuning_residual_pooling").set_index("variant")["mAP"]
    tried = {cells[0]: cells[1:] for cells in rows("How the recipes were chosen")}
    assert tried["max"] == [f"{scores[f'max, rate {rate}']:.1f}" for rate in ("0.0003", "0.001", "0.003", "0.01")]
    recorded = tables.read("pooling").query("size == 'classroom' and variant == 'residual'")
    shown = {cells[0]: cells[1:] for cells in rows("What the experiments show")}["residual"]
    assert shown[0] == str(len(recorded))
    assert shown[3] == f"{recorded['mAP'].mean():.1f} ± {recorded['mAP'].std():.1f}"
    verdicts = claims.verdicts("classroom").set_index("claim")["verdict"]
    assert {cells[1]: cells[4] for cells in rows("What the papers claim")} == verdicts.to_dict()


def test_what_notebooks_take_was_measured():
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "notebooks.csv").set_index("notebook")
    page = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    shown = {cells[0]: cells[1:] for cells in rows("Minutes and memory", page)}
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert set(shown) == notebooks == set(table.index)
    assert shown == {name: [str(row.iloc[0]), str(row.iloc[1])] for name, row in table.iterrows()}


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
        for target in re.findall(r"\]\((?!https:)([^)#]+)\)", page.read_text(encoding="utf-8")):
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
