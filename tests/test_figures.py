import io

import numpy as np
import pytest
from PIL import Image

from reid_lab import data, figures, retrieval
from reid_lab.errors import DataError


@pytest.fixture(scope="module")
def result(smoke, smoke_run):
    return retrieval.evaluate(smoke_run.model, smoke)


def drawn(figure):
    """The figure's pixels; an error while drawing is an error of the test."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_a_gallery_marks_matches_and_misses_by_colour_line_and_sign(result):
    figure = figures.gallery(result, queries=4, top=6)
    drawn(figure)
    axes = np.array(figure.axes).reshape(4, 7)
    marked = 0
    for row in axes:
        for cell in row[1:]:
            title = cell.get_title()
            spine = cell.spines["left"]
            right = "✓" in title
            assert right != ("✗" in title)
            assert spine.get_edgecolor()[:3] == pytest.approx(figures_colour(figures.MATCH if right else figures.MISS))
            assert (spine.get_linestyle() == "solid") == right
            marked += right
    shown = figures._spread(result.ap, 4)
    assert marked == result.matches.correct[shown, :6].sum()


def figures_colour(name):
    from matplotlib.colors import to_rgb

    return to_rgb(name)


def test_a_gallery_goes_from_the_best_query_to_the_worst(result):
    chosen = figures._spread(result.ap, 5)
    assert list(result.ap[chosen]) == sorted(result.ap[chosen], reverse=True)
    assert result.ap[chosen[0]] == np.nanmax(result.ap) and result.ap[chosen[-1]] == np.nanmin(result.ap)


def test_a_gallery_of_bare_features_is_refused_with_the_cure(smoke_run):
    random = np.random.default_rng(0)
    bare = retrieval.rank(
        random.random((4, 8)), random.random((6, 8)), [1, 2, 3, 4], [1, 2, 3, 4, 1, 2], [1] * 4, [2] * 6
    )
    with pytest.raises(DataError, match="retrieval.evaluate"):
        figures.gallery(bare)


def test_cmc_curves_show_the_numbers_of_the_result(result):
    figure = figures.cmc({"B": result}, ranks=10)
    drawn(figure)
    line = figure.axes[0].lines[0]
    assert np.allclose(line.get_ydata(), 100 * result.cmc[:10])
    assert list(line.get_xdata()) == list(range(1, 11))


def test_curves_show_the_history_of_each_run(smoke_run):
    figure = figures.curves({"one": smoke_run, "two": smoke_run.history})
    drawn(figure)
    loss, accuracy, score = figure.axes
    assert np.allclose(loss.lines[0].get_ydata(), smoke_run.history["loss"])
    assert np.allclose(accuracy.lines[1].get_ydata(), 100 * smoke_run.history["accuracy"])
    assert np.allclose(score.lines[0].get_ydata(), 100 * smoke_run.history["mAP"])


def test_a_contact_sheet_has_a_row_per_identity_and_a_column_per_camera(smoke):
    figure = figures.contact_sheet(smoke, identities=3, per_camera=2)
    drawn(figure)
    cameras = len({record.camid for record in smoke.train})
    assert len(figure.axes) == 3 * cameras * 2
    titles = [cell.get_title(loc="left") for cell in figure.axes]
    assert [title for title in titles if title] == [f"camera {camera}" for camera in range(1, cameras + 1)]


def test_an_erasing_grid_changes_only_what_was_erased(smoke):
    figure = figures.erasing_grid(smoke, data.RandomErasing(probability=1.0), count=3)
    drawn(figure)
    pictures = [cell.images[0].get_array() for cell in figure.axes]
    for before, after in zip(pictures[:3], pictures[3:], strict=True):
        changed = np.abs(before / 255 - after).max(axis=-1) > 1e-6
        assert 0.01 < changed.mean() < 0.42
        rows, columns = np.where(changed)
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert changed.sum() > 0.98 * box  # one rectangle


def test_thresholds_mark_the_false_match_rate_that_was_asked_for(result):
    figure = figures.thresholds({"cosine": result.roc}, false_match_rate=0.05)
    drawn(figure)
    curve, point = figure.axes[0].lines[:2]
    assert (np.diff(curve.get_ydata()) >= 0).all()
    assert point.get_xdata()[0] <= 5
    assert point.get_ydata()[0] == pytest.approx(100 * result.roc.at(0.05).true_match_rate)
