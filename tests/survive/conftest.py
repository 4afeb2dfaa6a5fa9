"""What the tests of this room share."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def in_memory(tmp_path):
    """A folder whose speed is not that of a disk, where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)
