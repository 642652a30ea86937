import io
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reid_lab import data, passersby, plots, retrieval
from reid_lab.data.decoding import decode
from reid_lab.plots import galleries
from reid_lab.runtime.errors import DataError, FeatureError


@pytest.fixture(scope="module")
def result(smoke, smoke_run):
    return retrieval.evaluate(smoke_run.model, smoke, roc=True)


def drawn(figure):
    """The figure's pixels; an error while drawing is an error of the test."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_a_gallery_marks_matches_and_misses_by_color_line_and_sign(result):
    figure = plots.gallery(result, queries=4, top=6)
    drawn(figure)
    axes = np.array(figure.axes).reshape(4, 7)
    marked = 0
    for row in axes:
        for cell in row[1:]:
            title = cell.get_title()
            spine = cell.spines["left"]
            right = "✓" in title
            assert right != ("✗" in title)
            assert spine.get_edgecolor()[:3] == pytest.approx(figures_color(plots.MATCH if right else plots.MISS))
            assert (spine.get_linestyle() == "solid") == right
            marked += right
    shown = galleries._spread(result.ap, 4)
    assert marked == result.matches.correct[shown, :6].sum()


def test_a_gallery_names_the_querys_own_camera(result):
    queries = range(8)
    titles = [cell.get_title() for cell in plots.gallery(result, queries, top=5).axes]
    named = np.array(["own cam" in title for title in titles]).reshape(8, 6)[:, 1:]
    own = result.matches.camids[:8, :5] == result.query_camids[:8, None]
    assert np.array_equal(named, own) and 0 < own.sum() < own.size


def figures_color(name):
    from matplotlib.colors import to_rgb

    return to_rgb(name)


def test_a_gallery_goes_from_the_best_query_to_the_worst(result):
    chosen = galleries._spread(result.ap, 5)
    assert list(result.ap[chosen]) == sorted(result.ap[chosen], reverse=True)
    assert result.ap[chosen[0]] == np.nanmax(result.ap) and result.ap[chosen[-1]] == np.nanmin(result.ap)


def test_a_gallery_of_bare_features_is_refused_with_the_cure(smoke_run):
    random = np.random.default_rng(0)
    labels = {"query_pids": [1, 2, 3, 4], "gallery_pids": [1, 2, 3, 4, 1, 2]}
    bare = retrieval.rank(random.random((4, 8)), random.random((6, 8)), **labels)
    with pytest.raises(DataError, match="retrieval.evaluate"):
        plots.gallery(bare)


def test_a_gallery_takes_a_number_of_queries_from_numpy(result):
    assert len(plots.gallery(result, np.int64(3), top=2).axes) == 3 * 3


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"queries": 0}, FeatureError, "queries"),
        ({"queries": 2.5}, FeatureError, "queries"),
        ({"top": -1}, FeatureError, "top"),
        ({"queries": [999]}, DataError, r"queries.*\[999\]"),
        ({"queries": []}, DataError, r"queries.*\[\]"),
    ],
    ids=str,
)
def test_a_gallery_of_queries_that_there_are_not_is_refused_with_a_sentence(result, options, error, sentence):
    with pytest.raises(error, match=sentence):
        plots.gallery(result, **options)


def test_cmc_curves_show_the_numbers_of_the_result(result):
    figure = plots.cmc({"B": result}, ranks=10)
    drawn(figure)
    line = figure.axes[0].lines[0]
    assert np.allclose(line.get_ydata(), 100 * result.cmc[:10])
    assert list(line.get_xdata()) == list(range(1, 11))
    assert list(figure.axes[0].get_xticks()) == [1, 5, 10]


def test_curves_show_the_history_of_each_run(smoke_run):
    figure = plots.curves({"one": smoke_run, "two": smoke_run.history})
    drawn(figure)
    loss, accuracy, score = figure.axes
    assert np.allclose(loss.lines[0].get_ydata(), smoke_run.history["loss"])
    assert np.allclose(accuracy.lines[1].get_ydata(), 100 * smoke_run.history["accuracy"])
    assert np.allclose(score.lines[0].get_ydata(), 100 * smoke_run.history["mAP"])


def test_curves_have_no_panel_for_a_score_that_was_measured_at_the_end_alone(smoke_run):
    once = smoke_run.history.assign(mAP=[*[np.nan] * (len(smoke_run.history) - 1), 0.5])
    assert len(plots.curves({"one": once}).axes) == 2
    assert len(plots.curves({"one": once, "two": smoke_run.history}).axes) == 3


def test_vital_signs_show_a_line_per_run_and_shade_what_is_unhealthy(smoke_run):
    history = smoke_run.history
    old = history[["epoch", "accuracy"]]
    figure = plots.vital_signs({"one": history, "old": old})
    drawn(figure)
    spread, paying, place, gradients, accuracy = figure.axes
    assert np.allclose(spread.lines[0].get_ydata(), history["spread"] / history["length"])
    assert np.allclose(place.lines[0].get_ydata(), history["same_position"])
    assert len(paying.lines[1].get_ydata()) == 0 and np.allclose(accuracy.lines[1].get_ydata(), history["accuracy"])
    shaded = [axes.patches[0].get_bbox() for axes in figure.axes]
    assert [box.y0 for box in shaded] == pytest.approx([0, 0.9, 0.5, 20, 0])
    assert [box.y1 for box in shaded] == pytest.approx(
        [0.05, *(a.get_ylim()[1] for a in (paying, place, gradients)), 0.2]
    )
    assert len({axes.get_title() for axes in figure.axes}) == 5
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "old"]
    assert len(plots.vital_signs({"old": old}).axes) == 1
    with pytest.raises(DataError, match="bare"):
        plots.vital_signs({"bare": history[["epoch", "loss"]]})


def test_a_contact_sheet_has_a_row_per_identity_and_a_column_per_camera(smoke):
    figure = plots.contact_sheet(smoke, identities=3, per_camera=2)
    drawn(figure)
    cameras = len({record.camid for record in smoke.train})
    assert len(figure.axes) == 3 * cameras * 2
    titles = [cell.get_title(loc="left") for cell in figure.axes]
    assert [title for title in titles if title] == [f"camera {camera}" for camera in range(1, cameras + 1)]


def test_a_contact_sheet_of_nobody_is_refused_with_a_sentence(smoke):
    with pytest.raises(DataError, match=smoke.name):
        plots.contact_sheet(replace(smoke, train=[]))
    with pytest.raises(FeatureError, match="identities"):
        plots.contact_sheet(smoke, identities=0)


def test_an_erasing_grid_changes_only_what_was_erased(smoke):
    figure = plots.erasing_grid(smoke, data.RandomErasing(probability=1.0), count=3)
    drawn(figure)
    pictures = [cell.images[0].get_array() for cell in figure.axes]
    assert [cell.get_ylabel() for cell in figure.axes if cell.get_ylabel()] == ["before", "after erasing"]
    for before, after in zip(pictures[:3], pictures[3:], strict=True):
        changed = np.abs(before / 255 - after).max(axis=-1) > 1e-6
        assert 0.01 < changed.mean() < 0.42
        rows, columns = np.where(changed)
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert changed.sum() > 0.98 * box  # one rectangle


def test_swapped_clothes_are_a_matrix_with_the_data_sets_images_on_its_diagonal(smoke):
    shots = list({record.pid: record for record in smoke.train}.values())[:4]
    figure = plots.swapped_clothes(shots, at_most=3)
    drawn(figure)
    cells = np.array(figure.axes).reshape(3, 3)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            assert np.array_equal(cell.images[0].get_array(), passersby.dressed(shots[i], shots[j]))
            assert cell.spines["left"].get_visible() == (i == j)
        assert np.array_equal(row[i].images[0].get_array(), decode(shots[i].path, (128, 64)))
        assert str(shots[i].pid) in row[0].get_ylabel() and str(shots[i].pid) in cells[0, i].get_title()


def test_swapped_clothes_of_nobody_are_refused_with_a_sentence():
    with pytest.raises(DataError, match="no images of people"):
        plots.swapped_clothes([])


def test_thresholds_mark_the_false_match_rate_that_was_asked_for(result):
    figure = plots.thresholds({"cosine": result.roc}, false_match_rate=0.05)
    drawn(figure)
    curve, point = figure.axes[0].lines[:2]
    assert (np.diff(curve.get_ydata()) >= 0).all()
    assert point.get_xdata()[0] <= 5
    assert point.get_ydata()[0] == pytest.approx(100 * result.roc.at(0.05).true_match_rate)


def test_identification_marks_how_many_are_found_at_the_rate_of_false_alarms_that_was_asked_for():
    labels = {"query_pids": [1, 2, 3, 4], "gallery_pids": [1, 2]}
    searches = retrieval.open_set([[0.1, 0.9], [0.9, 0.4], [0.3, 0.9], [0.5, 0.9]], **labels)
    axes = plots.identification({"made up": searches}, fpir=0.5).axes[0]
    curve, point, line = axes.lines
    assert curve.get_label() == "made up: TPIR 100 % at FPIR 50 %" and axes.get_xscale() == "log"
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (50, 100) == (line.get_xdata()[0], 100)
    assert curve.get_xdata().tolist() == [50, 50, 100] and curve.get_ydata().tolist() == [50, 100, 100]


def test_thresholds_without_a_curve_or_a_share_are_refused_with_a_sentence(result):
    with pytest.raises(DataError, match="'alone'"):
        plots.thresholds({"cosine": result.roc, "alone": None})
    with pytest.raises(FeatureError):
        plots.thresholds({"cosine": result.roc}, 5)


@pytest.fixture(scope="module")
def search(smoke, smoke_run):
    """What a search among 12 images found for 3 queries, and the images."""
    query, gallery = smoke.query[:3], smoke.gallery[:12]
    features = [retrieval.extract(smoke_run.model, records) for records in (query, gallery)]
    return retrieval.search(*features, k=4), query, gallery


def test_what_a_search_found_is_drawn_with_scores_and_without_a_verdict(search):
    found, query, gallery = search
    figure = plots.found(found, query, gallery)
    drawn(figure)
    grid = np.array(figure.axes).reshape(3, 5)
    for i, row in enumerate(grid):
        assert row[0].get_title() == "query" and row[0].get_xlabel() == query[i].path.stem
        assert np.array_equal(row[0].images[0].get_array(), galleries._pixels(query[i]))
        for rank, cell in enumerate(row[1:]):
            record = gallery[found.indices[i, rank]]
            assert cell.get_title().split() == [str(rank + 1), f"{found.scores[i, rank]:.2f}"]
            assert np.array_equal(cell.images[0].get_array(), galleries._pixels(record))
    styles = {(cell.spines["left"].get_edgecolor(), cell.spines["left"].get_linestyle()) for cell in grid[:, 1:].flat}
    assert len(styles) == 1
    assert figures_color(plots.MATCH) not in [color[:3] for color, _ in styles]
    assert "cosine similarity" in figure.get_suptitle()


def test_of_many_queries_the_first_are_drawn(search):
    found, query, gallery = search
    assert len(plots.found(found, query, gallery, queries=2).axes) == 2 * 5


def test_a_long_file_name_is_shortened_in_the_middle_and_never_read_as_a_formula(search, tmp_path):
    found, query, gallery = search
    long = tmp_path / ("beginning" + 30 * "-" + "a $x_$ end.png")
    shutil.copy(query[0].path, long)
    figure = plots.found(found, [data.Record(long, 0), *query[1:]], gallery)
    drawn(figure)
    label = figure.axes[0].get_xlabel()
    assert label.startswith("beginning"[:8]) and label.endswith("a $x_$ end") and len(label) <= 20


def test_where_a_search_found_no_image_nothing_is_drawn(search):
    found, query, gallery = search
    indices, scores = found.indices.copy(), found.scores.copy()
    indices[1, 2:], scores[1, 2:] = -1, np.nan
    figure = plots.found(replace(found, indices=indices, scores=scores), query, gallery)
    drawn(figure)
    pictures = [len(cell.images) for cell in figure.axes]
    assert pictures == [1] * 5 + [1, 1, 1, 0, 0] + [1] * 5
    assert not any("nan" in cell.get_title() for cell in figure.axes)


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are Unicode")
def test_a_file_name_that_is_no_unicode_is_drawn_all_the_same(search, tmp_path):
    found, query, gallery = search
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        shutil.copy(query[0].path, odd)
    except OSError:
        pytest.skip("this file system takes Unicode only")
    figure = plots.found(found, [data.Record(odd, 0), *query[1:]], gallery)
    drawn(figure)
    assert figure.axes[0].get_xlabel() == "caf?"


@pytest.fixture
def half_heated(smoke):
    """Three queries, their masks, and heat on the upper half of each, none in the last."""
    records = smoke.query[:3]
    heats = np.zeros((3, 64, 32), np.float32)
    heats[:2, :32] = 1
    return records, [passersby.mask(record) for record in records], heats


def test_heat_maps_have_a_row_per_image_and_a_column_per_network(half_heated):
    records, _, heats = half_heated
    figure = plots.heat_maps(records, {"average": heats, "max": 1 - heats})
    drawn(figure)
    cells = np.array(figure.axes[:-1]).reshape(3, 3)  # the last one is the color bar
    assert [cell.get_title() for cell in cells[0]] == ["image", "average", "max"]
    assert all(len(cell.images) == 1 for cell in cells[:, 0]) and not any(cell.get_xlabel() for cell in cells.flat)
    for i in range(3):
        assert np.array_equal(cells[i, 0].images[0].get_array(), decode(records[i].path))
        for cell, expected in zip(cells[i, 1:], (heats[i], 1 - heats[i]), strict=True):
            picture, overlay = cell.images
            assert np.array_equal(overlay.get_array(), expected) and overlay.get_clim() == (0, 1)
            assert picture.get_extent() == overlay.get_extent() == cells[i, 0].images[0].get_extent()


def test_heat_maps_outline_the_person_and_say_how_much_of_the_heat_lies_there(half_heated):
    records, masks, heats = half_heated
    masks[0], masks[1] = np.zeros((2, 128, 64), bool)  # the second one is a false alarm
    masks[0][8:100, 10:50] = True
    figure = plots.heat_maps(records, {"B": heats}, masks)
    drawn(figure)
    cells = np.array(figure.axes[:-1]).reshape(3, 2)
    labels = [[cell.get_xlabel() for cell in row] for row in cells]
    assert labels[0] == [f"{100 * masks[0].mean():.0f} % of area", f"{100 * 56 * 40 / (64 * 64):.0f} % of heat"]
    assert labels[1] == ["nobody", "nobody"] and labels[2][1] == "no heat"
    assert [[len(cell.collections) for cell in row] for row in cells] == [[1, 1], [0, 0], [1, 1]]
    outline = np.concatenate([path.vertices for path in cells[0, 0].collections[0].get_paths()])
    left, right, lowest, top = 10 / 64, 50 / 64, 2 - 100 / 64, 2 - 8 / 64  # of a picture 1 wide and 2 high
    for found, expected in zip(outline.T, ((left, right), (lowest, top)), strict=True):
        assert (found.min(), found.max()) == pytest.approx(expected, abs=1 / 64)


def test_heat_maps_that_do_not_belong_to_the_images_are_refused(half_heated):
    records, masks, heats = half_heated
    with pytest.raises(DataError, match="2 of 'max', 1 of 'masks'"):
        plots.heat_maps(records, {"average": heats, "max": heats[:2]}, masks[:1])
    for nothing in ({"records": [], "heats": {"B": heats}}, {"records": records, "heats": {}}):
        with pytest.raises(DataError):
            plots.heat_maps(**nothing)
