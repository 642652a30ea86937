"""The lowest room knows nothing of what the package is about: none of the field's words stands in it."""

import re
from pathlib import Path

import pytest

from reid_lab import runtime

WORDS = (
    "re-?id(entification)?|persons?|people|pedestrians?|passers-?by|pids?|camids?|cameras?|identit(y|ies)|quer(y|ies)|"
    "galler(y|ies)|junk|retriev(e|al)|re-?rank(ing)?|embed(s|ding|dings)?|descriptors?|triplets?|market(-?1501)?|"
    "duke(mtmc)?|msmt17|cmc|minp"
)
FIELD = re.compile(rf"\b({WORDS})\b", re.IGNORECASE)
FILES = sorted(Path(runtime.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_word_of_the_field_stands_in_this_room(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if FIELD.search(line)] == []


@pytest.mark.parametrize("line", ["for pid in pids:", "# The Query's rows", "a re-ID network", "network.embed(few)"])
def test_a_word_of_the_field_is_noticed(line):
    assert FIELD.search(line)


def test_the_packages_own_name_is_no_word_of_the_field():
    assert not FIELD.search('from reid_lab.runtime import files  # REID_LAB_HOME, "reid_lab", ReidLabError')
