"""The capstone: what students get tells nothing, and what they hand in is scored as any other features."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reid_lab import capstone, data, retrieval
from reid_lab.cli import main
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError

SEED = 4242


@pytest.fixture(scope="module")
def made(tmp_path_factory, own_home):
    folder = tmp_path_factory.mktemp("capstone") / "hidden"
    return capstone.handout(folder, SEED, "smoke")


def town():
    return data.passersby("smoke", seed=SEED, town="coast")


def team(made, name, features_of):
    """A folder of features, made of the answers: ``features_of(table, random)``; in another order than the key's."""
    folder = made.parent / name
    folder.mkdir(exist_ok=True)
    key, random = pd.read_csv(made, dtype={"file": str}), np.random.default_rng(7)
    for part in capstone.FOLDERS:
        table = key[key["folder"] == part].sample(frac=1, random_state=1)
        np.savez(folder / f"{part}.npz", features=features_of(table, random), paths=table["file"].to_numpy(str))
    return folder


def known(table, random):
    return np.eye(100)[table["pid"] % 100] + random.normal(size=(len(table), 100)) * 0.05


def guessed(table, random):
    return random.normal(size=(len(table), 8))


def test_the_handout_has_every_image_once_and_nothing_but_pixels(made):
    key, bench = pd.read_csv(made, dtype={"file": str}), town()
    for part in capstone.FOLDERS:
        files = sorted((made.parent / "handout" / part).iterdir())
        assert [file.name for file in files] == sorted(key.loc[key["folder"] == part, "file"])
        told = {}
        for file in files:
            with Image.open(file) as image:
                assert not image.info
                told[np.asarray(image).tobytes()] = file.name
        rows = key[key["folder"] == part].set_index("file")
        for record in bench.splits[part]:
            with Image.open(record.path) as image:
                row = rows.loc[told[np.asarray(image.convert("RGB")).tobytes()]]
            assert (row["pid"], row["camid"]) == (record.pid, record.camid)
    order = key.loc[key["folder"] == "query", "pid"].tolist()
    assert order != sorted(order)


def test_a_team_is_scored_as_its_features_are_in_any_order_of_files(made):
    teams = [team(made, "baseline", guessed), team(made, "best", known)]
    table = capstone.leaderboard(made, teams)
    assert list(table.index) == ["best", "baseline"]
    assert table.loc["best", "mAP"] > 95 > 60 > table.loc["baseline", "mAP"]
    assert table.loc["baseline", "above the baseline"] == 0
    assert table.loc["best", "above the baseline"] == pytest.approx(table["mAP"]["best"] - table["mAP"]["baseline"])
    key = pd.read_csv(made, dtype={"file": str})
    by_hand = {}
    for part in capstone.FOLDERS:
        with np.load(teams[0] / f"{part}.npz") as held:
            rows = key[key["folder"] == part].set_index("file").loc[held["paths"]]
            by_hand[part] = (held["features"], rows["pid"].to_numpy(), rows["camid"].to_numpy())
    (q, qp, qc), (g, gp, gc) = by_hand.values()
    result = retrieval.rank(
        q, g, query_pids=qp, gallery_pids=gp, query_camids=qc, gallery_camids=gc, metric="euclidean"
    )
    assert table.loc["baseline", "mAP"] == pytest.approx(100 * result.mAP)
    assert table.loc["baseline", "low"] < table.loc["baseline", "mAP"] < table.loc["baseline", "high"]


def test_the_protocol_of_the_key_is_that_of_the_town(made):
    key, bench = pd.read_csv(made), town()
    labels = Protocol.of(bench.query, bench.gallery)
    of_key = {part: key[key["folder"] == part] for part in capstone.FOLDERS}
    assert sorted(of_key["query"]["pid"]) == sorted(labels.query_pids.tolist())
    assert sorted(of_key["gallery"]["camid"]) == sorted(labels.gallery_camids.tolist())


def test_nothing_is_overwritten_and_a_known_seed_is_no_secret(made, tmp_path):
    with pytest.raises(DataError, match="exists"):
        capstone.handout(made.parent, SEED, "smoke")
    with pytest.raises(DataError, match="secret one from 1,000"):
        capstone.handout(tmp_path / "new", 3)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("fault", ["missing", "no file of NumPy", "lost images", "not finite", "no key", "same name"])
def test_what_cannot_be_scored_is_told_in_a_sentence(made, fault, tmp_path):
    folder, key = team(made, f"bad {fault}", guessed), made
    teams, path = [folder], folder / "query.npz"
    told = {"missing": "cannot be read", "no file of NumPy": "cannot be read", "lost images": "lacks 1 of"}
    if fault == "missing":
        path.unlink()
    if fault == "no file of NumPy":
        path.write_bytes(b"nothing")
    with np.load(folder / "gallery.npz") as held:
        paths, features = held["paths"], held["features"]
    if fault == "lost images":
        np.savez(folder / "gallery.npz", paths=paths[1:], features=features[1:])
    if fault == "not finite":
        np.savez(folder / "gallery.npz", paths=paths, features=features * np.nan)
    if fault == "no key":
        key = tmp_path / "key.csv"
        key.write_text("a,b\n1,2\n")
    if fault == "same name":
        teams = [folder, folder]
    match = told.get(
        fault, {"not finite": "not all finite", "no key": "is no key", "same name": "same name"}.get(fault)
    )
    with pytest.raises(DataError, match=match):
        capstone.leaderboard(key, teams)


def test_the_commands_write_a_handout_and_print_a_leaderboard(tmp_path, capsys, made):
    assert main(["handout", str(tmp_path / "out"), "--seed", str(SEED), "--size", "smoke"]) == 0
    assert (tmp_path / "out" / "handout" / "query" / "00001.png").is_file()
    assert main(["leaderboard", str(made), str(team(made, "a", guessed)), str(team(made, "b", known))]) == 0
    assert "above the baseline" in capsys.readouterr().out
    assert main(["handout", str(tmp_path / "out"), "--seed", str(SEED), "--size", "smoke"]) == 2
