"""The forest plot: every claim has a row in its group, and its mark tells the verdict; counts say it in words."""

import pytest

from reid_lab.ablations import forests
from reid_lab.ablations.claims import CLAIMS, MISSING, Verdict

STATES = {  # points ± 5, p after the correction, and what the legend calls it
    "holds, before and after": (8.0, 0.01),
    "holds before, cannot be told after": (7.0, 0.2),
    "does not hold, before and after": (-9.0, 0.01),
    "does not hold before, cannot be told after": (-6.5, 0.2),
    "cannot be told, before and after": (1.0, 1.0),
    "": None,
}


def judged():
    """All claims, each in another state than the one before; of one in six nothing is recorded."""
    states = [list(STATES.values())[place % len(STATES)] for place in range(len(CLAIMS))]
    return [
        Verdict(one, lacks=MISSING)
        if state is None
        else Verdict(one, state[0] + place / 100, 5.0, 6.0, 0.001, 3, corrected=state[1])
        for place, (one, state) in enumerate(zip(CLAIMS, states, strict=True))
    ]


def bars(axes):
    """{row: (left end, point, right end, what the legend calls it)}, and {that: (color, mark)}, of all error bars."""
    places, looks = {}, {}
    for container in axes.containers:
        line, _, (ends,) = container.lines
        looks[container.get_label()] = (line.get_color(), line.get_marker())
        for x, y, ((left, low), (right, high)) in zip(*line.get_data(), ends.get_segments(), strict=True):
            assert low == high == y and y not in places
            places[y] = (left, x, right, container.get_label())
    return places, looks


def test_the_picture_of_the_claims_has_a_row_for_each_and_marks_its_numbers():
    axes, beside = forests.forest(judged()).axes
    labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    rows = {label: place for place, label in enumerate(labels)}
    assert len(rows) == len(labels) == len(CLAIMS) + 3, "and a row for each group"
    assert labels[0].startswith("Paper A") and set(rows) > {one.words for one in CLAIMS}
    places, _ = bars(axes)
    assert {place: bar[:3] for place, bar in places.items()} == {
        rows[one.claim.words]: pytest.approx((one.points - 5, one.points, one.points + 5))
        for one in judged()
        if not one.lacks
    }
    written = {(text.get_text(), text.get_position()[1]) for text in beside.texts}
    for one in judged():
        place = rows[one.claim.words]
        assert (one.lacks or one.ours.replace(", ", ",\n"), place) in written
    papers_own = {(text, place) for text, place in written if text[1:].replace(".", "").isdigit()}
    assert len(papers_own) == sum(one.numbers is not None for one in CLAIMS)
    assert {
        ("+21.71", rows["residual beats average pooling"]),
        ("+0.27", rows["re-ranking lowers rank-10 (its table)"]),
    } <= papers_own


def test_verdicts_before_and_after_the_correction_differ_by_color_and_by_mark():
    places, looks = bars(forests.forest(judged()).axes[0])
    told = [places[place][3] for place in sorted(places)]
    blind = forests.VERDICTS[forests.BLIND][0]
    assert told == [
        blind if one.blind else list(STATES)[place % len(STATES)]
        for place, one in enumerate(CLAIMS)
        if place % len(STATES) != 5
    ]
    colors, marks = zip(*looks.values(), strict=True)
    assert len(looks) == len(set(colors)) == len(set(marks)) == 6


def test_heat_of_layer4_is_drawn_faint_because_its_instrument_is_blind():
    assert [one.says for one in CLAIMS if one.blind] == [one.says for one in CLAIMS if "layer4" in one.says]
    axes = forests.forest(judged()).axes[0]
    faint = {
        label.get_text().replace("\n", " ") for label in axes.get_yticklabels() if label.get_color() == forests.FAINT
    }
    assert {one.words for one in CLAIMS if one.blind} <= faint
    assert "residual beats max pooling" not in faint


def test_groups_hold_every_claim_once_and_each_has_one_unit():
    found = forests.groups(judged())
    assert [one.claim for some in found.values() for one in some] == list(CLAIMS)
    heat = found["Paper B: where the heat lies"]
    assert len(heat) == 6 and {one.unit for one in heat} == {"points of heat"}
    assert all(one.claim.paper == name[len("Paper ")] for name, some in found.items() for one in some)
    alone = forests.forest(heat).axes[0].get_yticklabels()
    assert len(alone) == 7 and alone[0].get_text() == "Paper B: where the heat lies"


def test_counts_tell_the_verdicts_before_and_after_the_correction_in_words():
    assert forests.counts(judged()[:6]) == (
        "6 claims. By their intervals: 2 hold, 2 do not hold, 1 cannot be told, 1 has no runs. "
        "After the correction: 1 holds, 1 does not hold, 3 cannot be told, 1 has no runs."
    )


def test_whose_claim_it_is_stays_on_one_line():
    labels = [label.get_text() for label in forests.forest(judged()).axes[0].get_yticklabels()]
    assert sum("(our question)" in label for label in labels) == sum(one.kind == "ours" for one in CLAIMS)
    assert sum("(its table)" in label for label in labels) == sum(one.kind == "table" for one in CLAIMS)
