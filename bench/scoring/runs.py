"""Which runs are meant: by their key, or as the best that was measured on a set, with their trained tensors kept."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.core.errors import StoreError, UsageError
from bench.core.mixes import flags_of, sets_of
from bench.core.registry import METHODS
from bench.core.spec import Target
from bench.planning.usual import fact_of
from bench.records.results import Experiment, Record, Results
from bench.records.store import Store
from bench.report.arms import Arm, Options
from bench.report.cells import Cell
from bench.report.selection import PresetResults, by_preset

FEWEST_LETTERS = 4
"""Of a key, as many must be given."""
Scores = Mapping[tuple[Experiment, int], float]
"""An arm's SRCC by experiment and split."""
KEEPING = 'keep_weights = "always" in [run] of bench.toml keeps them'


@dataclass(frozen=True)
class Best:
    """The runs of the method that did best on a set, and how well they did."""

    records: tuple[Record, ...]
    arm: Arm
    dataset: str
    scores: Scores

    @property
    def srcc(self) -> float:
        """The median over its splits; of several tests their mean."""
        return _mean_of_medians(self.scores)

    @property
    def tested_on(self) -> str:
        """On its set's own test part, or else on the whole sets it was tested on."""
        return ", ".join(sorted({_said(experiment) for experiment, _ in self.scores}))


def run_of_key(store: Store, key: str) -> Record:
    """The finished run of a key (or its beginning) whose trained tensors are kept; else what to do, in a line."""
    names = sorted(path.stem for path in store.runs.glob("*.json")) if store.runs.is_dir() else []
    keys = [name for name in names if name.startswith(key)] if len(key) >= FEWEST_LETTERS else []
    if len(keys) > 1:
        raise UsageError(f"{len(keys)} runs begin with {key}: {', '.join(keys[:4])}. Give more letters.")
    if not keys:
        raise UsageError(f"There is no run {key} in {store.root}. {_those_there(store)}")
    try:
        body = store.read(store.runs / f"{keys[0]}.json")
    except StoreError as error:
        raise StoreError(f"The record of run {keys[0]} {error}.") from None
    record = Record.from_dict(body, lambda: store.predictions(keys[0]))
    if not record.done:
        raise UsageError(
            f"Run {record.key} failed ({record.error}): it has no model. `bench status` lists failed runs."
        )
    if record.spec.external:
        raise UsageError(f"{record.spec.method} is scores that were imported: there is no model behind them here.")
    if not store.state_path(record.spec).exists():
        raise UsageError(_not_kept(record))
    return record


def best_of(store: Store, wish: str) -> Best:
    """The best of DATASET or DATASET/METHOD; with an empty wish of the one set that there is a model of."""
    dataset, _, method = wish.partition("/")
    candidates = [best for best in _all_best(store, method) if not dataset or best.dataset == dataset]
    if not candidates:
        raise UsageError(f"There is no kept model{_of(dataset, method)} in {store.root}. {_those_there(store)}")
    sets = list(dict.fromkeys(best.dataset for best in candidates))
    if len(sets) > 1:
        raise UsageError(
            f"There are models of several sets: {', '.join(f'--best {name}' for name in sets)}. Choose one."
        )
    return candidates[0]


def kept_runs(store: Store) -> list[Record]:
    """Every finished run whose trained tensors are kept, of methods that score any picture."""
    records = Results.read(store).records
    return [record for record in records if _scores_any_picture(record.spec.method) and _is_kept(store, record)]


def _all_best(store: Store, method: str) -> list[Best]:
    """The best kept arm of every set, of papers' presets and usual rules first."""
    best_of_sets = []
    for part in by_preset(Results.read(store)):
        if not part.rules.ranked:
            continue
        arms = [arm for arm in part.arms if _scores_any_picture(arm.method) and method in ("", arm.method)]
        for dataset in sorted({name for arm in arms for name in part.trained_on(arm)}):
            candidates = {arm: best for arm in arms if (best := _measured(store, part, arm, dataset)) is not None}
            if candidates:
                ahead = _ahead({arm: best.scores for arm, best in candidates.items()})
                best_of_sets.append(candidates[ahead])
    return best_of_sets


def _ahead(scores: Mapping[Arm, Scores]) -> Arm:
    """The arm that did best on what all were measured on, of those that were measured most: no lucky split wins.

    Whole sets go before smoke runs, a set's own test part before tests on other sets.
    """
    standing = {
        arm: (not arm.limit, all(experiment.part == "test" for experiment, _ in known), len(known))
        for arm, known in scores.items()
    }
    rivals = {arm: known for arm, known in scores.items() if standing[arm] == max(standing.values())}
    common = set.intersection(*map(set, rivals.values()))
    shared = {
        arm: {run: value for run, value in known.items() if run in common or not common}
        for arm, known in rivals.items()
    }
    return max(shared, key=lambda arm: _mean_of_medians(shared[arm]))


def _mean_of_medians(scores: Scores) -> float:
    by_experiment: dict[Experiment, list[float]] = {}
    for (experiment, _), value in scores.items():
        by_experiment.setdefault(experiment, []).append(value)
    return statistics.fmean(map(statistics.median, by_experiment.values()))


def _scores(cells: Iterable[Cell]) -> Scores:
    return {(cell.experiment, split): value for cell in cells for split, value in cell.scores().items()}


def _scores_any_picture(method: str) -> bool:
    """Whether a method that takes part in ranks scores a picture of which only the pixels are known."""
    told, others = "distortion" in fact_of(method, "needs"), fact_of(method, "stands_on") == "runs"
    return bool(fact_of(method, "ranked")) and not told and not others


def _learns_from_any_folder(method: str) -> bool:
    """Whether a method learns from rated pictures alone, and something of each of them: without files or originals."""
    needs = fact_of(method, "needs") or any(fact_of(method, "files").values())
    idle = fact_of(method, "learns") == "nothing" or fact_of(method, "constant")
    return method in METHODS and _scores_any_picture(method) and not needs and not idle


def _measured(store: Store, part: PresetResults, arm: Arm, dataset: str) -> Best | None:
    """How well an arm does on a set's own test parts, or else on the whole sets it was tested on; its kept runs."""
    trained = [e for e in part.experiments() if e.train == dataset and part.runs(arm, e)]
    own = [e for e in trained if e.part == "test" and e.tested in sets_of(dataset) and e.fraction == 0.8]
    tested = own or [e for e in trained if e.part == "all" and e.fraction == 0.8]
    cells = [Cell.of(part.runs(arm, experiment), experiment, "srcc") for experiment in tested]
    scores = _scores(cells)
    by_split: dict[int, Record] = {}
    for cell in cells:
        for split, record in cell.by_split.items():
            if _is_kept(store, record):
                by_split.setdefault(split, record)
    return Best(tuple(by_split.values()), arm, dataset, scores) if scores and by_split else None


def _said(experiment: Experiment) -> str:
    return f"{experiment.tested}'s test part" if experiment.part == "test" else experiment.tested


def _is_kept(store: Store, record: Record) -> bool:
    return record.done and store.state_path(record.spec).exists()


def _not_kept(record: Record) -> str:
    spec = record.spec
    again = f"bench run -m {spec.method} {flags_of(spec.train)} --preset {spec.preset} --overwrite always"
    return (
        f"Run {record.key} ({spec.method} on {spec.train}, split {spec.split}) kept no weights. "
        f"{KEEPING}; then `{again}` makes them."
    )


def _those_there(store: Store) -> str:
    runs = kept_runs(store)
    if not runs:
        return f"No run there has kept weights that score pictures: {KEEPING}, and `bench run` makes runs."
    return f"Kept there: {'; '.join(map(_line, runs[:5]))}{f' and {len(runs) - 5} more' if len(runs) > 5 else ''}."


def _line(record: Record) -> str:
    return f"{record.key[:8]} ({record.spec.method} on {record.spec.train}, split {record.spec.split})"


def _of(dataset: str, method: str) -> str:
    return (f" of {dataset}" if dataset else "") + (f" by {method}" if method else "")


def best_method(store: Store, preset: str) -> str:
    """Of the methods that any folder can train, each as it is, the one that did best on most sets of a preset.

    A recipe that all of them share counts as theirs. "" where nothing was compared.
    """
    wins: Counter[str] = Counter()
    for part in by_preset(Results.read(store)):
        if part.preset.name != preset or not part.rules.ranked:
            continue
        arms = [arm for arm in part.arms if _learns_from_any_folder(arm.method)]
        plain = [arm for arm in arms if not (arm.options or arm.limit) and _shared_by_all(arm.recipe, arms)]
        for dataset in part.own_test_sets():
            experiment = Experiment(dataset, Target.of(dataset))
            cells = {arm: Cell.of(part.runs(arm, experiment), experiment, "srcc") for arm in plain}
            scores = {arm: known for arm, cell in cells.items() if (known := _scores([cell]))}
            if len({arm.method for arm in scores}) > 1:
                wins[_ahead(scores).method] += 1
    return wins.most_common(1)[0][0] if wins else ""


def _shared_by_all(changes: Options, arms: Sequence[Arm]) -> bool:
    """Whether every arm has these changes of the recipe."""
    return all(set(changes) <= set(arm.recipe) for arm in arms)
