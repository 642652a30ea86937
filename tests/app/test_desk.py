"""What the page's desk finds is what retrieval finds, and what cannot be used gets a sentence."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from shots import shot

from reid_lab import retrieval
from reid_lab.app import cards, rules
from reid_lab.app.desk import Desk, _accepted
from reid_lab.app.kept import Kept
from reid_lab.app.rules import JUNK, MATCH, MISS, UNKNOWN, Rules, kinds_of, picture
from reid_lab.data import Record
from reid_lab.retrieval import reference
from reid_lab.runtime.errors import CheckpointError, DataError, FeatureError


@pytest.fixture(scope="module")
def opened(smoke, smoke_run, tmp_path_factory):
    """A desk with one run, and the run's own images."""
    runs = tmp_path_factory.mktemp("runs")
    name = shutil.copytree(smoke_run.folder, runs / smoke_run.folder.name).name
    desk = Desk(lambda run, path: smoke, runs, "cpu")
    return desk, name, desk.images("run", "", name)


@pytest.mark.parametrize("options", [{}, {"rerank": True, "k1": 7, "k2": 3, "lam": 0.2}])
def test_each_query_finds_what_an_evaluation_finds(opened, smoke, smoke_run, options):
    desk, name, images = opened
    result = retrieval.evaluate(smoke_run.model, smoke, top=5, roc=True, device="cpu", **options)
    for query in range(0, len(smoke.query), 7):
        answer = desk.answer(name, images, query, Rules(**options), top=5)
        counted = answer.kinds != JUNK
        assert list(answer.ranks[counted]) == list(range(1, counted.sum() + 1)) and (answer.ranks[~counted] == 0).all()
        np.testing.assert_allclose(answer.scores[counted], result.matches.scores[query], rtol=1e-4, atol=1e-5)
        assert list(answer.kinds[counted] == MATCH) == list(result.matches.correct[query])
    assert answer.result.mAP == pytest.approx(result.mAP, abs=1e-6)


def test_without_the_rule_junk_becomes_a_match_as_the_reference_says(opened, smoke, smoke_run):
    desk, name, images = opened
    query, gallery = (retrieval.extract(smoke_run.model, records, "cpu") for records in (smoke.query, smoke.gallery))
    distances = -(query / query.norm(dim=1, keepdim=True)) @ (gallery / gallery.norm(dim=1, keepdim=True)).T
    pids = [[record.pid for record in records] for records in (smoke.query, smoke.gallery)]
    unknown = [np.full(len(each), -1) for each in pids]
    told = reference.evaluate(
        distances.numpy(),
        query_pids=np.array(pids[0]),
        gallery_pids=np.array(pids[1]),
        query_camids=unknown[0],
        gallery_camids=unknown[1],
    )
    with_rule, without = (desk.answer(name, images, 0, Rules(same_camera=on), top=50) for on in (True, False))
    junk = set(with_rule.indices[with_rule.kinds == JUNK])
    assert junk and junk <= set(without.indices[without.kinds == MATCH]) and JUNK not in without.kinds
    assert without.result.mAP == pytest.approx(float(told.mAP), abs=1e-5)


@pytest.mark.parametrize("rerank", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1])
def test_the_threshold_keeps_to_the_false_match_rate_and_decides_who_is_accepted(opened, smoke, rate, rerank):
    desk, name, images = opened
    impostors = accepted = of_gallery = 0
    for query in range(len(smoke.query)):
        answer = desk.answer(name, images, query, Rules(false_match_rate=rate, rerank=rerank), top=len(smoke.gallery))
        nearer = answer.scores < answer.point.threshold if rerank else answer.scores > answer.point.threshold
        assert (answer.accepted == nearer).all()
        miss = answer.kinds == MISS
        impostors, accepted = impostors + miss.sum(), accepted + (miss & answer.accepted).sum()
        of_gallery += answer.of_gallery[1]
    assert accepted / impostors <= rate + 1e-9 and of_gallery == accepted
    assert accepted / impostors == pytest.approx(answer.point.false_match_rate, abs=2e-3)


def test_a_score_on_the_threshold_is_refused_as_the_curve_counts_it(opened):
    desk, name, images = opened
    result = desk.scored(name, images, Rules())
    threshold = result.roc.at(0.05).threshold
    scores = np.array([threshold, np.nextafter(threshold, 2), np.nextafter(threshold, -2)])
    assert _accepted(result, scores, 0.05)[1].tolist() == [False, True, False]
    assert _accepted(result, scores, 1.0)[1].all() and _accepted(None, scores, 0.05)[0] is None


def test_a_picture_from_outside_finds_itself_only_if_it_is_another_file_and_nobody_is_right(opened, smoke, tmp_path):
    desk, name, images = opened
    copy = picture(shutil.copy(smoke.gallery[3].path, tmp_path / "own.png"))
    for rerank in (False, True):
        answer = desk.answer(name, images, copy, Rules(rerank=rerank), top=len(smoke.gallery))
        assert 3 not in answer.indices  # byte for byte the same picture
        assert set(answer.kinds) == {UNKNOWN} and answer.point is not None
    Image.open(smoke.gallery[3].path).save(tmp_path / "saved again.bmp")
    assert desk.answer(name, images, picture(tmp_path / "saved again.bmp"), Rules()).indices[0] == 3


def test_a_folder_of_crops_has_no_threshold_and_a_query_does_not_find_itself(opened, tmp_path):
    desk, name, _ = opened
    for person in range(4):
        shot(tmp_path / "crops" / f"{person}.png", person)
    images = desk.images("crops", str(tmp_path / "crops"), name)
    for rerank in (False, True):
        answer = desk.answer(name, images, 2, Rules(rerank=rerank))
        assert sorted(answer.indices) == [0, 1, 3] and answer.point is None and answer.accepted.all()


def test_what_was_computed_once_is_kept_until_the_rules_change(opened, monkeypatch):
    desk, name, images = opened
    desk.answer(name, images, 0, Rules(rerank=True))
    calls = []
    rerank = retrieval.rerank
    monkeypatch.setattr(
        retrieval, "rerank", lambda *given, **options: calls.append(options) or rerank(*given, **options)
    )
    monkeypatch.setattr(retrieval, "extract", lambda *given, **options: pytest.fail("features are computed again"))
    desk.answer(name, images, 1, Rules(rerank=True, false_match_rate=0.05))
    assert not calls
    desk.answer(name, images, 1, Rules(rerank=True, k1=5))
    assert [call["k1"] for call in calls] == [5]


def test_memory_has_a_bound_and_what_was_used_longest_ago_goes_first():
    kept, made = Kept(10), []
    for key, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4)):
        kept.get(key, lambda key=key: made.append(key) or key, lambda _, size=size: size)
    assert made == ["a", "b", "c"] and kept.size == 8
    assert kept.get("a", lambda: "new", len) == "a"
    assert kept.get("b", lambda: "new", lambda _: 99) == "new" and kept.size == 99


def test_too_many_distances_for_re_ranking_get_a_sentence(opened, monkeypatch):
    desk, name, images = opened
    monkeypatch.setattr("reid_lab.app.desk.MOST_DISTANCES", 100)
    with pytest.raises(FeatureError, match="evaluate --rerank"):
        desk.answer(name, images, 0, Rules(rerank=True, k1=4))


def test_the_kinds_follow_the_protocol():
    query = Record("q.png", pid=5, camid=1)
    found = [Record("x.png", pid, camid) for pid, camid in ((5, 1), (5, 2), (6, 1), (0, 1), (-1, 2))]
    assert list(kinds_of(query, found, True)) == [JUNK, MATCH, MISS, MISS, JUNK]
    assert list(kinds_of(query, found, False)) == [MATCH, MATCH, MISS, MISS, JUNK]
    assert list(kinds_of(Record("q.png", pid=0), found, True)) == [UNKNOWN] * 4 + [JUNK]


def test_pictures_and_folders_that_cannot_be_used_get_a_sentence(opened, tmp_path, monkeypatch):
    desk, name, _ = opened
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "notes.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"image notes\.jpg is not an image"):  # without the folder of uploads
        picture(tmp_path / "deep" / "notes.jpg")
    monkeypatch.setattr(rules, "MOST_PIXELS", 100)
    with pytest.raises(DataError, match="2,048 pixels"):
        picture(shot(tmp_path / "large.png", 1))
    (tmp_path / "empty").mkdir()
    for source, path in (("crops", tmp_path / "empty"), ("crops", tmp_path / "gone"), ("crops", ""), ("data", " ")):
        with pytest.raises(DataError):
            desk.images(source, str(path), name)
    with pytest.raises(DataError, match="no query -1"):
        desk.answer(name, opened[2], -1, Rules())


def test_runs_that_cannot_be_used_are_not_offered_and_get_a_sentence(opened, smoke_run, tmp_path):
    damaged = shutil.copytree(smoke_run.folder, tmp_path / "runs" / smoke_run.folder.name)
    (damaged / "weights.safetensors").unlink()
    desk = Desk(lambda run, path: None, tmp_path / "runs", "cpu")
    good, bad = desk.runs()
    assert not good and "weights.safetensors" in bad[0]
    for name in (damaged.name, "nobody", ""):
        with pytest.raises(CheckpointError):
            desk.run(name)
    assert list(opened[0].runs()[0]) == [opened[1]]


def test_cards_say_rank_sign_and_score_and_never_run_a_name_as_html(opened):
    desk, name, images = opened
    answer = desk.answer(name, images, 0, Rules(), top=8)
    page = cards.gallery(answer, images, 0)
    assert page.count("<button") == len(answer.indices) and page.count("data:image/jpeg") == len(answer.indices)
    for kind in set(answer.kinds):
        assert page.count(f'class="framed {kind}"') == (answer.kinds == kind).sum()
    assert (
        page.count('class="refused"') == (~answer.accepted).sum()
        and page.count('class="limit"') == (~answer.accepted).any()
    )
    assert "<b>" not in cards.notice("<b>") and cards.notice("") == ""
    record = SimpleNamespace(path=images.query[0].path, pid=0, camid=-1, greys=None)
    assert "nobody knows" in cards.asked(SimpleNamespace(query=[record]), 0)
