from dataclasses import asdict

from reid_lab.passersby.bodies import KEYPOINTS, Pose, View, joints
from reid_lab.passersby.people import ATTRIBUTES, BLOCK, look_alike, person

PIDS = range(1, 401)
SHARED = ("upper", "upper_colour", "second_colour", "pattern", "sleeves", "lower", "lower_colour")
OWN = ("hair", "hair_style", "hat", "shoes", "bag", "bag_colour", "front_logo", "back_print")


def blocks(seed, alike):
    firsts = range(1, 401, BLOCK)
    return [[person(seed, first + k) for k in range(BLOCK)] for first in firsts if look_alike(seed, first) == alike]


def test_look_alikes_share_their_clothes_and_differ_in_details():
    for block in blocks(0, alike=True):
        for name in SHARED:
            assert len({getattr(who, name) for who in block}) == 1
        assert len({tuple(getattr(who, name) for name in OWN) for who in block}) == BLOCK
    shared = {
        name for name in asdict(person(0, 1)) if all(len({getattr(a, name) for a in b}) == 1 for b in blocks(0, True))
    }
    assert shared == {*SHARED, "open_front", "tint"}


def test_other_blocks_do_not_share_a_wardrobe():
    same = [len({tuple(getattr(who, name) for name in SHARED) for who in b}) for b in blocks(0, alike=False)]
    assert sum(count == BLOCK for count in same) > 0.95 * len(same)


def test_about_two_in_five_blocks_look_alike():
    assert 0.3 < len(blocks(0, alike=True)) / 100 < 0.5


def test_an_identity_depends_on_the_seed_and_on_nothing_else():
    assert person(0, 9) == person(0, 9)
    assert sum(person(0, pid) == person(1, pid) for pid in PIDS) == 0


def test_all_identities_are_told_apart_by_their_attributes():
    assert len({tuple(person(0, pid).attributes().values()) for pid in PIDS}) == len(PIDS)
    assert set(person(0, 1).attributes()) == set(ATTRIBUTES) <= set(asdict(person(0, 1)))


def test_saturated_clothes_are_rare():
    loud = {"red", "yellow", "orange", "purple", "teal"}
    assert sum(person(0, pid).upper_colour in loud for pid in PIDS) < 0.2 * len(PIDS)


def test_a_walking_body_stands_on_the_ground_and_keeps_its_bones():
    who = person(0, 3)
    thighs = set()
    for phase in (0.0, 0.13, 0.4, 0.77):
        found = joints(who, Pose(phase, 1.0, "swing", "bent", 0.02))
        feet = [found[f"{side}_{part}"][1] for side in ("left", "right") for part in ("toe", "heel")]
        assert 0.0 < min(feet) < 0.06
        assert who.height * 0.9 < found["crown"][1] <= who.height * 1.02
        hip, knee = found["left_hip"], found["left_knee"]
        thighs.add(round((hip[1] - knee[1]) ** 2 + (hip[2] - knee[2]) ** 2, 3))
    assert len(thighs) == 1
    assert set(KEYPOINTS) <= set(found)


def test_a_person_seen_from_behind_shows_the_left_hand_at_the_left():
    front, back = (View(0, 0, 100, yaw, 0.0) for yaw in (0.0, 0.5))
    assert front.project((0.2, 1.0, 0.0))[0] > 0 > back.project((0.2, 1.0, 0.0))[0]
    assert front.project((0.0, 1.0, 0.1))[2] > 0 > back.project((0.0, 1.0, 0.1))[2]
