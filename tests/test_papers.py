import dataclasses
import string

import pandas as pd
import pytest

from reid_lab import methods, papers
from reid_lab.papers.originals import CHECKED
from reid_lab.papers.settings import STATUSES
from reid_lab.runtime.errors import DataError

MARKET, DUKE = "Market-1501", "DukeMTMC-reID"
SCORES = [key for key in papers.TABLES if key not in {("A", 1), ("B", 1), ("B", 4)}]
PAPER_RECIPES = {"A": methods.multitask("paper"), "B": methods.residual_pooling("paper")}
NOT_OF_A_PAPER = {"size", "precision", "evaluate_every", "half_size_epochs"}  # how we run it, not what is run


def scores(table):
    """Score by score, one frame per data set."""
    if table.columns.nlevels == 1:
        return [table]
    return [table[name] for name in table.columns.unique(0)]


@pytest.mark.parametrize("key", SCORES)
def test_scores_are_percent_and_later_ranks_are_no_worse(key):
    for frame in scores(papers.table(*key)):
        assert {"rank-1", "mAP"} <= set(frame.columns)
        assert ((frame > 10) & (frame <= 100) | frame.isna()).all(axis=None)
        ranks = [column for column in ("rank-1", "rank-5", "rank-10") if column in frame]
        for one, more in zip(ranks, ranks[1:], strict=False):
            assert ((frame[one] < frame[more]) | frame[more].isna()).all()


@pytest.mark.parametrize("key", [*SCORES, ("B", 4)])
def test_every_column_of_numbers_is_numbers_and_every_label_is_clean(key):
    frame = papers.table(*key)
    assert all(pd.api.types.is_float_dtype(kind) for kind in frame.dtypes)
    labels = [*frame.index, frame.index.name, *frame.columns.to_flat_index()]
    for label in pd.Series(labels).explode():
        assert label == (label.strip() if isinstance(label, str) else label) and label != ""
    assert frame.index.is_unique and frame.columns.is_unique


def test_the_best_rates_of_erasing_are_those_paper_a_names():
    table = papers.table("A", 2)
    assert list(table.index) == pytest.approx([k / 10 for k in range(11)])
    assert (table["rank-1"].idxmax(), table["mAP"].idxmax()) == (0.4, 0.5)


def test_table_2_of_paper_a_holds_the_resnet_50_of_its_table_3():
    assert papers.table("A", 2).loc[0.4].equals(papers.table("A", 3).loc["ResNet-50", MARKET])


def test_the_proposed_row_of_paper_a_is_the_deepest_res2net():
    proposed = papers.table("A", 4).loc["Proposed"]
    assert proposed.equals(papers.table("A", 3).loc["Res2Net-121"])
    assert proposed.equals(papers.table("A", 4).max())


def test_paper_a_claims_its_gains_over_pcb():
    table = papers.table("A", 4).xs("rank-1", axis=1, level="score")
    gains = table.loc["Proposed"] - table.loc["PCB"]
    assert gains.to_dict() == pytest.approx({MARKET: 0.84, DUKE: 1.38})


def test_paper_a_leaves_out_a_better_row_that_paper_b_quotes():
    ours, theirs = papers.table("A", 4).loc["Proposed"], papers.table("B", 3).loc["PCB+RPP"]
    assert (theirs[ours.index] > ours).all()
    assert "PCB+RPP" not in papers.table("A", 4).index


def test_the_papers_quote_svdnet_alike_and_pcb_but_for_one_number():
    a, b = papers.table("A", 4), papers.table("B", 3)[papers.table("A", 4).columns]
    assert a.loc["SVDNet"].equals(b.loc["SVDNet"])
    different = a.loc["PCB"] != b.loc["PCB"]
    assert list(different[different].index) == [(DUKE, "rank-1")]


def test_market_1501s_boxes_are_those_of_training_and_gallery():
    table = papers.table("A", 1)
    assert table.loc[MARKET, ["images", "gallery"]].sum() == 32_668
    assert table.loc[DUKE, ["images", "gallery"]].sum() + 2_228 == 36_411  # with the queries: paper B, 4.1


def test_paper_b_repeats_its_last_two_rows():
    for name in ("Residual", "Residual + re-ranking"):
        assert papers.table("B", 2).loc[name].equals(papers.table("B", 3).loc[name])


@pytest.mark.parametrize(
    ("rival", "rank_1", "m_ap"),
    [("PCB+RPP", 2.61, 12.92), ("BEF", 1.11, 7.82), ("DG-Net", 1.61, 8.52), ("CtF", 2.21, 9.62)],
)
def test_paper_b_claims_the_gains_its_table_shows(rival, rank_1, m_ap):
    table = papers.table("B", 3)[MARKET]
    gain = table.loc["Residual + re-ranking"] - table.loc[rival]
    assert gain[["rank-1", "mAP"]].tolist() == pytest.approx([rank_1, m_ap])


def test_plain_residual_is_below_bef_at_rank_1_and_above_it_in_map():
    table = papers.table("B", 3)
    gain = table.loc["Residual"] - table.loc["BEF"]
    assert (gain.xs("rank-1", level="score") < 0).all() and (gain.xs("mAP", level="score") > 0).all()


def test_re_ranking_lowers_what_the_notes_say_it_lowers():
    table = papers.table("B", 2)
    change = table.loc["Residual + re-ranking"] - table.loc["Residual"]
    assert set(change[change < 0].index) == {(MARKET, "rank-5"), (MARKET, "rank-10"), (DUKE, "rank-10")}


def test_our_network_of_paper_b_has_the_parameters_of_its_table_4():
    model = PAPER_RECIPES["B"].replace(weights=None).network(751)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert round(millions, 2) == papers.table("B", 4).loc["Residual", "parameters (M)"]


def test_only_svdnet_needs_as_little_arithmetic_and_time_as_paper_b():
    table = papers.table("B", 4)
    others = table.drop("Residual")
    no_more = (others[["FLOPs (G)", "inference (ms)"]] <= table.loc["Residual"].iloc[1:]).any(axis=1)
    assert list(others.index[no_more]) == ["SVDNet"]


def test_ticks_are_words():
    ticks = papers.table("B", 1)
    assert ticks.loc["LeNet5"].tolist() == ["early", "late"]
    assert ticks.isna().sum().tolist() == [0, 2]


def test_every_public_anchor_beats_paper_bs_baseline():
    anchors, baseline = papers.anchors(), papers.table("B", 2).loc["ResNet50_baseline", MARKET]
    assert len(anchors) == 7
    assert (anchors[["rank-1", "mAP"]] > baseline[["rank-1", "mAP"]]).all(axis=None)
    assert anchors["source"].notna().all() and set(anchors["checked"]) <= set(CHECKED)


def test_every_system_of_both_tables_stands_beside_what_it_reports():
    found = papers.originals()
    for paper, number, own in (("A", 4, ["Proposed"]), ("B", 3, ["Residual", "Residual + re-ranking"])):
        quoted, rows = papers.table(paper, number).drop(own), found[found["quoted by"] == paper]
        assert list(dict.fromkeys(rows.index.get_level_values("system"))) == list(quoted.index)
        for (system, where), row in rows.iterrows():
            assert row["quoted mAP"] == quoted.loc[system, (where, "mAP")]
    assert set(found["checked"]) == set(CHECKED) and found[["rank-1", "mAP", "note"]].notna().all(axis=None)


def test_five_rows_are_quoted_with_other_numbers_than_their_systems_report():
    differing = papers.differing()
    assert set(differing.index.get_level_values("system")) == {"GAN", "MultiLoss", "PCB", "CtF"} and len(differing) == 5
    multi_loss = differing.loc[("MultiLoss", "Market-1501")]
    assert (multi_loss["mAP"], multi_loss["quoted mAP"], multi_loss["checked"]) == (65.5, 64.4, "second-hand")


def test_a_table_given_away_is_a_copy():
    mine = papers.table("A", 2)
    mine.loc[0.4, "mAP"] = 99.0
    assert papers.table("A", 2).loc[0.4, "mAP"] == 76.13


@pytest.mark.parametrize("key", [("A", 5), ("C", 1), ("a", 1)])
def test_a_table_that_is_not_there_is_refused_with_those_that_are(key):
    with pytest.raises(DataError, match=f"no table {key[0]}{key[1]}; choose one of A1, .*B4"):
        papers.table(*key)


def test_a_third_paper_has_no_settings():
    with pytest.raises(DataError, match="no paper 'C'"):
        papers.settings("C")


@pytest.mark.parametrize("paper", ["A", "B"])
def test_our_readings_are_the_values_of_the_paper_recipe(paper):
    recipe, table = PAPER_RECIPES[paper], papers.settings(paper)
    assert {field: getattr(recipe, field) for field in table.index} == table["reading"].to_dict()


@pytest.mark.parametrize("paper", ["A", "B"])
def test_no_field_of_a_recipe_is_left_without_a_word(paper):
    fields = {field.name for field in dataclasses.fields(PAPER_RECIPES[paper])} - NOT_OF_A_PAPER
    table = papers.settings(paper)
    assert set(table.index) == fields
    assert table.index.is_unique
    assert set(table["status"]) == set(STATUSES)
    assert table["paper says"].str.len().gt(0).all()


@pytest.mark.parametrize("paper", ["A", "B"])
def test_what_is_stated_names_its_place(paper):
    table = papers.settings(paper)
    stated = table.loc[table["status"] != "silent", "paper says"]
    assert stated.str.contains(r"\((?:I|eq|[34])").all()


def test_titles_and_notes_are_sentences_about_a_named_table():
    for (paper, number), table in papers.TABLES.items():
        assert table.source == f"paper {paper}, Table {number}"
        assert table.title[0] in string.ascii_uppercase
        assert table.notes and all(note[0].isupper() or note[0].isdigit() for note in table.notes)
        assert all(note.endswith(".") for note in table.notes)
