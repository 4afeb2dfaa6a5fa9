"""`bench run` from this checkout as a user types it, timed by the events that it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def command(home: Path, words: list[str]) -> subprocess.Popen[str]:
    """`bench run` from this checkout, with events as JSON."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "GLIA_BENCH_CACHE": str(home / "cache")}
    line = [sys.executable, "-m", "bench.cli", "run", *words, "--json"]
    return subprocess.Popen(line, cwd=home, env=environment, stdout=subprocess.PIPE, text=True)


def bench_run(home: Path, words: list[str], patience: float) -> tuple[int, float]:
    """How many runs it made, and in how many seconds; stopped when these are too many."""
    begin, made = time.perf_counter(), 0
    process = command(home, words)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        made += event["event"] == "end" and event["status"] == "done"
        if event.get("status") == "failed":
            print(f"         {event['error']}", flush=True)
        if time.perf_counter() - begin > patience and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            break
    seconds = time.perf_counter() - begin
    _end(process)
    return made, seconds


def first_step(home: Path, words: list[str]) -> float:
    """Seconds from the command to its first training step."""
    begin = time.perf_counter()
    process = command(home, words)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["doing"] == "training":
            break
    seconds = time.perf_counter() - begin
    process.send_signal(signal.SIGTERM)
    _end(process)
    return seconds


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a process; one that takes long over it is ended."""
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
