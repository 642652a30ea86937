"""Write the recorded numbers into the tables of RESULTS.md: ``python figures/quote.py``; ``--check`` only compares.

Each table of that page stands first under its heading, and is made anew from the files in this folder.
Nothing else of the page is touched.
"""

import sys
from pathlib import Path

import pandas as pd

from reid_lab.ablations import claims, gains, statistics, tables
from reid_lab.ablations.systems import SYSTEMS
from reid_lab.ablations.ten_years import of_common_seeds

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "RESULTS.md"


def demonstration():
    """The demonstration's rankings."""
    table = pd.read_csv(HERE / "demo.csv", index_col=0)
    return table[["rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP"]].round(1).rename_axis("ranking, %")


def variants(name, size, columns=("seeds", "descriptor", "rank-1", "mAP")):
    """Means and deviations of a grid's variants, and their differences from its reference."""
    rows = tables.read(name, HERE)
    measured, against = statistics.variants(rows, size), statistics.against(name, rows, size)
    for score in ("rank-1", "mAP"):
        spread = [f" ± {value:.1f}" if pd.notna(value) else "" for value in measured[f"{score} sd"]]
        measured[score] = [f"{value:.1f}{end}" for value, end in zip(measured[score], spread, strict=True)]
    words = {label: f"{points:+.1f} ± {half:.1f}, {verdict}" for label, (points, half, verdict) in against.T.items()}
    table = measured[list(columns)]
    return table.assign(**{f"mAP minus that of {tables.GRIDS[name].compared_with(size)}": pd.Series(words)})


def papers_claims():
    """Every claim, its verdict from the usual start, before and after the correction, and from random weights."""
    found, before = (claims.verdicts(size, HERE) for size in ("classroom", "classroom-random"))
    found["after Holm"] = found["verdict after correction"].where(found["verdict after correction"] != found["verdict"])
    found["from random weights"] = before["ours"] + ": " + before["verdict"]
    lacking = before["ours"] == ""
    found.loc[lacking, "from random weights"] = before["verdict"][lacking]
    shown = ["paper", "claim", "the paper's numbers", "ours", "verdict", "after Holm", "from random weights"]
    return found[shown].set_index("paper")


def domain():
    """Every network's mAP in the town that it was trained in and in the other one; there, how far from residual's."""
    rows = tables.read("domain", HERE).query("size == 'classroom'")
    found = rows.groupby(["variant", "town"], sort=False)["mAP"].agg(["mean", "std"]).round(1).astype(str)
    table = (found["mean"] + " ± " + found["std"]).unstack(sort=False)
    table.columns = [f"mAP, {town}" for town in table.columns]
    coast = rows[rows["town"] == "coast"]
    against = {
        label: f"{one.points:+.1f} ± {one.half_width:.1f}, {'separated' if one.separated else 'not separated'}"
        for label in table.index.difference(["residual"])
        for one in [statistics.difference(coast, "classroom", label, "residual")]
    }
    seeds = rows.groupby("variant")["seed"].nunique()
    return table.assign(seeds=seeds, **{"coast, mAP minus that of residual": pd.Series(against)}).rename_axis("variant")


def erasing():
    """Erasing after more epochs, with another fill, with smaller rectangles, each beside the same without erasing."""
    rows = tables.read("erasing_longer")
    found = statistics.variants(rows, "classroom")[["seeds", "rank-1", "mAP"]].round(1)
    without = {label: f"erasing 0.0{label.removeprefix('erasing 0.5')}" for label in found.index if "0.5" in label}
    without |= {label: "erasing 0.0" for label in without if without[label] not in found.index}
    pairs = {label: statistics.difference(rows, "classroom", label, other) for label, other in without.items()}
    words = {label: f"{one.points:+.1f} ± {one.half_width:.1f}" for label, one in pairs.items()}
    return found.assign(**{"mAP minus that of as many epochs without erasing": pd.Series(words)})


def tuning():
    """The mAP of every pooling at every rate that was tried on validation people."""
    scores = tables.read("tuning_residual_pooling", HERE).set_index("variant")["mAP"]
    arms = scores[scores.index.str.match(r"[a-z ]+, rate [0-9.]+$")].round(1)
    arms.index = pd.MultiIndex.from_tuples([label.split(", rate ") for label in arms.index], names=["pooling", ""])
    table = arms.unstack(sort=False)
    return table[sorted(table, key=float)]


def own_networks():
    """The papers' own networks on a CPU, and how far each lies from its paper's reference."""
    rows = tables.read("own_networks", HERE).query("size == 'classroom'")
    table = statistics.variants(rows, "classroom")[["seeds", "rank-1", "mAP"]].round(1)
    references = {label: "B, residual" if label.startswith("B") else "A, ResNet-50" for label in table.index}
    words = {}
    for label, other in references.items():
        if label != other and min(table.loc[[label, other], "seeds"]) > 1:
            one = statistics.difference(rows, "classroom", label, other)
            words[label] = f"{one.points:+.1f} ± {one.half_width:.1f}, {'' if one.separated else 'not '}separated"
    return table.assign(**{"mAP minus that of B, residual or A, ResNet-50": pd.Series(words, dtype=str)})


def bench():
    """Every system of the papers' tables on one bench: accuracy, with and without re-ranking, and cost."""
    rows = tables.read("systems", HERE).query("size == 'classroom'")
    years = {system.label: system.year for system in SYSTEMS}
    means = of_common_seeds(rows[rows["variant"].isin(years)]).groupby("variant").mean(numeric_only=True)
    labels = [label for label in years if label in means.index]
    again = of_common_seeds(rows[rows["variant"].str.endswith(tables.RERANKED)]).groupby("variant")["mAP"].mean()
    table = means.loc[labels, ["rank-1", "mAP"]].round(1).rename_axis("system")
    table.insert(0, "year", [years[label] for label in labels])
    above = {
        label: statistics.difference(rows, "classroom", label, "softmax baseline")
        for label in labels
        if label != "softmax baseline" and (rows["variant"] == label).sum() > 1
    }
    table["mAP minus the baseline's"] = pd.Series(
        {label: f"{one.points:+.1f} ± {one.half_width:.1f}" for label, one in above.items()}, dtype=str
    )
    table["mAP, re-ranked"] = [round(again[f"{label}{tables.RERANKED}"], 1) for label in labels]
    table["parameters, M"] = (means.loc[labels, "parameters"] / 1e6).round(2)
    table["features"] = means.loc[labels, "descriptor"].astype(int)
    table["time"] = means.loc[labels, "time"].round(1)
    return table


def controls():
    """How far every system lies above each of its controls, and where the correction takes that back."""
    found = gains.gains(tables.read("systems", HERE), "classroom")
    rows = []
    for (system, control), one in found.iterrows():
        name = f"{control} (alternative)" if one["kind"] == gains.ALTERNATIVE else control
        words = f"{one['points']:+.1f} ± {one['half width']:.1f}, {'' if one['separated'] else 'not '}separated"
        lost = one["separated"] and one["corrected"] >= 1 - statistics.CONFIDENCE
        rows.append([system, name, words, "not separated" if lost else ""])
    columns = ["system", "control", "mAP minus that of the control", "after Holm"]
    return pd.DataFrame(rows, columns=columns).set_index("system")


def machines():
    """Every method's mAP on validation people under settings that imitate other machines."""
    rows = pd.read_csv(HERE.parent / "benchmarks" / "results" / "stability.csv")
    rows = rows.assign(network=rows["method"] + ", seed " + rows["seed"].astype(str))
    table = rows.pivot(index="network", columns="setting", values="mAP")[list(rows["setting"].unique())]
    table = table.loc[list(rows["network"].unique())]
    return table.assign(**{"largest difference": table.max(axis=1) - table.min(axis=1)}).round(1)


TABLES = {
    "What the demonstration shows": demonstration,
    "What the experiments show": lambda: variants("pooling", "classroom"),
    "What the papers claim": papers_claims,
    "Random erasing": erasing,
    "In a town that was not trained in": domain,
    "From random weights": lambda: variants("pooling", "classroom-random"),
    "Where paper B leaves a choice": lambda: variants(
        "interpretations", "classroom-random", ("seeds", "rank-1", "mAP")
    ),
    "How the recipes were chosen": tuning,
    "The papers' own networks": own_networks,
    "Ten years on one bench": bench,
    "What the ideas are worth": controls,
    "On another machine": machines,
}


def markdown(table):
    """A table as Markdown: its index first, nothing where nothing is known."""
    rows = table.reset_index().astype(object)
    rows = rows.where(rows.notna(), "")
    lines = [
        " | ".join(map(str, cells)) for cells in [rows.columns, ["---"] * rows.shape[1], *rows.to_numpy().tolist()]
    ]
    return "\n".join(f"| {line} |" for line in lines)


def quoted(page):
    """The page with all tables made anew."""
    for heading, make in TABLES.items():
        before, section = page.split(f"\n## {heading}\n", 1)
        head, _, rest = section.partition("\n| ")
        lines = rest.split("\n")
        end = next(i for i, line in enumerate(lines) if i and not line.startswith("|"))
        page = f"{before}\n## {heading}\n{head}\n{markdown(make())}\n" + "\n".join(lines[end:])
    return page


if __name__ == "__main__":
    there = PAGE.read_text(encoding="utf-8")
    now = quoted(there)
    if "--check" in sys.argv:
        sys.exit(0 if now == there else "RESULTS.md differs from the recorded tables: run python figures/quote.py")
    PAGE.write_text(now, encoding="utf-8")
