"""The work behind `bench predict`: find pictures, open models, score, and tell."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cli.console import note, say, say_as_it_is
from bench.core.errors import UsageError
from bench.core.files import is_stream, writable_name, write_named, write_text
from bench.core.progress import Display, Report, clock, counted
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.records.store import Store
from bench.scoring.about import About
from bench.scoring.finding import pictures_meant
from bench.scoring.load import load_scorer, scorer_of_run
from bench.scoring.many import Scored, score_many
from bench.scoring.runs import best_of
from bench.scoring.scorer import Scorer
from bench.training.shared import Shared


@dataclass(frozen=True)
class Wish:
    """A `bench predict` command line."""

    words: tuple[str, ...]
    runs: tuple[str, ...] = ()
    best: str | None = None
    models: tuple[Path, ...] = ()
    sort: bool = False
    top: int = 0
    csv: Path | None = None
    as_json: bool = False
    explain: Path | None = None
    scale: str = ""


def predict_pictures(wish: Wish, runtime: Runtime) -> int:
    """Score what is asked for and tell; the exit code says whether some picture could not be scored."""
    _refuse_several(wish)
    pictures = pictures_meant(wish.words, lambda: sys.stdin.buffer.read(), note, wish.explain)
    for path in (wish.csv, wish.explain / "x" if wish.explain else None):
        if path is not None:
            refuse_unwritable(path)
    with Display() as display:
        scorers = _opened(wish, runtime, display.report)
        if wish.explain:
            scorers[0].refuse_unexplained()
        for line in dict.fromkeys(caution for scorer in scorers for caution in scorer.about.cautions):
            display.line(f"Warning: {line}")
        begin = time.perf_counter()
        scores, stopped = _scored(scorers, pictures, display.report)
        seconds = time.perf_counter() - begin
        good = [one for one in scores if not one.error]
        if wish.sort or wish.top:
            good = ranked(scorers, good)
        shown = good[: wish.top] if wish.top else good
    bad = [one for one in scores if one.error]
    _tell(wish, scorers, good, shown, bad)
    if wish.explain and not stopped:
        from bench.scoring.explain import write_explanations

        with Display() as display:
            write_explanations(scorers[0], [Path(one.name) for one in shown], wish.explain, display)
    return _close(len(good), bad, seconds, stopped=stopped)


def refuse_unwritable(path: Path) -> None:
    """Find out before the work, not after it, that a file cannot be written."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file in it.")
    if is_stream(path):
        return
    place = Path(os.path.realpath(path))
    probe = place.with_name(f".{place.name}.writable")
    write_text(probe, "")
    probe.unlink(missing_ok=True)


def _refuse_several(wish: Wish) -> None:
    if sum(map(bool, (wish.runs, wish.best is not None, wish.models))) > 1:
        raise UsageError("--run, --best and --model say the same thing in different ways: give one of them.")


def _refuse_other_sets(models: Sequence[About]) -> None:
    """Refuse models of several sets, and of unlike ones by one name: everybody's folder may be called photos."""
    sets = list(dict.fromkeys(about.spec.train for about in models))
    if len(sets) > 1:
        raise UsageError(f"These models learned from {' and '.join(sets)}: their scores have no common scale.")
    if len({about.data["hash"] for about in models if about.data.get("hash")}) > 1:
        raise UsageError(
            f"These models learned from sets of unlike pictures, scores or groups that are all called {sets[0]}: their "
            "scores have no common scale. Name models of one of them."
        )


def _refuse_unlike(models: Sequence[About], option: str) -> None:
    """Refuse the mean of numbers of unlike units: of models with and without a scale, of unlike ones without any."""
    lost = [about for about in models if about.scale is None]
    units = {(about.spec.method, about.spec.recipe.head, about.spec.recipe.loss) for about in lost}
    if lost and (len(lost) < len(models) or len(units) > 1):
        raise UsageError(_on_no_scale(models, lost, option))


def _on_no_scale(models: Sequence[About], lost: Sequence[About], option: str) -> str:
    """Which of several models have no scale, so that there is no mean of all, why, and how to do without them."""
    titles = " and ".join(f"{about.title} is on no scale ({about.why_raw})" for about in lost)
    others = ",".join(about.key[:8] for about in models if about.scale is not None)
    unknown = not all(about.unscaled for about in lost)
    named = f"the others (--run {others})" if others and option == "--run" else "the others"
    wanted = named if others else "models of one method, head and loss"
    learned = ", or make the training set known, so that its scale can be learned" if unknown else ""
    if unknown and option == "--model":
        learned = ", or export each again where its training set is known, so that its scale is learned"
    return f"{titles}, so there is no mean of all these models. Name {wanted}{learned}."


def _with_a_scale(scorers: Sequence[Scorer]) -> list[Scorer]:
    """Of models that nobody named those that have a scale, the others told of; all of them where none has one."""
    on_scale = [scorer for scorer in scorers if scorer.scale is not None]
    for about in (scorer.about for scorer in scorers if on_scale and scorer.scale is None):
        note(f"{about.title} is left out, for it is on no scale: {about.why_raw}.")
    return on_scale or list(scorers)


def _opened(wish: Wish, runtime: Runtime, report: Report) -> list[Scorer]:
    """The models that are asked for, on one scale; the best there is where none is named."""
    shared = Shared()
    if wish.models or wish.runs:
        named: Sequence[str | Path] = wish.models or wish.runs
        scorers = [load_scorer(source, runtime, report, shared, wish.scale) for source in named]
    else:
        best = best_of(Store(runtime.results), wish.best or "")
        counts = f"{counted(len(best.records), 'run')} with kept weights"
        note(f"{best.arm.title} on {best.dataset}, SRCC {best.srcc:.3f} on {best.tested_on}: {counts}.")
        scorers = _with_a_scale([scorer_of_run(one, runtime, report, shared, wish.scale) for one in best.records])
    abouts = [scorer.about for scorer in scorers]
    _refuse_other_sets(abouts)
    _refuse_unlike(abouts, "--model" if wish.models else "--run")
    return scorers


def _scored(scorers: Sequence[Scorer], pictures: Sequence[Path], report: Report) -> tuple[list[Scored], bool]:
    """Every picture's numbers as far as they were made, and whether somebody stopped it."""
    scores: list[Scored] = []
    begin = time.perf_counter()
    try:
        for one in score_many(scorers, pictures):
            scores.append(one)
            rate = len(scores) / max(time.perf_counter() - begin, 1e-9)
            report(len(scores), len(pictures), "scoring pictures", {"images_s": rate})
    except KeyboardInterrupt:
        return scores, True
    return scores, False


def _tell(
    wish: Wish, scorers: Sequence[Scorer], good: Sequence[Scored], shown: Sequence[Scored], bad: Sequence[Scored]
) -> None:
    """Write and print the numbers; the file gets them all."""
    if wish.csv is not None:
        write_named(wish.csv, csv_text(scorers, good).encode())
        note(f"Written: {wish.csv}")
    if wish.as_json:
        say_as_it_is(json.dumps(_as_json(scorers, shown, bad), indent=1, ensure_ascii=True))
    else:
        _print(scorers, shown)


def _close(count: int, bad: Sequence[Scored], seconds: float, *, stopped: bool) -> int:
    """Say which pictures could not be scored and how fast the others were; the exit code."""
    for one in bad:
        note(f"Not scored: {visible(one.error)}")
    rate = f", {count / max(seconds, 1e-9):.3g} a second" if count else ""
    failed = f"; {len(bad)} could not be" if bad else ""
    note(f"{counted(count, 'picture')} scored in {clock(seconds)}{rate}{failed}.")
    if stopped:
        note("Stopped: what was scored so far is above.")
        return 130
    return 1 if bad else 0


def ranked(scorers: Sequence[Scorer], scored: Sequence[Scored]) -> list[Scored]:
    """Best picture first. One model's raw numbers decide, which a scale cannot make equal; of several their scores."""
    if len(scorers) == 1:
        return sorted(scored, key=lambda one: -one.raw_mean)
    sign = -1 if scorers[0].higher_is_better else 1
    return sorted(scored, key=lambda one: sign * one.score)


def csv_text(scorers: Sequence[Scorer], scored: Sequence[Scored]) -> str:
    """All numbers to their last digit, a line a picture."""
    out = io.StringIO()
    writer = csv.writer(out)
    several = len(scorers) > 1
    keys = [f"score_{scorer.about.key[:8]}" for scorer in scorers] if several else []
    writer.writerow(["picture", "score", *(["spread"] if several else []), "raw", *keys])
    for one in scored:
        spread, each = ([one.spread], one.scores.tolist()) if several else ([], [])
        writer.writerow([writable_name(one.name), *map(repr, [one.score, *spread, one.raw_mean, *each])])
    return out.getvalue()


def visible(name: str) -> str:
    """A name on one line: newlines and other unprintable letters as Python writes them."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def _print(scorers: Sequence[Scorer], scored: Sequence[Scored]) -> None:
    scale = scorers[0].scale
    known = scale is not None
    said = f"on {scale.said}" if known else f"raw, higher is better ({scorers[0].about.why_raw})"
    if not scored:
        return
    note(f"Scores {said}.")
    several = len(scorers) > 1
    say("   score  spread  picture" if several else "   score  picture")
    for one in scored:
        spread = f"  {_short(one.spread, 6)}" if several else ""
        say_as_it_is(f"{_short(one.score, 8)}{spread}  {visible(one.name)}")


def _short(number: float, width: int) -> str:
    return f"{number:{width}.3f}"


def _as_json(scorers: Sequence[Scorer], scored: Sequence[Scored], bad: Sequence[Scored]) -> dict[str, Any]:
    scale = scorers[0].scale
    abouts = [scorer.about for scorer in scorers]
    return {
        "models": [{"run": a.key, **_facts(a.spec)} for a in abouts],
        "higher_is_better": scorers[0].higher_is_better,
        "scale": None if scale is None else scale.to_json(),
        "warnings": list(dict.fromkeys(caution for about in abouts for caution in about.cautions)),
        "pictures": [_row(one) for one in scored],
        "not_scored": [{"picture": one.name, "why": one.error} for one in bad],
    }


def _facts(spec: RunSpec) -> dict[str, Any]:
    return {"method": spec.method, "trained_on": spec.train, "split": spec.split}


def _row(one: Scored) -> dict[str, Any]:
    numbers = {"score": one.score, "spread": one.spread, "raw": one.raw_mean, "scores": one.scores.tolist()}
    return {"picture": one.name, **numbers}
