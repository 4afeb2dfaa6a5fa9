"""`bench.run`: the runs that protocols ask for, made where they are not done, and their numbers as a DataFrame."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.settings import File, Names, Places, pictures, settings_for, with_sets, words
from bench.core.errors import BenchError
from bench.core.progress import counted

if TYPE_CHECKING:
    import pandas as pd

    from bench.cli.config import Config
    from bench.core.runtime import Runtime
    from bench.core.spec import RunSpec
    from bench.planning.plan import Plan
    from bench.records.results import Record
    from bench.records.store import Store

STOPPED = 130
"""What an execution ends with that somebody stopped."""


def run(
    methods: Names = (),
    protocol: Names = (),
    data: Places = (),
    *,
    folder: File = None,
    preset: str | None = None,
    splits: int | None = None,
    seeds: int | None = None,
    settings: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    weights: str | Path = "pretrained",
    train_on: Names = (),
    test_on: Names = (),
    limit: int = 0,
    device: str | None = None,
    precision: str | None = None,
    overwrite: str | None = None,
    jobs: int | str | None = None,
    config: File = None,
    plugins: Sequence[str | Path] = (),
    quiet: bool = False,
) -> pd.DataFrame:
    """Make the runs that a protocol asks for, those that are done aside, and give their numbers.

    methods: names, or "all"; the protocol's own where bench.toml names none either. protocol: one or several. data: the
    sets, by name, or a mapping from names of sets of your own to their folders (or to what `[data.NAME]` of bench.toml
    would say).
    folder: the results folder. settings: options as `--set` has them, {"lr": 1e-3, "glia.rank": 32}. The others are
    the flags of `bench run`; what is not given is as in bench.toml. quiet: no notes and no progress.

    The rows are those of `bench.results()` for these runs. A run that fails is warned of, and has no rows.
    """
    from bench.cli.invocation import untyped

    flags = {"preset": preset, "splits": splits, "device": device, "precision": precision, "overwrite": overwrite}
    flags |= {"seeds": seeds, "jobs": None if jobs is None else str(jobs), "backbone": backbone or None}
    whole = settings_for(config, plugins, results=None if folder is None else str(folder), **flags)
    if isinstance(data, Mapping):
        whole, data = with_sets(whole, data), tuple(data)
    asked: dict[str, Any] = {"datasets": words(data), "limit": pictures(limit)}
    asked |= {"methods": words(methods) or words(whole["method"])}
    asked |= {"protocols": words(protocol) or words(whole["protocol"])}
    asked |= {"train_on": words(train_on), "test_on": words(test_on), "weights": str(weights)}
    with contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext():
        standing = untyped(method=words(methods), backbone=backbone, splits=splits)
        plan, runtime = _planned(whole, asked, settings or {}, standing, plugins)
        _made(plan, runtime, whole)
    return _numbers_of(plan, runtime)


def _planned(
    whole: Config,
    asked: Mapping[str, Any],
    settings: Mapping[str, Any],
    standing: frozenset[str],
    plugins: Sequence[Any],
) -> tuple[Plan, Runtime]:
    """The wanted runs, looked at as far as can be before one starts."""
    from bench.cli.checks import check_precision
    from bench.cli.config import file_settings
    from bench.cli.console import note
    from bench.cli.invocation import runtime_of
    from bench.cli.preflight import look_ahead, tell_of
    from bench.cli.split_files import with_split_rule
    from bench.planning.plan import Ask, make_plan

    texts = tuple(f"{name}={_text(value)}" for name, value in settings.items())
    ask = Ask(
        preset=whole.preset,
        backbone=whole["backbone"],
        standing=standing,
        splits=whole["splits"],
        seeds=whole["seeds"],
        settings=with_split_rule(texts, "", asked["train_on"] or asked["datasets"], whole),
        file=file_settings(whole),
        precision=whole["precision"],
        data=whole.data,
        **asked,
    )
    plan = make_plan(ask)
    runtime = runtime_of(whole, [Path(path) for path in plugins], weight_files=plan.weight_files)
    plan = look_ahead(plan, runtime, note)
    tell_of(plan, note)
    check_precision(plan.specs, runtime.device)
    return plan, runtime


def _text(value: object) -> str:
    """An option's value as it is typed."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _made(plan: Plan, runtime: Runtime, whole: Config) -> None:
    """Execute what is pending; somebody who stops it is told as Python tells of Ctrl-C."""
    from bench.cli.execute import execute

    if execute(plan, runtime, whole, debug=False) == STOPPED:
        raise KeyboardInterrupt("Stopped. What is finished is kept; the same call goes on.")


def _numbers_of(plan: Plan, runtime: Runtime) -> pd.DataFrame:
    """The tidy rows of the plan's runs; failures are warned of, and if there is nothing else they are the error."""
    from bench.api.frames import tidy
    from bench.records.results import Results
    from bench.records.store import Store

    store = Store(runtime.results)
    answers = list(_answers(plan, Results.read(store).records))
    records = [record for _, record in answers if record is not None]
    reasons = [record.error for record in records if not record.done]
    reasons += _without_record([spec for spec, record in answers if record is None], store)
    if reasons:
        said = f"{len(reasons)} of {counted(len(plan.specs), 'run')} failed: {reasons[0]}"
        if not any(record.done for record in records):
            raise BenchError(said)
        warnings.warn(said, stacklevel=3)
    return tidy(records)


def _answers(plan: Plan, records: Sequence[Record]) -> Iterator[tuple[RunSpec, Record | None]]:
    """Each wanted run with its record, of the wanted tests alone: one by today's code, and done, goes before others."""
    by_training: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: (record.other_code != "", not record.done)):
        by_training.setdefault(record.spec.training_key, []).append(record)
    for spec in plan.specs:
        answers = (record for record in by_training.get(spec.training_key, []) if record.spec.covers(spec))
        first = next(answers, None)
        yield spec, None if first is None else replace(first, spec=first.spec.with_tests(spec.tests))


def _without_record(specs: Sequence[RunSpec], store: Store) -> list[str]:
    """Why runs failed that left no record, because their cause can be mended. What others are making has not failed."""
    from bench.records.plans import failures

    noted = {note.get("key"): str(note["why"]) for note in failures(store)}
    held = store.claims.held() if specs else {}
    return [noted.get(spec.key, "it left no record") for spec in specs if spec.training_key not in held]
