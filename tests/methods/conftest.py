"""What tests of methods share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # for `some`


@pytest.fixture(scope="session")
def few(smoke):
    """Few people, for tests that train."""
    from some import few_of

    return few_of(smoke)
