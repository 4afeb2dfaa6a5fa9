"""One sentence a contest that a reviewer could quote: who is ahead, by how much, and whether that means anything."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.core.progress import counted
from bench.metrics.comparisons import FEWEST_SPLITS, PairedTest, corrected_paired_test
from bench.report.cells import paired_scores
from bench.report.page.chapters import Contest, Entry
from bench.report.tables.fill import dataset_title

TOLD, TIED, OPEN, PARTIAL = "told", "tied", "open", "partial"
VERDICTS = {
    TOLD: "One method is ahead",
    TIED: "Cannot be told apart",
    OPEN: "Too few splits to tell",
    PARTIAL: "Not all splits are in",
}
"""What the splits say of a contest, in a few words."""


@dataclass(frozen=True)
class Finding:
    """A contest's sentence, and which of the verdicts it is."""

    sentence: str
    verdict: str

    @property
    def short(self) -> str:
        """The verdict in a few words."""
        return VERDICTS[self.verdict]


def finding(contest: Contest) -> Finding:
    """What can be said of a contest; the marks are those of the tables, so that the two never differ."""
    known = [entry for entry in contest.entries if entry.number.value is not None]
    entries = [entry for entry in known if entry.subject.ranked] or known
    complete = [entry for entry in entries if entry.number.complete]
    if not contest.ranked:
        return Finding(_optimistic(contest, entries[0]), OPEN)
    if len(entries) == 1:
        return Finding(_alone(contest, entries[0]), OPEN)
    if not any(entry.number.rank for entry in complete):  # too few splits, or no two that may be compared
        return _so_far(contest, entries)
    best, others = complete[0], complete[1:]
    tied = [entry for entry in others if entry.number.tied or entry.number.rank == 1]
    ahead = _ahead_of_complete(contest, entries, best)
    if not tied:
        return Finding(_told(contest, best, others) + ahead, TOLD)
    return Finding(_tied(contest, best, tied, len(others) - len(tied)) + ahead, TIED)


def short(value: float, *, sign: bool = False) -> str:
    """A correlation or a difference as a sentence has it: .931, −.003, +.004."""
    text = f"{value:{'+' if sign else ''}.3f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("0.", ".", 1).replace("-", "−")


def paired(best: Entry, other: Entry) -> PairedTest:
    """The difference of two entries over the splits that both have."""
    first, second = paired_scores([best.cell, other.cell])
    return corrected_paired_test([first[split] - second[split] for split in first], best.cell.overlap())


def _placed(contest: Contest, text: str, more: str = "") -> str:
    """A statement with where it holds: behind it for a set by itself, before it for one set tested on another."""
    source, target = dataset_title(contest.experiment.train), dataset_title(contest.experiment.tested)
    if contest.experiment.is_own_test:
        return f"{text} on {source}{more}"
    whole = "the whole of " if contest.experiment.source == "all" else ""
    return f"Trained on {whole}{source} and tested on {target}, {text}{more}"


def _name(entry: Entry) -> str:
    """A method's label; not that its settings were tuned, which the table beside the sentence says."""
    return re.sub(r", tuned=\S+$", "", entry.subject.label)


def _names(entries: list[Entry]) -> str:
    """ "A", "A and B", "A, B and C", "A, B and 3 more"."""
    names = [_name(entry) for entry in entries]
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), names[-1]])


def _gap(best: Entry, other: Entry, above: str = "") -> str:
    """The mean difference with its interval, and over how many splits."""
    test = paired(best, other)
    size = f"{short(test.effect, sign=True)} [{short(test.low)}, {short(test.high)}] SRCC"
    return f"{size}{f' {above},' if above else ''} over {_splits(test.n)}"


def _splits(number: int) -> str:
    return counted(number, "split")


def _told(contest: Contest, best: Entry, others: list[Entry]) -> str:
    above = f"above {_name(others[0])}{', the next best' if len(others) > 1 else ''}"
    gap = _gap(best, others[0], above).removeprefix("+")
    return _placed(contest, f"{_name(best)} is ahead", f": {gap}.")


def _tied(contest: Contest, best: Entry, tied: list[Entry], behind: int) -> str:
    if len(tied) == 1:
        rest = f"; {counted(behind, 'other method')} {'is' if behind == 1 else 'are'} behind." if behind else "."
        said = f"{_name(best)} and {_name(tied[0])} cannot be told apart"
        return _placed(contest, said, f": {_gap(best, tied[0])}{rest}")
    said = f"{_name(best)} has the highest median SRCC"
    more = f" ({short(best.value)}), but {_names(tied)} cannot be told from it; the mean difference to "
    return _placed(contest, said, f"{more}the nearest, {_name(tied[0])}, is {_gap(best, tied[0])}.")


def _alone(contest: Contest, entry: Entry) -> str:
    number = entry.number
    about = _count(entry, contest)
    if number.low is not None and number.high is not None:
        about = f"median of {about}; 95% interval of the mean {short(number.low)} to {short(number.high)}"
    return _placed(contest, f"{_name(entry)} reaches an SRCC of {short(entry.value)}", f" ({about}).")


def _so_far(contest: Contest, entries: list[Entry]) -> Finding:
    """Nothing is ranked: what the numbers are, and whether a test could tell them apart at all."""
    best, second = entries[0], entries[1]
    more = f", {short(best.value)} against {_name(second)}'s {short(second.value)}"
    said = f"{_name(best)} has the highest SRCC so far"
    fewest = min(entries, key=lambda entry: len(entry.cell.scores()))
    lacking = f"; {_count(fewest, contest)}"
    common = len(paired_scores([best.cell, second.cell])[0])
    if common < FEWEST_SPLITS:
        return Finding(_placed(contest, said, f"{more}{lacking} cannot tell them apart."), OPEN)
    known = f"{lacking} of {_name(fewest)} are in, so nothing is ranked yet. The two differ by {_gap(best, second)}."
    return Finding(_placed(contest, said, f"{more}{known}"), PARTIAL)


def _ahead_of_complete(contest: Contest, entries: list[Entry], best: Entry) -> str:
    """Which methods stand above the best whose splits are all in, and how many they have; nothing if none does."""
    above = [entry for entry in entries if not entry.number.complete and entry.value > best.value]
    if not above:
        return ""
    said = [f"{_name(entry)} ({short(entry.value)}, {_count(entry, contest)})" for entry in above[:3]]
    rest = f" and {len(above) - 3} more" if len(above) > 3 else ""
    return f" Not counted, for splits are missing: {', '.join(said)}{rest}."


def _count(entry: Entry, contest: Contest) -> str:
    n = len(entry.cell.scores())
    return _splits(n) if n >= contest.splits else f"{n} of {_splits(contest.splits)}"


def _optimistic(contest: Contest, entry: Entry) -> str:
    said = f"{_name(entry)} reaches an SRCC of {short(entry.value)}"
    return _placed(contest, said, " with its epoch chosen on the test part: optimistic, and no comparison.")
