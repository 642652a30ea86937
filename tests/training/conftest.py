"""What tests of training share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `some` and `killable`, which processes of their own import, too


@pytest.fixture(scope="session")
def few(smoke):
    """Few people, for tests that train."""
    from some import few_of

    return few_of(smoke)
