"""The trees of the sets, shared by all tests of this room too."""

import pytest

from tests.data.trees import Trees


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    return Trees(tmp_path_factory.mktemp("trees"))
