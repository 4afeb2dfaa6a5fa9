"""What comes from files is data: nothing in it is run, and nothing is rendered as markup."""

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.console import grid

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for room in ("bench", "methods", "protocols") for p in (ROOT / room).rglob("*.py"))
BANNED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
UNSAFE = {"eval", "exec", "compile", "__import__"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_source_can_run_what_a_file_says(path):
    tree = ast.parse(path.read_text())
    assert not BANNED & set(imported(tree))
    for name, keywords in calls(tree):
        assert name not in UNSAFE, name
        if name == "torch.load":
            assert keywords.get("weights_only") == "True"
        if name in ("np.load", "numpy.load"):
            assert keywords.get("allow_pickle") == "False"
        assert keywords.get("shell", "False") == "False"


PLUGIN = """
from pathlib import Path
from bench.models.method import Method
Path("was_run").touch()
class Marked(Method):
    name = "marked"
"""


def test_a_plugin_file_is_run_only_when_it_is_named_and_something_of_it_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("plugin.py").write_text(PLUGIN)
    for words in (["methods"], ["status"], ["methods", "check", "marked"]):
        CliRunner().invoke(app, words)
        assert not Path("was_run").exists()
    assert "marked" in CliRunner().invoke(app, ["methods", "--plugin", "plugin.py"]).output
    assert not Path("was_run").exists()  # a listing reads the file and does not run it
    CliRunner().invoke(app, ["methods", "check", "marked", "--plugin", "plugin.py"])
    assert Path("was_run").exists()


def test_cells_of_a_grid_are_never_read_as_markup(capsys):
    grid(("[bold]a[/bold]", "b"), [("[link=file:///]x[/link]", "[/]"), ("\\[red]", "[red]")], title="[blink]t")
    said = capsys.readouterr().out
    for text in ("[bold]a[/bold]", "[link=file:///]x[/link]", "[/]", "[red]", "[blink]t"):
        assert text in said
