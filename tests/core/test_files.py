"""Files are whole or absent, what a killed writer leaves is taken away by the next run, and `~` is a home."""

import signal
import subprocess
import sys
from pathlib import Path

from bench.core.files import atomic, expanded, sweep
from bench.records.store import Store

KILLED = """
import os, signal, sys
from pathlib import Path
from bench.core.files import atomic
with atomic(Path(sys.argv[1])) as handle:
    handle.write(b"half")
    handle.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def left_by_a_killed_writer(path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL
    (left,) = path.parent.glob(".*.tmp")
    return left


def test_the_next_run_takes_away_what_a_killed_writer_left(tmp_path):
    left = left_by_a_killed_writer(tmp_path / "runs" / "key.json")
    assert not (tmp_path / "runs" / "key.json").exists()
    Store(tmp_path).ready()
    assert not left.exists()


def test_files_of_writers_that_live_or_are_of_another_machine_stay(tmp_path):
    left = left_by_a_killed_writer(tmp_path / "key.json")
    place = left.name.split(".")[3].split("-")[0]
    elsewhere = left.rename(left.with_name(left.name.replace(place, "0" * len(place))))
    unmarked = tmp_path / ".notes.tmp"
    unmarked.touch()
    with atomic(tmp_path / "other.json") as handle:
        handle.write(b"whole")
        sweep(tmp_path)
    assert (tmp_path / "other.json").read_bytes() == b"whole"
    assert elsewhere.exists()
    assert unmarked.exists()


def test_a_tilde_stands_for_a_home_and_for_itself_where_there_is_no_such_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
    for name in ("~tmp.jpg", "~nosuch/x", "a/~/x", "x"):
        assert expanded(name) == Path(name)
