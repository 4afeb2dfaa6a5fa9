"""The example in the docstring of each extension point is a file that works as it stands, from plan to table."""

import ast
import inspect
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS, REGISTRIES, add_plugin_file
from bench.data.dataset import DatasetSource
from bench.models.conformance import check_method
from bench.models.method import Method
from bench.planning.protocol import Protocol
from bench.report.figures import Figure
from tests.world import RECIPE, TINY, make_set

ROOT = Path(__file__).resolve().parent.parent.parent
BASES = {"method": Method, "protocol": Protocol, "dataset": DatasetSource, "figure": Figure}


def example_of(base: type, path: Path) -> Path:
    """The indented part of a class's docstring, as a file of its own."""
    text = inspect.getdoc(base) or ""
    path.write_text(textwrap.dedent(text[re.search(r"^    (from|import) ", text, re.MULTILINE).start() :]))
    return path


def bench(*words, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GLIA_BENCH_CACHE": str(cwd / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "bench.cli", *map(str, words)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def blend(own_methods, tmp_path):
    """The example of `Method`, registered."""
    path = example_of(Method, tmp_path / "blend.py")
    add_plugin_file(path)
    return path


def test_the_example_of_a_method_is_what_it_says(blend):
    assert METHODS.card("blend").summary == "A learned gain for each channel of the pooled feature."
    assert [check for check in check_method("blend") if not check.passed] == []
    with pytest.raises(UsageError, match="start=-1.0 must be at least 0"):
        METHODS.card("blend").options["start"].parse("-1")


def test_the_examples_of_method_protocol_and_dataset_go_together_from_plan_to_table(tmp_path):
    plugins = []
    for kind, name in (("method", "blend"), ("protocol", "hurried"), ("dataset", "holiday")):
        plugins += ["--plugin", example_of(BASES[kind], tmp_path / f"{name}.py")]
    pictures = make_set(tmp_path / "holiday", seed=1)
    (pictures / "labels.csv").rename(pictures / "scores.csv")
    (tmp_path / "bench.toml").write_text(f'[data]\nroot = "{tmp_path}"\n')
    checked = bench("data", "check", "holiday", *plugins, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    flags = [word for key, value in RECIPE.items() if key != "epochs" for word in ("--set", f"{key}={value}")]
    run = bench(
        "run", "-m", "blend", "-p", "hurried", "-d", "holiday", "--splits", 2, "--preset", "demo",
        "--backbone", TINY, "--weights", "random", *flags, *plugins, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    table = bench("table", "hurried", "--notes", *plugins, cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    for shown in ("Demo. In a hurry", "Blend", "Holiday", "Medians over 2 of 3 splits."):
        assert shown in table.stdout


@pytest.mark.parametrize("kind", BASES)
def test_every_fact_of_a_base_class_says_below_it_what_it_means(kind):
    base = BASES[kind]
    body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
    facts = [(one, after) for one, after in zip(body, body[1:], strict=False) if isinstance(one, ast.AnnAssign)]
    assert {one.target.id for one, _ in facts} == REGISTRIES[kind].facts | {"name"}
    assert [one.target.id for one, after in facts if not isinstance(after, ast.Expr)] == []


@pytest.mark.parametrize("kind", BASES)
def test_what_a_card_says_is_what_the_class_says(kind):
    """Also where the class itself is silent and its base speaks: readers of cards need no defaults of their own."""
    registry = REGISTRIES[kind]
    for name in registry:
        loaded, facts = registry.load(name), registry.card(name).facts
        for fact in registry.facts - {"name"}:
            assert facts[fact] == getattr(loaded, fact), (name, fact)


def said_of(blend, line: str) -> str:
    """What the check of what it says of itself has to say, with one more line in the class."""
    blend.write_text(blend.read_text().replace("    title =", f"    {line}\n    title ="))
    (check,) = (check for check in check_method("blend") if check.name == "what it says of itself can be read")
    return "" if check.passed else check.detail


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("orgin = 'a paper'", "orgin is no fact: did you mean origin?"),
        ("sized_by: str = 'start'", "sized_by is a fact, not an option: say it without an annotation"),
        ("vit_b = 3 * 256", "vit_b cannot be read from the source: write it out in the class itself"),
        ("origin = 'a paper'", ""),
        ("name = 'blend'", ""),
    ],
)
def test_a_fact_that_nobody_would_read_is_found_by_the_check(blend, line, said):
    assert said_of(blend, line) == said


@pytest.mark.parametrize("line", ["layers: list = [1, 2]", "width: int = 2 * 4"])
def test_a_field_that_can_be_no_option_is_refused_by_the_check(blend, line):
    with pytest.raises(
        UsageError, match=r"The method 'blend' \(plugin .*blend.py\): Blend has .*, and options are int"
    ):
        said_of(blend, line)


def test_a_bound_of_an_option_that_is_not_there_is_found_by_the_check(blend):
    blend.write_text(blend.read_text().replace('{"start":', '{"strat":'))
    (check,) = (check for check in check_method("blend") if check.name == "what it says of itself can be read")
    assert (check.passed, check.detail) == (False, "bounds: there is no option strat")


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ('bounds = {"start": {"lest": 0}}', "Blend: the bounds of start know no 'lest'. Did you mean least"),
        ('bounds = {"start": {"least": "0"}}', "Blend: least of start must be a number, not '0'"),
        ('bounds = {"start": {"divides": 2}}', "Blend: divides of start must be the name of an option, not 2"),
        ('bounds = {"start": 0}', "Blend: bounds must be written out"),
        ("bounds = BOUNDS", "Blend: bounds must be written out"),
        ('least = {"start": 0}', "Blend: least is said in bounds"),
    ],
)
def test_bounds_that_bound_nothing_are_refused_wherever_the_method_is_asked_for(blend, bounds, said):
    text = blend.read_text()
    blend.write_text(text.replace('bounds = {"start": {"least": 0}}', bounds))
    assert blend.read_text() != text
    with pytest.raises(UsageError, match=said):
        METHODS.card("blend")
