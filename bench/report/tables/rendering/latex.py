"""Tables as LaTeX with booktabs: a document that compiles as it is, with the table between two marked lines."""

from __future__ import annotations

from bench.report.table import Number, Row, Table
from bench.report.tables.rendering.text import blocks, footnotes, groups, marks, number_text, rank_of

PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""
BEGIN = "%% ---- the table: copy from here (needs booktabs, graphicx, amsmath, amssymb) ----\n"
END = "%% ---- to here ----\n"

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textquoteleft{}",
    "–": "--",
    "—": "---",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "Δ": r"$\Delta$",
    "α": r"$\alpha$",
    "ρ": r"$\rho$",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
}
"""What LaTeX would read as commands, and the signs that the tables use."""


def latex(table: Table) -> str:
    """A whole document holding the table."""
    return PREAMBLE + BEGIN + _float(table) + END + "\\end{document}\n"


def escape(text: str) -> str:
    """Text from names and files as LaTeX prints it; signs that pdfLaTeX's fonts lack become their code point."""
    return "".join(_sign(sign) for sign in " ".join(text.split()))


def _sign(sign: str) -> str:
    if sign in SPECIAL:
        return SPECIAL[sign]
    if sign.isascii() and sign.isprintable():
        return sign
    if "À" <= sign <= "ÿ" and sign not in "×÷ÐðÞþ":  # letters that the standard fonts can compose
        return sign
    return f"[U+{ord(sign):04X}]"


def _float(table: Table) -> str:
    numbers = footnotes(table)
    columns = "l" * len(table.leads) + "c" * len(table.header)
    lines = [
        r"\begin{table*}[t]",
        r"\centering",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{''.join(c if c.isascii() and c.isalnum() else '-' for c in table.name)}}}",
        # Wide tables shrink to the text's width; narrow ones are not blown up.
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *_header(table),
        r"\midrule",
        *_body(table, numbers),
        r"\bottomrule",
        r"\end{tabular}}",
        *_below(table, numbers),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _header(table: Table) -> list[str]:
    above = [""] * len(table.leads)
    below = [escape(lead) for lead in table.leads]
    if table.tiers[0]:
        above[-1], below[-1] = escape(table.tiers[0]), escape(table.tiers[1])
    rules = []
    at = len(table.leads) + 1
    for name, span in groups(table.header):
        above.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(name)}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
        at += span
    below += [escape(name) for _, name in table.header]
    return [_line(above), " ".join(rules), _line(below)] if rules else [_line(below)]


def _body(table: Table, numbers: dict[str, int]) -> list[str]:
    width = len(table.leads) + len(table.header)
    lines: list[str] = []
    for heading, rows in blocks(table):
        if lines:
            lines.append(r"\midrule")
        if heading:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape(heading)}}}}} \\")
        lines += [_line(_cells(row, numbers)) for row in rows]
    return lines


def _cells(row: Row, numbers: dict[str, int]) -> list[str]:
    lead = [escape(part) for part in row.lead]
    if row.notes:
        lead[0] += rf"$^{{{marks(row, numbers)}}}$"
    return lead + [_cell(cell) for cell in row.cells]


def _cell(cell: Number | str) -> str:
    value, space, rest = number_text(cell).partition(" ")
    command = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(rank_of(cell), "%s")
    return command % escape(value) + space + escape(rest)


def _below(table: Table, numbers: dict[str, int]) -> list[str]:
    notes = [rf"$^{{{number}}}$ {escape(note)}" for note, number in numbers.items()]
    notes += [escape(note) for note in (*table.notes, *table.footer)]
    if not notes:
        return []
    lines = r" \\ ".join(map(_after_break, notes))
    return [r"\par\smallskip", r"\begin{minipage}{\textwidth}\footnotesize", lines, r"\end{minipage}"]


def _line(cells: list[str]) -> str:
    return _after_break(" & ".join(cells)) + r" \\"


def _after_break(text: str) -> str:
    """A line's text, shielded where the line break before it would take its first sign for its own."""
    return f"{{}}{text}" if text.startswith(("[", "*")) else text
