"""Whatever is rendered escapes what came from names and files, in every format."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.table import Number, Row, Table
from bench.report.tables.costs import with_cost
from bench.report.tables.rendering import latex as latex_room
from bench.report.tables.rendering.latex import latex
from bench.report.tables.rendering.markdown import markdown
from bench.report.tables.rendering.terminal import bands, terminal
from bench.report.tables.rendering.text import number_text
from bench.report.tables.rendering.tidy import as_json, tidy_csv
from tests.report.results import results_of, tables_of

NASTY = "a_b|c*d`e<script>&[bold]x[/bold]$\\input{/etc/passwd}%#{}~^ é 文 \n=1+1"


def table_of(label: str = NASTY) -> Table:
    """A small table whose every text is the label."""
    cells = (Number(0.9, 2, 2, rank=1), Number(0.8, 1, 2, failed=1), Number(None, 0, 2, failed=2), label)
    header = ((label, "SRCC"), (label, "PLCC"), ("B", "SRCC"), ("B", label))
    row = Row((label,), cells, notes=(label,))
    return Table("nasty", label, (label,), header, (row, replace(row, block=label)), (label,), (label,))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(0.12345, 10, 10), "0.123"),
        (Number(-0.5, 10, 10), "−0.500"),
        (Number(0.5, 7, 10), "0.500 (7/10)"),
        (Number(0.5, 7, 10, failed=3), "0.500 (7/10, 3 failed)"),
        (Number(None, 0, 10, failed=10), "failed"),
        (Number(None, 0, 10), "–"),
        (Number(0.5, 10, 10, tied=True), "0.500 ≈"),
        (Number(0.5), "0.500"),
        ("✓", "✓"),
    ],
)
def test_a_number_says_how_much_stands_behind_it(number, text):
    assert number_text(number) == text


def test_markdown_from_names_cannot_break_the_table():
    lines = markdown(table_of()).split("\n")
    rows = [line for line in lines if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "<script>" not in "".join(lines)
    assert "**0.900**" in "".join(rows)


def test_terminal_text_from_names_is_not_read_as_markup():
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal(table_of("[bold]x[/bold]"), 200))
    assert "[bold]x[/bold]" in console.export_text()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_terminal_table_fits_its_width_and_loses_no_column(width):
    from rich.console import Console

    table = tables_of("main", results_of("main", "paper", "glia,lora", ["livec", "koniq10k", "live"], splits=1))["main"]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal(table, width))
    assert max(map(len, console.export_text().split("\n"))) <= width
    assert [j for band in bands(table, width) for j in band] == list(range(len(table.header)))


def test_a_spreadsheet_does_not_run_what_the_csv_holds():
    rows = list(csv.DictReader(io.StringIO(tidy_csv(table_of("=cmd()")))))
    assert {row["row"] for row in rows} == {"'=cmd()"}


def test_tidy_csv_has_one_number_a_row_with_everything_known_of_it():
    table = tables_of("main", results_of("main", "demo", "glia,linear_probe"))["main_demo"]
    rows = list(csv.DictReader(io.StringIO(tidy_csv(table))))
    assert len(rows) == 2 * 6
    first = rows[0]
    assert (first["method"], first["train"], first["metric"], first["n"], first["of"]) == (
        "linear_probe",
        "demo_a",
        "srcc",
        "3",
        "3",
    )
    assert float(first["low"]) <= float(first["mean"]) <= float(first["high"])
    assert first["interval"] == "95% of the mean (Nadeau-Bengio)"
    assert float(first["std"]) > 0


def test_json_holds_the_whole_table():
    table = tables_of("cross", results_of("cross", "demo", "glia"))["cross_demo"]
    read = json.loads(as_json(table))
    assert read["name"] == "cross_demo"
    assert len(read["rows"]) == 1
    assert read["rows"][0]["cells"][0]["value"] == pytest.approx(table.rows[0].cells[0].value)


@given(st.text(max_size=60))
def test_no_text_escapes_latex(text):
    escaped = latex_room.escape(text)
    assert escaped.isprintable()
    commands = set(re.findall(r"\\[A-Za-z]+", escaped))
    assert commands <= {match for known in latex_room.SPECIAL.values() for match in re.findall(r"\\[A-Za-z]+", known)}
    bare = re.sub(r"\\[A-Za-z]+(\{\})?|\\[{}$&#%_]|\$[-]?\$", "", escaped)
    assert not re.search(r"[\\{}&#%_^~]", bare)


@given(st.text(max_size=60))
def test_no_text_breaks_a_markdown_row(text):
    assert "\n" not in markdown(replace(table_of("x"), title=text)).split("\n")[0]
    lines = [line for line in markdown(table_of(text)).split("\n") if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def every_kind_of_table() -> list[Table]:
    """Nasty names, a published block with differences, tiers, variants, costs, and a table turned on its side."""
    made = [table_of()]
    for protocol, preset, methods in (
        ("main", "paper", "lora,glia"),
        ("cross", "paper", "lora,loda"),
        ("components", "paper", ""),
        ("distortions", "demo", "glia,lora"),
        ("gmad", "demo", "glia,lora"),
    ):
        datasets = ["livec", "koniq10k"] if preset == "paper" else []
        made += tables_of(protocol, results_of(protocol, preset, methods, datasets, splits=2)).values()
    return [*made, *(with_cost(table) for table in made[1:])]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here: install texlive-latex-recommended")
def test_every_latex_table_compiles_as_it_is(tmp_path):
    tables = every_kind_of_table()
    bodies = [latex(table) for table in tables]
    whole = bodies[0].removesuffix("\\end{document}\n")
    for body in bodies[1:]:  # one run of pdflatex for all: they share the preamble, and that is what is tested
        whole += "\\clearpage\n" + body.removeprefix(latex_room.PREAMBLE).removesuffix("\\end{document}\n")
    (tmp_path / "all.tex").write_text(whole + "\\end{document}\n", encoding="utf-8")
    (tmp_path / "one.tex").write_text(bodies[0], encoding="utf-8")
    for name in ("all", "one"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull \\hbox" not in done.stdout or name == "one"


@pytest.mark.parametrize("name", ["[Ours] net", "微调", "*starred"])
def test_a_line_of_latex_may_begin_with_what_a_line_break_would_take_for_its_own(name):
    (table,) = tables_of("main", results_of("main", "demo", "glia,lora", [], splits=2)).values()
    first = replace(table.rows[0], lead=(name, *table.rows[0].lead[1:]))
    body = latex(replace(table, rows=(table.rows[1], first), notes=(f"{name}: a note",), footer=()))
    assert not re.search(r"\\\\\s*[\[*]", body)
    assert latex_room.escape(name) in body
