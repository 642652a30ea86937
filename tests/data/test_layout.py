"""What folders' names mean, asked of names alone: no file is written here."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab.data.custom import layout
from reid_lab.runtime.errors import DataError


def spelt(form: str) -> list[str]:
    """``a{1,2}/{x,y}`` to all four names."""
    pieces = [piece.partition("}") for piece in form.split("{")]
    choices = [inside.split(",") for inside, _, _ in pieces[1:]]
    rests = [rest for _, _, rest in pieces[1:]]
    return [
        pieces[0][0] + "".join(chosen + rest for chosen, rest in zip(some, rests, strict=True))
        for some in product(*choices)
    ]


def read(*forms, told=None):
    names = sorted({name for form in forms for name in spelt(form)})
    return layout.read(names, Path("/crops"), told)


def told_by(*forms, told=None):
    """What is said of the images: splits, people, cameras."""
    places = read(*forms, told=told).images
    return [sorted({getattr(place, what) for place in places} - {None}) for what in ("split", "person", "camera")]


PEOPLE = ["001", "002", "003", "004"]
UNSPLIT, SPLITS = [""], ["gallery", "query", "train"]


@pytest.mark.parametrize(
    ("form", "splits", "people", "cameras"),
    [
        ("{001,002,003,004}/{0,1}.jpg", UNSPLIT, PEOPLE, []),
        ("{001,002,003,004}/cam{1,2}/0.jpg", UNSPLIT, PEOPLE, []),
        # cameras above, in any spelling
        ("cam{1,2}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("C{1,2}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("Camera {1,2}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("side_{a,b}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("cam{A,B}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("street-cam{1,2}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("{train,query,gallery}/cam{1,2}/{001,002,003,004}/0.jpg", ["gallery", "query", "train"], PEOPLE, [1, 2]),
        ("cam{1,2}/{train,test}/{001,002,003,004}/0.jpg", ["test", "train"], PEOPLE, [1, 2]),
        # unless names below tell others: c1, c2 are people there
        ("c{1,2,3}/cam{1,2}_0.jpg", UNSPLIT, ["c1", "c2", "c3"], []),
        # person and camera in one name
        ("{001,002,003,004}_c{1,2}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        # splits, in any case and with any prefix
        ("{Train,QUERY,Gallery}/{001,002,003,004}/0.jpg", ["gallery", "query", "train"], PEOPLE, []),
        ("bbox_{train,test}/{001,002,003,004}/0.jpg", ["test", "train"], PEOPLE, []),
        ("image_{train,query,test}/{001,002,003,004}/0.jpg", ["gallery", "query", "train"], PEOPLE, []),
        ("{train,val}/{001,002,003,004}/0.jpg", ["test", "train"], PEOPLE, []),
        ("{training,validation}/{001,002,003,004}/0.jpg", ["test", "train"], PEOPLE, []),
        ("my{Train,Probe,Gallery}/{001,002,003,004}/0.jpg", ["gallery", "query", "train"], PEOPLE, []),
        # wrappers
        ("images/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, []),
        ("dataset/{train,query,gallery}/{001,002,003,004}/0.jpg", ["gallery", "query", "train"], PEOPLE, []),
        ("VeRi/image_{train,query,test}/{001,002,003,004}_c001_0003_0.jpg", ["gallery", "query", "train"], PEOPLE, [1]),
        ("a/b/{bounding_box_train,query,bounding_box_test}/{001,002,003,004}_c1s1_0_0.jpg", SPLITS, PEOPLE, [1]),
        ("a/train/{001,002,003,004}/0.jpg", ["train"], PEOPLE, []),
        ("i-LIDS/sequences/cam{1,2}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("multi_shot/cam_{a,b}/{001,002,003,004}/0.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("anna/cam{1,2}/0.jpg", UNSPLIT, ["anna"], []),
        # tracklets and kinds below a person
        ("{001,002,003,004}/{1,2,3,4,5,6}/0.jpg", UNSPLIT, PEOPLE, []),
        ("{001,002,003,004}/track_{1,2,3,4,5,6}/0.jpg", UNSPLIT, PEOPLE, []),
        ("{001,002,003,004}/2024-01-0{1,2,3,4,5}/0.jpg", UNSPLIT, PEOPLE, []),
        ("{anna,bert,cleo}/{front,back}/0.jpg", UNSPLIT, ["anna", "bert", "cleo"], []),
        ("{anna,bert,cleo}/{1,2}/0.jpg", UNSPLIT, ["anna", "bert", "cleo"], []),
        ("{001,002,003,004}/{001,002}/0.jpg", UNSPLIT, PEOPLE, []),
        ("person_{1,2,3}/0.jpg", UNSPLIT, ["person_1", "person_2", "person_3"], []),
        ("person{1,2,3}/{a,b}/0.jpg", UNSPLIT, ["person1", "person2", "person3"], []),
        # Market-1501's and MARS' names, in any folder
        ("{001,002,003,004}_c{1,2}s1_000151_00.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("{train,query,gallery}/{001,002,003,004}_c1s1_000151_00.jpg", ["gallery", "query", "train"], PEOPLE, [1]),
        ("{a,b}/{001,002,003,004}_c{1,2}s1_000151_00.jpg", UNSPLIT, PEOPLE, [1, 2]),
        ("cam1/{001,002,003,004}_c1s1_000151_00.jpg", UNSPLIT, PEOPLE, [1]),
        ("bbox_{train,test}/x/{0001,00-1}C{1,2}T0001F001.jpg", ["test", "train"], ["00-1", "0001"], [1, 2]),
        # names that only begin like splits or cameras
        ("{Testa,Valentina,camille,Dev,Val}/0.jpg", UNSPLIT, ["Dev", "Testa", "Val", "Valentina", "camille"], []),
    ],
)  # fmt: skip
def test_folders_are_read_as_what_their_names_say(form, splits, people, cameras):
    assert told_by(form) == [splits, people, cameras]


@pytest.mark.parametrize(
    ("forms", "says"),
    [
        (["2024-01-{05,06}/{001,002,003}/0.jpg"], "2024-01-05.*001"),
        (["2024010{5,6}/0.jpg"], "20240105"),
        (["{day,night}/{anna,bert}/0.jpg"], "day.*anna"),
        (["{occluded_body_images,whole_body_images}/{001,002}/0.jpg"], "occluded_body_images.*001"),
        (["np/{labeled,detected}/{train,query,gallery}/1_c1.jpg"], "detected, labeled.*gallery"),
        (
            ["cam{1,2}/{001,002,003}/c{1,2}.jpg"],
            "cam1, cam2.*001",
        ),
        (["RGB/{1,2}.jpg"], "RGB"),
        (["{male,female}/0.jpg"], "female, male"),
        (["{north,south}/{anna,bert,cleo}/0.jpg"], "north, south.*anna, bert, cleo.*cam1, cam2"),
        (["{1,2}/{0001,0002}/0.jpg"], "1, 2.*0001, 0002"),
        (["north/{001,002,003}/0.jpg", "south/{004,005,006}/0.jpg"], "north, south.*001"),
        (["{north,south,west}/{001,002}/0.jpg"], "north, south, west.*001"),
        (["gate1/anna/0.jpg", "gate2/bert/0.jpg"], "gate1, gate2.*anna"),
        (["room1/anna/0.jpg", "room2/bert/0.jpg"], "room1, room2.*anna"),
        (["{person,car}/{0,1}.jpg"], "car, person"),
        (
            ["train/{001,002,003,004,005}/0.jpg", "test/{A,B}/{001,002,003}/0.jpg"],
            "A, B in .*001",
        ),
        (["A/anna/0.jpg", "B/bert/0.jpg"], "A, B .*anna"),
        (["campus/{anna,bert}/0.jpg"], "/crops/campus"),
        (["{anna,bert}/{train,test}/0.jpg"], "anna, bert.*test, train"),
        (["{duke,market}/{train,query,gallery}/{1,2}/0.jpg"], "duke, market.*gallery, query, train"),
        (["{a_train,b_train,a_test}/{001,002}/0.jpg"], "a_train, b_train"),
        (["side_{a,b}/{001,002,003}.jpg"], "side_a, side_b.*cameras"),
        (["{train,query,gallery}/{001,002,003}.jpg"], "001.jpg"),
        (["{anna,bert}.jpg"], "/crops .*anna.jpg"),
        (["train/{001_c1,x}.jpg", "query/001_c1.jpg"], "/crops/train .*x.jpg"),
    ],
)
def test_folders_that_are_no_people_are_refused_with_what_they_look_like(forms, says):
    with pytest.raises(DataError, match=says):
        read(*forms)


@pytest.mark.parametrize(
    ("forms", "unread", "says"),
    [
        (["{001,002}/0.jpg", "loose_{1,2}.jpg"], ["loose_1.jpg", "loose_2.jpg"], "beside the people's"),
        (["{train,query,gallery,val}/001/0.jpg"], ["val/001/0.jpg"], "in other folders (val) than"),
        (["a/{train,test,old}/001/0.jpg"], ["a/old/001/0.jpg"], "in other folders (old) than"),
        (["{train,train_all,test}/001/0.jpg"], ["train_all/001/0.jpg"], "in other folders (train_all)"),
        (["{query,gallery,anna}/001/0.jpg", "x.jpg"], ["anna/001/0.jpg", "x.jpg"], "beside the splits'"),
        (["cam{1,2,3}/001/0.jpg", "old/001/0.jpg"], ["old/001/0.jpg"], "in other folders (old) than the cameras'"),
        (["cam{1,2}/{001/0,x}.jpg"], ["cam1/x.jpg", "cam2/x.jpg"], "beside the people's"),
    ],
)
def test_what_is_not_read_is_told_with_the_reason(forms, unread, says):
    found = read(*forms).unread
    assert sorted(name for names in found.values() for name in names) == unread
    assert any(says in why for why, _ in found)


def test_no_image_is_lost_between_read_and_unread():
    forms = ["{train,Query,gallery,val}/cam{1,2}/{001,junk}/{0,1}.jpg", "x.jpg", "train/y.jpg", "Query/cam1/z.jpg"]
    forms += ["distractors/{0,1}.jpg"]
    reading = read(*forms)
    names = [place.name for place in reading.images] + [name for some in reading.unread.values() for name in some]
    assert sorted(names) == sorted({name for form in forms for name in spelt(form)})


@pytest.mark.parametrize(
    ("form", "taken"),
    [
        ("cam{1,2}/{001,002}/0.jpg", ["the folders cam1, cam2 for cameras"]),
        ("bbox_{train,test}/{001,002}/0.jpg", ["the folders bbox_test for test images, bbox_train for train images"]),
        ("{001,002}_c1s1_000151_00.jpg", ["the beginnings of the images' names for people and cameras"]),
        ("{train,query,gallery}/{001,002}/0.jpg", []),
    ],
)
def test_what_folders_were_taken_for_is_told(form, taken):
    assert read(form).taken == taken


def test_folders_of_nobody_are_nobody_on_every_level():
    assert told_by("cam1/{001,Junk}/0.jpg", "Distractors/0.jpg")[1] == ["001", "distractors", "junk"]


def test_a_pattern_of_the_user_finds_cameras_above_people():
    assert told_by("gate{1,2}/{001,002}/0.jpg", told=r"gate(\d)")[1:] == [["001", "002"], [1, 2]]
    assert told_by("{001,002}/{1,2}.jpg", told=r"(\d)")[1:] == [["001", "002"], []]


FOLDERS = ["cam1", "cam2", "side_a", "train", "Test", "gallery", "query", "val", "images", "anna", "0001", "0002", "-1"]
FOLDERS += ["junk", "2024-01-05", "a_c1", "t1"]
FILES = ["0.jpg", "1.jpg", "0001_c1s1_000151_00.jpg", "0002_c2s1_000151_00.jpg", "cam3_1.jpg"]
PATHS = st.tuples(st.lists(st.sampled_from(FOLDERS), max_size=4), st.sampled_from(FILES))


@settings(deadline=None, max_examples=300)
@given(st.sets(PATHS.map(lambda pair: "/".join([*pair[0], pair[1]])), min_size=1, max_size=40))
def test_of_any_tree_each_image_has_a_person_or_is_told_or_all_are_refused(names):
    try:
        reading = layout.read(sorted(names), Path("/crops"))
    except DataError:
        return
    assert all(place.person for place in reading.images)
    unread = [name for some in reading.unread.values() for name in some]
    assert sorted([place.name for place in reading.images] + unread) == sorted(names)
