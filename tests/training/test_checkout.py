"""What a record says of the commit that made it: whether anybody else could have that code."""

import subprocess

import pytest

from bench.core import machine
from bench.training.run import make_run
from tests.core.plugins import TINY_OPTIONS, register, write_copy
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one method in it."""
    home = (tmp_path / "repository").resolve()
    (home / "methods").mkdir(parents=True)
    (home / "methods" / "known.py").write_text("x = 1\n")
    (home / ".gitignore").write_text("ignored.py\n")
    name = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "-A"], [*name, "commit", "-qm", "A method."]):
        subprocess.run(["git", *words], cwd=home, check=True)
    monkeypatch.setattr(machine, "CHECKOUT", home)
    forget()
    yield home
    forget()


def forget():
    machine._git.cache_clear()
    machine._untracked.cache_clear()


def dirty(*files):
    forget()
    return machine.describe(files)["git_dirty"]


def test_a_run_of_a_committed_method_is_clean(checkout):
    assert not dirty(checkout / "methods" / "known.py")
    assert machine.describe()["git_commit"]


def test_a_method_that_was_never_committed_makes_a_run_dirty(checkout):
    for name in ("new.py", "ignored.py"):
        path = checkout / "methods" / name
        path.write_text("x = 2\n")
        assert not dirty(checkout / "methods" / "known.py")
        assert dirty(checkout / "methods" / "known.py", path)


@pytest.mark.usefixtures("own_methods")
def test_the_record_of_a_run_by_an_uncommitted_plugin_inside_the_checkout_says_so(checkout, tmp_path):
    data = make_world(tmp_path / "sets")
    for name, folder in (("inside", checkout / "plugins"), ("outside", tmp_path / "plugins")):
        register(write_copy(folder / f"{name}.py", name))
        record, _ = make_run(tiny_spec(name, options=TINY_OPTIONS), tiny_runtime(tmp_path / name, data))
        assert record["run"]["git_dirty"] is (name == "inside")


def test_a_changed_method_makes_a_run_dirty(checkout):
    (checkout / "methods" / "known.py").write_text("x = 2\n")
    assert dirty(checkout / "methods" / "known.py")


def test_a_plugin_from_elsewhere_says_nothing_of_the_checkout(checkout, tmp_path):
    (tmp_path / "plugin.py").write_text("x = 3\n")
    assert not dirty(tmp_path / "plugin.py")


def test_without_a_repository_nothing_is_claimed(checkout):
    (checkout / ".git").rename(checkout / "no_git")
    assert not dirty(checkout / "methods" / "new.py")
    assert machine.describe()["git_commit"] == ""
