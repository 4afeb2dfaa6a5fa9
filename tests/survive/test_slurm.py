"""The array-job script: what it says, and that its members share a plan without making a run twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.execution.slurm import script, share, without_slurm
from tests.survive.killing import PLAN
from tests.world import make_world, toml_of


@pytest.mark.parametrize(
    ("environment", "part"),
    [
        ({}, None),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, (3, 8)),
        ({"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "4"}, (1, 4)),
        ({"SLURM_ARRAY_TASK_ID": "70", "SLURM_ARRAY_TASK_COUNT": "4"}, (2, 4)),
        ({"SLURM_ARRAY_TASK_ID": "one"}, None),
    ],
)
def test_a_member_knows_its_share_from_slurm_and_nobody_else_has_one(environment, part):
    assert share(environment) == part


def test_the_script_runs_the_same_command_without_asking_for_a_script():
    words = ["run", "--emit-slurm", "job.sh", "-m", "glia", "--set", "note=a b", "--slurm-tasks=4"]
    assert without_slurm(words) == ["run", "-m", "glia", "--set", "note=a b"]
    text = script(words, tasks=4, results=Path("results"), device="auto", threads=0)
    assert "bench.cli run -m glia --set 'note=a b'\n" in text
    assert "#SBATCH --array=0-3\n" in text
    assert "--gres=gpu:1" in text
    assert "--gres" not in script(words, tasks=4, results=Path("results"), device="cpu", threads=0)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_warning_before_the_limit_goes_to_the_member_which_replaces_the_batch_shell():
    text = script(["run"], tasks=1, results=Path("results"), device="cpu", threads=0)
    assert "#SBATCH --signal=B:TERM@120\n" in text
    assert re.search(r"^exec ", text, re.MULTILINE)


@pytest.mark.slow
def test_members_run_by_hand_make_every_run_once(tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text("[run]\nthreads = 1\n" + toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["bench", *PLAN, "--emit-slurm", "job.sh"])
    written = CliRunner().invoke(app, sys.argv[1:])
    assert "4 runs for 4 members" in written.output
    assert not list(Path("results").rglob("*.json"))
    logs = []
    for number in (0, 1):
        environment = os.environ | {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "2"}
        done = subprocess.Popen(["bash", "job.sh"], env=environment, stderr=subprocess.PIPE, text=True)
        logs.append(done)
    said = [process.communicate(timeout=200)[1] for process in logs]
    assert [process.returncode for process in logs] == [0, 0], said
    assert len(list(Path("results/runs").glob("*.json"))) == 4
    assert sum(line.startswith("done") for text in said for line in text.splitlines()) == 4
