"""docs/reliability.md names a test for each promise, and each of them exists."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text()


def test_every_promise_names_a_test_that_exists():
    promises = [
        line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "|--"))
    ]
    assert len(promises) > 30
    for line in promises:
        named = re.findall(r"`([\w/]*(?:\.py|/))?(?:::(\w+))?`", line.rpartition(" | ")[2])
        assert named, line
        file = ""
        for name, test in named:
            file = name or file
            place = TESTS.parent / file if file.startswith("bench/") else TESTS / file
            assert place.exists(), file
            assert not test or f"def {test}(" in place.read_text(), test
