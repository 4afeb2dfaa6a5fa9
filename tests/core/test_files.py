"""Files are whole or absent, what a killed writer leaves is taken away by the next run, and `~` is a home."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from bench.core.files import atomic, expanded, sweep, write_named
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


def test_what_a_user_names_by_a_link_is_written_where_it_leads_and_the_link_stays(tmp_path):
    (tmp_path / "real.csv").touch()
    for name, target in (("link.csv", "real.csv"), ("ahead.csv", "new.csv")):
        (tmp_path / name).symlink_to(target)
        write_named(tmp_path / name, b"whole")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_bytes() == b"whole"


def test_what_a_user_names_may_be_a_pipe_which_gets_it_and_stays_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        write_named(tmp_path / "pipe", b"whole")
        assert reader.communicate(timeout=60)[0] == b"whole"
    assert (tmp_path / "pipe").is_fifo()


def test_the_standard_output_may_be_named(tmp_path):
    code = (
        "from pathlib import Path; from bench.core.files import write_named; write_named(Path('/dev/stdout'), b'all')"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"all"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_bytes() == b"all"


def test_a_tilde_stands_for_a_home_and_for_itself_where_there_is_no_such_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
    for name in ("~tmp.jpg", "~nosuch/x", "a/~/x", "x"):
        assert expanded(name) == Path(name)
