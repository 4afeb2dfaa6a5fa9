"""What stands under a table: how to read it, what is odd about its rows, and the conditions its runs shared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.core.progress import counted
from bench.core.spec import SCHEMA, Recipe, RunSpec
from bench.planning.choices import NESTED, TRANSFERRED, chosen_keys
from bench.planning.presets import Preset
from bench.planning.usual import OWN, fact_of, preset_recipe
from bench.records.earlier import EARLIER_NOTE
from bench.records.results import Record, first_split_hashes
from bench.report.arms import Arm, value_text
from bench.report.cells import NO_INTERVAL, Cell
from bench.report.mixing import blocks_of, made_on
from bench.report.table import MEASURED, Number, Row

if TYPE_CHECKING:
    from bench.report.tables.fill import Column

SELECTION = {
    "last": "last epoch, test part looked at once",
    "val": "best epoch on validation contents inside the training part",
    "oracle": "best epoch on the TEST part (optimistic)",
}
DEMO_SETS_NOTE = (
    "Demo: labels are mean human scores of each distortion and level (KADID-10k), not opinions on these pictures; "
    "where a picture has several distortions a rule combines them. Sets and training are small, so the order of "
    "methods need not be the papers'."
)
DEMO_RECIPE_NOTE = "Demo preset: training is short, so the order of methods need not be the papers'."
STUDY_NOTES = {
    "study": "Study: labels are mean human scores of each distortion and level (KADID-10k), not opinions on these "
    "pictures.",
    "study_metric": "Study: labels of Study metric are ranks of two full-reference metrics (MS-SSIM and GMSD), "
    "computed and no opinions; those of Study are mean human scores of each distortion and level (KADID-10k).",
}
STUDY_RECIPE_NOTE = "Study preset: a short recipe made for its own small sets."

COUNTED = re.compile(r"\d+ (of \d+ )?(run|split)s?\b|^Failed")
"""A footnote that says of how many of a row's runs it speaks."""
UNTRAINED = 0.4
"""A mean (1 − ρ) / 2 over the last epoch's batches above this: a correlation below 0.2 with what is being learned."""


EXTERNAL_NOTE = "imported scores, not made here; what the model learned from, and on which files it ran, is not known"


def made_note(preset: Preset, datasets: Iterable[str]) -> str:
    """What to keep in mind of the numbers of a preset with made sets, on those or on the user's own."""
    own = set(datasets) & set(preset.main)
    if preset.name == "study":
        return STUDY_NOTES["study_metric" if "study_metric" in own else "study"] if own else STUDY_RECIPE_NOTE
    return DEMO_SETS_NOTE if own else DEMO_RECIPE_NOTE


def legend(rows: Sequence[Row], of: int, preset: Preset, datasets: Iterable[str], folds: int = 0) -> tuple[str, ...]:
    """How to read the table: only what occurs in it is explained."""
    from bench.metrics.comparisons import FEWEST_SPLITS

    numbers = [cell for row in rows if row.block == MEASURED for cell in row.cells if isinstance(cell, Number)]
    most = max((number.n for number in numbers), default=0)
    splits = of if most == of else f"{most} of {of}"
    notes = [f"Medians over {splits} splits." if of > 1 else "One split."]
    if folds:
        several = f"{folds} folds, each fold's number the mean under {of // folds} seeds"
        notes, of = [f"Medians over {several if of > folds else f'{splits} folds'}."], folds
    if any(number.rank for number in numbers):
        notes[0] += " Best in bold, second underlined."
    elif of < FEWEST_SPLITS and len({row.lead for row in rows if row.block == MEASURED}) > 1:
        notes[0] += f" Nothing is marked: with fewer than {FEWEST_SPLITS} splits no difference can be tested."
    if any(number.tied for number in numbers):
        notes.append(
            "≈: not distinguishable from the best of its column (paired over splits; the largest "
            "Nadeau–Bengio-corrected t of all against a best picked likewise, α = 0.05 for all together)."
            + (f" With {of} splits such a test sees large differences only." if of < 5 else "")
        )
    if reasons := sorted({n.interval.removeprefix(NO_INTERVAL) for n in numbers if n.interval.startswith(NO_INTERVAL)}):
        notes.append("No interval over contents for some numbers" + ";".join(reasons) + ".")
    if any(number.value is not None and not number.complete for number in numbers):
        notes.append("(k/n): only k of n splits are in; such a number is neither ranked nor compared.")
    if any(row.block != MEASURED for row in rows):
        notes.append(
            "Published numbers are as printed in the papers; bold and underline are within a paper's own table, of "
            "which rows that only repeat an earlier block are not shown."
        )
    if preset.made:
        notes.append(made_note(preset, datasets))
    return tuple(notes)


Network = tuple[str, str]
"""A frozen network of a run: whether it is the backbone or the CNN, and which one from which source."""


def usual_weights(records: Iterable[Record]) -> dict[Network, str]:
    """The hash that each frozen network's weights have in most of a table's runs."""
    counts = Counter(weights for record in records for weights in _networks(record))
    return {network: weights for (network, weights), _ in sorted(counts.items(), key=lambda item: (item[1], item[0]))}


def _networks(record: Record) -> Iterator[tuple[Network, str]]:
    """The frozen networks of a run with the hashes of their weights; a failed run may not have come to load them."""
    weights, spec = record.section("weights"), record.spec
    if known := weights.get("hash"):
        yield ("Backbone", f"{spec.backbone} ({spec.weights})"), str(known)
    source = spec.weights if spec.weights == "random" else spec.cnn_weights
    for name, loaded in (weights.get("further") or {}).items():
        yield ("CNN", f"{name} ({source})"), str(loaded.get("hash"))


def line_notes(
    arm: Arm, records: Sequence[Record], usual: Mapping[Network, str], common: Sequence[str] = ()
) -> tuple[str, ...]:
    """Footnotes of a measured row.

    `usual` are the hashes that the table's other rows have of their networks, `common` what all rows changed alike.
    """
    if arm.external:
        return external_notes(records)
    notes = [f"{EARLIER_NOTE[0].upper()}{EARLIER_NOTE[1:]}."] if arm.schema != SCHEMA else []
    networks = {network for record in records for network in _networks(record)}
    for kind in ("Backbone", "CNN"):
        if other := sorted(h[:12] for network, h in networks if network[0] == kind and h != usual.get(network)):
            notes.append(f"{kind} weights {', '.join(other)}: not those of the table's other runs, so not comparable.")
    if arm.weights == "random":
        notes.append(
            "Random weights: the backbone was never trained, so this is a test of the machinery, not a result."
        )
    elif arm.weights != "pretrained":
        notes.append(f"Backbone weights from a file given by hand ({arm.weights}).")
    if arm.cnn_weights != "pretrained":
        notes.append(f"CNN weights from a file given by hand ({arm.cnn_weights}).")
    if recipe := ", ".join(_recipe_of_its_own(arm, common)):
        notes.append(f"The {arm.preset} preset gives it a recipe of its own: {recipe}.")
    if arm.recipe_from == "tuned":
        notes.append(
            "Tuned by an older bench tune: in split 0 for all splits, on contents that other splits are tested on."
        )
    notes += _tuned_notes(records)
    notes += _ground_notes(arm, records)
    if arm.limit:
        notes.append(f"Smoke run: at most {arm.limit} images of each set.")
    if arm.budget:
        notes.append(f"Sized to a budget of {arm.budget:,} trainable parameters.")
    notes += [_by_other_code(maker, count, len(records)) for maker, count in _other_makers(records)]
    if hardly := sum(map(_hardly_trained, records)):
        notes.append(
            f"Hardly trained in {hardly} of {counted(len(records), 'run')}: the training loss ends above {UNTRAINED} "
            "(0.5 is chance). `bench tune` looks for a better rate."
        )
    errors = sorted({record.error for record in records if not record.done and record.error})
    notes += [f"Failed: {error}" for error in errors[:3]]
    if len(errors) > 3:
        notes.append(f"Failed in {len(errors) - 3} further ways: see bench status.")
    return tuple(notes)


def _recipe_of_its_own(arm: Arm, common: Sequence[str]) -> Iterator[str]:
    """What the preset gives a row's method alone, but for what the row changed and what all rows have alike."""
    own = preset_recipe(arm.plain, arm.method) if arm.recipe_from != OWN else {}
    for name, value in own.items():
        if name not in dict(arm.recipe) and f"{name}={value_text(value)}" not in common:
            yield f"{name}={value}"


def without_shared_notes(rows: Sequence[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """Rows without the footnotes that all of them have, and these; what counts runs stays with its row."""
    shared = set.intersection(*(set(row.notes) for row in rows)) if len(rows) > 1 else set()
    common = tuple(note for note in dict.fromkeys(rows[0].notes if rows else ()) if note in shared)
    common = tuple(note for note in common if not COUNTED.search(note))
    return [replace(row, notes=tuple(note for note in row.notes if note not in common)) for row in rows], common


def external_notes(records: Sequence[Record]) -> tuple[str, ...]:
    """Footnotes of a row of imported scores: where they are from, which way they pointed, and what is not known."""
    told = [record.section("external") for record in records]
    files = ", ".join(sorted({f"{about.get('file')} (sha256 {str(about.get('sha256'))[:12]})" for about in told}))
    turned = sorted({bool(about.get("lower_is_better")) for about in told})
    ways = " or ".join("turned round, lower is better there" if way else "higher is better as given" for way in turned)
    remarks = [f"{remark}." for about in told if (remark := str(about.get("remark") or "").rstrip("."))]
    return (f"External: {EXTERNAL_NOTE}. From {files}; {ways}.", *dict.fromkeys(remarks))


def _ground_notes(arm: Arm, records: Sequence[Record]) -> Iterator[str]:
    """On what a row stands, where it is not the preset's ViT, and how it learns, where not by gradient descent."""
    stands_on = fact_of(arm.method, "stands_on")
    if stands_on == "vit" and arm.backbone != arm.plain.backbone:
        yield f"Backbone {arm.backbone}; the preset's is {arm.plain.backbone}."
    elif stands_on == "own":
        names = sorted({name for record in records for name in record.section("weights").get("further") or {}})
        yield f"Stands on {' and '.join(names) or 'networks of its own'}, not on the preset's ViT."
    elif stands_on == "runs":
        yield f"Stands on the stored predictions of {' / '.join(sorted({str(r.spec.options['of']) for r in records}))}."
    elif stands_on == "nothing":
        yield "Reads no network."
    if not fact_of(arm.method, "ranked"):
        yield "Not ranked: it is told what no method may know."
    if arm.recipe_from == OWN:
        yield "Trained by its own paper's recipe (--recipe own), not by the common one."


def _tuned_notes(records: Sequence[Record]) -> Iterator[str]:
    """What `bench tune` chose for a row's runs, and where."""
    where = {NESTED: "inside each split's training part", TRANSFERRED: "on sets that the run is not tested on"}
    for origin, text in where.items():
        counts = Counter(_chosen_text(r.spec) for r in records if chosen_keys(r.spec.recipe_from)[0] == origin)
        if counts:
            listed = ", ".join(f"{chosen} ({counted(count, 'run')})" for chosen, count in sorted(counts.items()))
            yield f"Tuned {text}: {listed}."


def _chosen_text(spec: RunSpec) -> str:
    values = {**spec.options, **spec.recipe.as_dict()}
    return " ".join(f"{name}={values[name]}" for name in chosen_keys(spec.recipe_from)[1])


def _other_makers(records: Sequence[Record]) -> list[tuple[str, int]]:
    """Which other code than today's made how many of a row's runs."""
    return sorted(Counter(record.other_code for record in records if record.other_code).items())


def _by_other_code(maker: str, count: int, of: int) -> str:
    return f"{count} of {counted(of, 'run')} {'was' if count == 1 else 'were'} made by {maker}."


def logistic_notes(columns: Sequence[Column], cells: Sequence[Cell]) -> tuple[str, ...]:
    """Footnotes of a row for PLCCs whose logistic did not converge, or could not be fitted at all."""
    stopped: list[str] = []
    unfitted: list[str] = []
    for column, cell in zip(columns, cells, strict=True):
        metrics = [record.section("metrics").get(cell.experiment.target, {}) for record in cell.records]
        known = [each for each in metrics if column.metric == "plcc" and each.get("plcc") is not None]
        bad = [each for each in known if each.get("logistic_ok") is False]
        raw = sum(each.get("plcc") == each.get("plcc_raw") for each in bad)
        for into, count in ((stopped, len(bad) - raw), (unfitted, raw)):
            unit = "split" if cell.runs == cell.splits else "run"
            into += [f"{count} of {counted(cell.runs, unit)} of {column.group}"] * bool(count)
    notes = []
    if stopped:
        notes.append(f"PLCC: the logistic did not converge in {', '.join(stopped)}: its best curve is used.")
    if unfitted:
        notes.append(f"PLCC: no logistic could be fitted in {', '.join(unfitted)}: the raw PLCC stands in.")
    return tuple(notes)


def _splits(done: Sequence[Record], runs: int) -> str:
    """How many splits there are, or how many of how many; `runs` counts in k-fold a fold anew under each seed."""
    splits = len({record.spec.split for record in done})
    whole = max((record.spec.folds for record in done), default=0) or runs
    return f"{whole}" if splits == whole else f"{splits} of {whole}"


def _hardly_trained(record: Record) -> bool:
    """Whether a run has not learned its own training part: a baseline that never trained is none."""
    losses = record.body.get("loss") or [0.0]
    return record.done and record.spec.recipe.loss == "plcc" and float(losses[-1]) > UNTRAINED


def conditions(records: Sequence[Record], preset: Preset, common: Sequence[str], of: int) -> tuple[str, ...]:
    """The footer: preset, backbone and weights, splits, selection, views, precision, commit; all that occur."""
    own_runs = [record for record in records if not record.spec.external]
    if not own_runs:
        return (f"Preset: {preset.name}", f"Splits: {of}", "Nothing here was run: all scores are imported.")
    done = [record for record in own_runs if record.done] or own_runs
    recipes = list({id(record.spec.recipe): record.spec.recipe for record in done}.values())
    trains = [record.section("data").get("train", {}) for record in done]
    on_vits = [record for record in done if record.section("weights").get("source") != "none"]
    backbones = {(r.spec.backbone, r.spec.weights, r.section("weights").get("hash")) for r in on_vits}
    weights = [f"{name} ({source}" + (f", weights {str(h)[:12]})" if h else ")") for name, source, h in backbones]
    sides = [f"short side resized to {r.short_side} px" if r.short_side else "own size" for r in recipes]
    runs = [record.section("run") for record in done]
    commits = [_commit(run) for run in runs]
    seeds = len({record.spec.recipe.seed for record in done if record.spec.folds})
    schemas = sorted({int(record.body.get("schema", 0)) for record in done})
    lines = [
        f"Preset: {preset.name}" + (f", changed: {', '.join(common)}" if common else ""),
        f"Backbone: {_all(weights) if on_vits else 'none'}",
        f"Splits: {_splits(done, of)}{f', under up to {seeds} seeds' if seeds > 1 else ''}; "
        f"{_all(t.get('split_rule') for t in trains)}"
        f"{first_split_hashes(done)}",
        f"Selection: {_all(SELECTION[r.selection] for r in recipes)}",
        f"Views: {_test_views(recipes)} in test, {_numbers(r.train_views for r in recipes)} per "
        f"epoch in training, of {_numbers(r.size for r in recipes)} px; {_all(sides)}",
        f"Precision: {_all(block.get('precision') for record in done for block in blocks_of(record))}",
        f"Made with: {made_on(done)}",
        f"Commit: {_all(commits)}",
    ]
    if len(schemas) > 1:
        lines.append(f"Warning: records of several schema versions: {', '.join(map(str, schemas))}")
    return tuple(lines)


def _test_views(recipes: Sequence[Recipe]) -> str:
    """How many crops a test looks at, or that it looks at whole pictures; training is on crops either way."""
    crops, whole = ([r for r in recipes if r.whole_pictures == wanted] for wanted in (False, True))
    said = [_numbers(r.test_views for r in crops)] if crops else []
    if whole:
        most = _numbers(r.tokens for r in whole)
        said.append(f"the whole picture once at its own aspect (at most {most} patches, trained on crops)")
    return " or ".join(said)


def _commit(run: object) -> str | None:
    if not hasattr(run, "get") or not run.get("git_commit"):
        return None
    return str(run.get("git_commit"))[:10] + (" with uncommitted changes" if run.get("git_dirty") else "")


def _all(values: Iterable[object]) -> str:
    """Every distinct value, sorted; "not recorded" where there is none."""
    known = sorted({str(value) for value in values if value})
    return "; ".join(known) or "not recorded"


def _numbers(values: Iterable[int]) -> str:
    return "/".join(map(str, sorted(set(values))))
