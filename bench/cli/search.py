"""The search behind `bench tune`: candidates as ordinary runs below results/tuning/, and how they did as a file."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.cli.checks import check_precisions
from bench.cli.console import grid, note, say
from bench.cli.execute import execute_here
from bench.cli.live import view_of
from bench.cli.preflight import look_ahead
from bench.cli.preview import time_line
from bench.cli.problems import report_problems
from bench.core.errors import RunError, UsageError
from bench.core.mixes import is_mix, sets_of
from bench.core.progress import counted
from bench.core.registry import METHODS
from bench.core.runtime import Runtime, likely_device
from bench.core.spec import RunSpec, Scalar
from bench.core.split_rules import splits_in
from bench.data.locate import loader_name
from bench.execution.orders import ExecutionOptions
from bench.planning.choices import Choices, Trial, Trials, best, made_with, write_choices
from bench.planning.files import weights_token, with_tokens, without_fileless
from bench.planning.plan import Plan, Settings, expand_methods, merged, recipes_of_methods, sort_settings
from bench.planning.presets import Preset, preset_named
from bench.planning.refusals import WHERE_THEY_LIE
from bench.planning.tuning import (
    Candidate,
    Search,
    candidates,
    diverged,
    refuse_what_is_said_twice,
    trials,
    usual_rates,
    why_nothing_to_choose,
)
from bench.planning.unfit import without_unfit
from bench.planning.which_sets import WhichSets, sets_here
from bench.records.store import Store
from bench.records.times import Times

MakeRuntime = Callable[..., Runtime]

STOPPED = 130
"""The exit code of a search that somebody stopped."""


@dataclass(frozen=True)
class Wish:
    """A `bench tune` command line."""

    methods: tuple[str, ...]
    """As they were typed."""
    dataset: str
    splits: int
    rates: str
    option: str
    preset: str
    backbone: str
    weights: str
    precision: str
    settings: tuple[str, ...]
    file: Settings
    overwrite: str = "changed"
    standing: frozenset[str] = frozenset()
    """What of all this nobody typed: it stands in bench.toml, for whatever takes it."""

    def splits_of(self, preset: Preset, dataset: str) -> int:
        """In how many splits to choose; of a number in bench.toml, as many as the set's rule has."""
        there = splits_in(preset.rule_for(dataset))
        if "splits" in self.standing and 0 < there < self.splits:
            return there
        return self.splits or (preset.tuning_splits if dataset == preset.tuning else preset.splits)


def run_searches(wish: Wish, results: Path, make_runtime: MakeRuntime, jobs: int | str = 1) -> int:
    """One search for each method; the exit code says whether candidates failed, or that somebody stopped it."""
    code = 0
    for planned in _planned(wish, results, make_runtime):
        try:
            outcome = run_search(planned, results, jobs)
        except RunError as error:  # the others are tuned all the same
            note(f"Error: {planned.search.method}: {error}")
            outcome = error.exit_code
        if outcome == STOPPED:
            return STOPPED
        code = max(code, outcome)
    return code


def preview_searches(wish: Wish, results: Path, make_runtime: MakeRuntime) -> None:
    """Print what would be tried for each method, and about how long that takes."""
    rows, pending = [], []
    for planned in _planned(wish, results, make_runtime):
        search, untried = planned.search, planned.pending()
        pending += untried
        done = len(planned.tried) - len(untried)
        rows.append((search.method, search.dataset, planned.each, planned.splits, done, len(untried)))
        store, runtime = planned.store, planned.runtime
    grid(("method", "chosen on", "candidates", "splits", "tried", "to try"), rows, title="Searches")
    say(f"{counted(len(pending), 'candidate')} to try.")
    if pending:
        say(time_line(pending, store, runtime))


def _tunable(wish: Wish, make_runtime: MakeRuntime) -> list[str]:
    """The methods that can be tuned here; why others are not is refused or noted."""
    names = _with_something_to_choose(wish)
    options = merged(wish.file.methods, sort_settings(wish.settings, names, []).methods)
    option, _, values = wish.option.partition("=")
    options = merged(options, {name: {option: values} for name in names})
    names, fileless = without_fileless(names, wish.methods, options)
    for why in fileless:
        note(f"Left out: {why}.")
    check_precisions({wish.precision}, make_runtime().device)
    return names


def _with_something_to_choose(wish: Wish) -> list[str]:
    """The methods that have candidates. One that was typed is refused, those that came by "all" are left out."""
    names = expand_methods(wish.methods)
    option = wish.option.partition("=")[0]
    reasons = {name: why_nothing_to_choose(name, wish.rates, option) for name in names}
    possible = [name for name, why in reasons.items() if not why]
    refused = [reasons[name] for name in names if reasons[name] and (name in wish.methods or not possible)]
    if refused:
        raise UsageError(f"{refused[0]}.")
    for why in filter(None, reasons.values()):
        note(f"Left out: {why}.")
    return possible


@dataclass(frozen=True)
class Planned:
    """A search before anything is tried."""

    search: Search
    store: Store
    runtime: Runtime
    tried: list[Candidate]
    overwrite: str

    @property
    def splits(self) -> int:
        """In how many splits it chooses."""
        return len({candidate.split for candidate in self.tried})

    @property
    def each(self) -> int:
        """How many candidates a split has."""
        return len(self.tried) // self.splits

    def pending(self) -> list[RunSpec]:
        """What is to be tried. Of what failed nothing is tried again that diverged, for that is an answer."""
        pending = self.store.pending([candidate.spec for candidate in self.tried], self.overwrite)
        return self._undiverged(pending) if self.overwrite == "failed" else pending

    def failed(self) -> list[RunSpec]:
        """What failed for another reason than its rate."""
        return self._undiverged(self.store.failed(candidate.spec for candidate in self.tried))

    def _undiverged(self, specs: Sequence[RunSpec]) -> list[RunSpec]:
        answered = diverged(self.store)
        return [spec for spec in specs if spec.key not in answered]


def _planned(wish: Wish, results: Path, make_runtime: MakeRuntime) -> list[Planned]:
    """The searches of all methods before the first of them; what would fail later is refused, as `bench run` does."""
    methods = _tunable(wish, make_runtime)
    store = Store(results / "tuning")
    runtime = make_runtime(results=store.root, keep_weights="never", log="")
    asked = [_search(method, wish, runtime.data) for method in methods]
    anew_since = time.time() if wish.overwrite == "always" else runtime.anew_since
    files = {token: path for _, named in asked for token, path in named.items()}
    runtime = replace(runtime, weight_files=files, anew_since=anew_since)
    searches = [search for search, _ in asked]
    tried = _possible(searches, wish, runtime)
    each = {search.method: [one for one in tried if one.spec.method == search.method] for search in searches}
    there = [search for search in searches if each[search.method]]
    return [Planned(search, store, runtime, each[search.method], wish.overwrite) for search in there]


def run_search(planned: Planned, results: Path, jobs: int | str = 1) -> int:
    """Try every candidate in every split, print and write down how each did; the exit code says whether some failed.

    One that diverged has not failed: that its rate is too high is what was asked.
    """
    search, store, tried, pending = planned.search, planned.store, planned.tried, planned.pending()
    note(
        f"{counted(len(tried), 'candidate')} for {search.method} on {search.dataset}, {planned.each} in each of "
        f"{counted(planned.splits, 'split')}; {len(tried) - len(pending)} tried before."
    )
    with view_of(pending, Times.read(store, likely_device(planned.runtime.device))) as view:
        beside = {candidate.spec.key: _text(candidate.settings) for candidate in tried}
        options = ExecutionOptions(planned.overwrite, say=view.say, watch=view, beside=beside)
        summary = execute_here(pending, planned.runtime, options, jobs)
    report_problems(store)
    if summary.interrupted:
        return STOPPED
    outcomes = trials(tried, store, summary.failed, other_code=planned.overwrite == "never")
    _show(search, outcomes)
    if planned.failed():
        note("The same command with --overwrite failed tries the failed ones again, but for those that diverged.")
    _say_what_is_chosen(search, outcomes, results, made_with(tried[0].spec, tried[0].settings))
    return 1 if any(trial.srcc is None and not trial.diverged for each in outcomes.values() for trial in each) else 0


def _say_what_is_chosen(search: Search, outcomes: Trials, results: Path, made: Mapping[str, Any]) -> None:
    """Write the choice down, and print it with what to think of it."""
    standard = search.dataset == search.preset.tuning
    chosen = _chosen_for_all(search, outcomes) if standard else _chosen(outcomes)
    path = write_choices(results, search.preset.name, search.method, search.dataset, outcomes, made)
    say(f"Chosen: {chosen}. Written: {path}")
    if edge := _at_an_edge(search, outcomes):
        say(f"{edge} stands at the edge of what was tried: widen it with --lr.")
    say(
        "`bench run … --recipe tuned` uses it"
        + ("." if standard else " in these splits, and on sets that it is not tested on here.")
    )


def _search(method: str, wish: Wish, data: Mapping[str, Any]) -> tuple[Search, dict[str, Path]]:
    """What the command line asks to try, and the weights files it names."""
    METHODS.target(method)
    preset = preset_named(wish.preset)
    dataset = wish.dataset or preset.tuning or first_set(preset, data)
    if is_mix(dataset):
        raise UsageError(
            f"bench tune chooses on one set at a time, and {dataset} is several: tune on each of them, with -d "
            f"{' and -d '.join(sets_of(dataset))}; --recipe tuned takes for the mix what did best on all."
        )
    loader_name(dataset, data)
    files, token = weights_token(wish.weights)
    common = {"weights": token, "precision": wish.precision} | ({"backbone": wish.backbone} if wish.backbone else {})
    name, values, varied = _varied(wish.option, method)
    refuse_what_is_said_twice(method, name, wish.settings)
    settings = sort_settings(wish.settings, expand_methods(wish.methods), [])
    if settings.spec:
        raise UsageError(f"--set {', '.join(settings.spec)}: tuning is inside random splits and whole training parts.")
    own = recipes_of_methods(wish.file, settings).get(method, {})
    options, named = with_tokens(merged(wish.file.methods, settings.methods))
    search = Search(
        method,
        dataset,
        preset,
        wish.splits_of(preset, dataset),
        rates=_numbers(wish.rates) if wish.rates else usual_rates(preset, method),
        option=name,
        values=values,
        common=common,
        recipe={**wish.file.recipe, **settings.recipe, **own},
        options=options.get(method, {}),
    )
    return search, files | named | varied


def _varied(option: str, method: str) -> tuple[str, list[str], dict[str, Path]]:
    """(the further option's name, its values, the files that these name), with the hash of a file for its path."""
    name, _, typed = option.partition("=")
    values = [value for value in typed.split(",") if value.strip()]
    if option and not values:
        raise UsageError(f"--option {option!r} is not of the form NAME=VALUE,VALUE.")
    told = [with_tokens({method: {name: value}}) for value in values]
    files = {token: path for _, paths in told for token, path in paths.items()}
    return name, [str(given[method][name]) for given, _ in told], files


def _possible(searches: Sequence[Search], wish: Wish, runtime: Runtime) -> list[Candidate]:
    """The candidates that can be tried. Of methods that came by "all" the others are left out with a note."""
    unnamed = frozenset(search.method for search in searches) - set(wish.methods)
    tried: list[Candidate] = []
    left_out: list[str] = []
    for search in searches:
        try:
            tried += candidates(search)
        except UsageError as error:
            if search.method not in unnamed:
                raise
            left_out.append(str(error).removesuffix("."))
    every = [candidate.spec for candidate in tried]
    ((_, specs),), unfit = without_unfit([("bench tune", every)], wish.methods, [wish.dataset], runtime.data)
    left_out += unfit
    if not specs:
        raise UsageError(f"{left_out[0]}.")
    wanted = Plan(tuple(specs), (), searches[0].preset, splits_named="splits" not in wish.standing, unnamed=unnamed)
    plan = look_ahead(wanted, runtime, note)
    if "splits" in wish.standing and searches[0].splits < wish.splits:
        note(f"bench.toml asks for {wish.splits} splits, and {searches[0].dataset} has {searches[0].splits}.")
    for why in dict.fromkeys([*left_out, *plan.unfit]):
        note(f"Left out: {why}.")
    possible = set(plan.specs)
    return [candidate for candidate in tried if candidate.spec in possible]


def first_set(preset: Preset, data: Mapping[str, Any]) -> str:
    """The first set that is configured: of the preset's, else of the user's own."""
    own, absent = sets_here(data, preset.main)
    there = WhichSets(own=own, absent=absent).of(preset.main)
    if not there:
        raise UsageError(f"No set is configured. {WHERE_THEY_LIE}, or name one with --dataset.")
    return there[0]


def _show(search: Search, results: Trials) -> None:
    """A row for each candidate, a column for each split, and why some failed."""
    rows = [_row([tried[i] for tried in results.values()]) for i in range(len(next(iter(results.values()))))]
    title = f"{search.method} on {search.dataset}: validation SRCC by split"
    grid(("candidate", *map(str, results), "mean", "s.e."), rows, title=title)
    say("s.e.: standard error of the mean, by the number of validation pictures; versions of one content raise it.")
    for why in dict.fromkeys(trial.why for tried in results.values() for trial in tried if trial.why):
        say(f"Failed: {why}")


def _row(tried: Sequence[Trial]) -> tuple[str, ...]:
    known = [trial.srcc for trial in tried if trial.srcc is not None]
    values = ["-" if trial.srcc is None else f"{trial.srcc:.3f}" for trial in tried]
    mean = f"{statistics.fmean(known):.3f}" if len(known) == len(tried) else "-"
    return _text(tried[0].settings), *values, mean, _standard_error(tried)


def _standard_error(tried: Sequence[Trial]) -> str:
    """Of the mean over splits, from how many pictures each was scored on."""
    from bench.metrics.comparisons import srcc_standard_error

    each = [srcc_standard_error(trial.n, trial.srcc) for trial in tried if trial.srcc is not None and trial.n > 3]
    return f"{math.hypot(*each) / len(each):.3f}" if len(each) == len(tried) else "-"


def _at_an_edge(search: Search, results: Trials) -> str:
    """The rate that is best in the mean over splits where it is the lowest or the highest tried; else nothing."""
    if len(search.rates) < 2:
        return ""
    try:
        rate = float(_best_of_all(search, results)["lr"])
    except UsageError:  # each has failed in some split, so that none has a mean
        return ""
    return f"lr={rate:g}" if rate in (min(search.rates), max(search.rates)) else ""


def _chosen_for_all(search: Search, results: Trials) -> str:
    """What did best over all splits of the set that a preset keeps for tuning."""
    if all(any(trial.srcc is None for trial in each) for each in zip(*results.values(), strict=True)):
        why = next(trial.why for tried in results.values() for trial in tried if trial.srcc is None)
        raise RunError(f"No candidate could be trained in every split: {why}.")
    return _text(_best_of_all(search, results))


def _best_of_all(search: Search, results: Trials) -> Mapping[str, Scalar]:
    """The candidate with the best mean over the splits, among those that were trained in all of them."""
    return Choices({search.method: {search.dataset: results}}).of(search.method, "", (), 0)[0]


def _chosen(results: Trials) -> str:
    """What each split chose, splits of one mind together."""
    chosen: dict[str, list[int]] = {}
    for split, tried in results.items():
        if all(trial.srcc is None for trial in tried):
            raise RunError(f"No candidate could be trained in split {split}: {tried[0].why}.")
        chosen.setdefault(_text(best(tried).settings), []).append(split)
    return "; ".join(
        f"{text} in {'split' if len(splits) == 1 else 'splits'} {', '.join(map(str, splits))}"
        for text, splits in chosen.items()
    )


def _text(settings: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _numbers(text: str) -> list[float]:
    try:
        rates = [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"--lr {text!r} is not a list of numbers.") from None
    if not rates or not all(0 < rate < math.inf for rate in rates):
        raise UsageError(f"--lr {text!r} must name positive, finite numbers.")
    return rates
