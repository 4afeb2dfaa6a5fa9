"""Nothing that was typed is dropped: a protocol, method or set that is in no planned run is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.core.errors import UsageError
from bench.core.mixes import sets_of
from bench.core.registry import PROTOCOLS
from bench.core.spec import RunSpec, Scalar
from bench.planning.protocol import Request
from bench.planning.which_sets import WhichSets

Settings = Mapping[str, Scalar]
Planner = Callable[[str, Request, Settings], list[RunSpec]]
"""(protocol, request, its options) → its runs."""

INSTEAD = {
    "backbone": "--backbone: it goes through backbones of its own, and --protocol main takes any",
    "weights": "--weights: it goes through weights of its own, and --protocol main takes any",
    "fraction": "--set fraction: --protocol data_efficiency --set fractions={} makes and shows smaller training parts",
    "budget": "--budget: --protocol strategies_matched --budget {} makes and shows sized runs",
}
"""How each thing that a protocol may refuse is typed, and what to type instead."""

WHERE_THEY_LIE = "Say in bench.toml where they lie ([data] root = ..., or [data.NAME] path = ...)"


@dataclass(frozen=True)
class Wanted:
    """What was asked for, and the way to ask for something else."""

    request: Request
    settings: Mapping[str, Settings]
    """By protocol, the options it was given."""
    plan: Planner


def refuse_what_no_table_shows(protocols: Sequence[str], request: Request) -> None:
    """Refuse what a protocol would override, or plan for no table; it says itself what that is."""
    for name in protocols:
        for wish in PROTOCOLS.card(name).facts["refuses"]:
            value = request.common.get(wish)
            if wish not in request.standing and value not in (None, RunSpec.weights, RunSpec.fraction):
                raise UsageError(f"Protocol {name} takes no {INSTEAD[wish].format(value)}.")


def refuse_what_is_dropped(by_protocol: Mapping[str, Sequence[RunSpec]], wish: Wanted, methods: Sequence[str]) -> None:
    """Refuse a plan in which a name of the command line plays no part; `methods` as they were typed."""
    empty = [name for name, specs in by_protocol.items() if not specs]
    if empty:
        raise UsageError(" ".join(_why_nothing(name, wish) for name in empty))
    specs = [spec for planned in by_protocol.values() for spec in planned]
    if wish.request.common.get("cnn_weights") and all(spec.cnn_weights == "pretrained" for spec in specs):
        raise UsageError("--cnn-weights: none of the planned methods has a CNN that it names. Leave it out.")
    named = wish.request.sets
    typed = () if "method" in wish.request.standing else methods
    unused = {
        "--method": _not_run(typed, specs),
        "--dataset": set(wish.request.datasets) - {name for spec in specs for name in spec.datasets},
        "--train-on": _not_trained_on(named.sources, specs),
        "--test-on": set(named.targets) - {test.dataset for spec in specs for test in spec.tests},
    }
    for flag, names in unused.items():
        if names:
            raise UsageError(f"No run of {' or '.join(by_protocol)} is planned for {flag} {','.join(sorted(names))}.")


def idle_methods(methods: Sequence[str], by_protocol: Mapping[str, Sequence[RunSpec]]) -> list[str]:
    """Why methods that stand in bench.toml are left out: it is for whatever takes it, and these no run takes."""
    idle = _not_run(methods, [spec for specs in by_protocol.values() for spec in specs])
    return [f"{name} of bench.toml: no run of {' or '.join(by_protocol)} is planned for it" for name in sorted(idle)]


def why_no_part_of_folds(spec: RunSpec) -> str:
    """Why a share that was asked for makes no smaller training part of a fold, but the same under another name."""
    if not spec.folds or spec.source == "all" or not 1 - 1 / spec.folds <= spec.fraction < RunSpec.fraction:
        return ""
    whole = f"{100 * (1 - 1 / spec.folds):.3g}%"
    return f"{spec.fraction:g} of {spec.train} is no part of what {spec.split_rule} trains on, which is {whole}."


def _not_run(methods: Sequence[str], specs: Sequence[RunSpec]) -> set[str]:
    return set(methods) - {"all", *(spec.method for spec in specs)}


def _not_trained_on(sources: Sequence[str], specs: Sequence[RunSpec]) -> set[str]:
    """The sources that no run is trained on; a mix is known by its sets, however they are written."""
    trained = {spec.trained_on for spec in specs}
    return {source for source in sources if tuple(sorted(sets_of(source))) not in trained}


def _why_nothing(name: str, asked: Wanted) -> str:
    """Which of a user's wishes left a protocol without any run: the first without which there would be some."""
    request = asked.request
    changes = _changes(request, asked.settings.get(name, {}))
    hint = ""
    if PROTOCOLS.card(name).facts.get("mixes"):
        hint = " It trains on several sets at once: name them with --train-on A+B, others to test on with --test-on C."
    elif PROTOCOLS.card(name).facts.get("pairs"):
        hint = " It trains on one set and tests on another: name two, or say --train-on A --test-on B."
    for wish, other, settings in changes:
        try:
            count = len(asked.plan(name, other, settings))
        except UsageError:
            continue
        if count:
            of_sets = hint if wish.startswith(("--dataset", "--train-on")) else ""
            return f"Protocol {name} has no run with {wish}; without it there are {count}.{of_sets}"
    if request.sets.left_out:
        missing = ", ".join(sorted(request.sets.left_out))
        alone = [wish for wish, _, _ in changes if wish.startswith(("--dataset", "--train-on"))]
        if hint and alone:
            return f"Protocol {name} has no run with {alone[0]}, and its own sets are not configured ({missing}).{hint}"
        return f"Protocol {name}: none of its sets is configured ({missing}). {WHERE_THEY_LIE}, or try --preset demo."
    bare = replace(request, methods=(), datasets=(), sets=_unnamed(request.sets))
    wishes = " and ".join(wish for wish, _, _ in changes) if _plans(asked, name, bare) else ""
    return f"Protocol {name} has no run with {wishes or f'preset {request.preset.name}'}.{hint}"


def _plans(asked: Wanted, name: str, request: Request) -> bool:
    try:
        return bool(asked.plan(name, request, {}))
    except UsageError:
        return True


def _unnamed(sets: WhichSets) -> WhichSets:
    """The sets that there are, none of them named."""
    return WhichSets(own=sets.own, absent=sets.absent)


def _changes(request: Request, options: Settings) -> list[tuple[str, Request, Settings]]:
    """Each wish as it would be typed, with the request and the options without it."""
    changes: list[tuple[str, Request, Settings]] = []
    if request.methods:
        names = ",".join(method.name for method in request.methods)
        typed = f"[run] method={names} of bench.toml" if "method" in request.standing else f"--method {names}"
        changes.append((typed, replace(request, methods=()), options))
    if request.datasets:
        changes.append((f"--dataset {','.join(request.datasets)}", replace(request, datasets=()), options))
    if request.sets.sources or request.sets.targets:
        sides = {"--train-on": request.sets.sources, "--test-on": request.sets.targets}
        typed = " ".join(f"{flag} {','.join(names)}" for flag, names in sides.items() if names)
        changes.append((typed, replace(request, sets=_unnamed(request.sets)), options))
    if options:
        changes.append((" ".join(f"--set {key}={value}" for key, value in options.items()), request, {}))
    return changes
