"""Which sets a plan is about: those that were named, or else those that are configured, the user's own beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.core.mixes import Mix, sets_of

Pair = tuple[str, str]
"""A source, which is trained on, and a target, which is tested on."""


@dataclass(frozen=True)
class WhichSets:
    """What a user named, and what there is on this machine.

    Of a protocol's own sets those in `absent` are left out, and noted in `left_out`; nothing that was named ever is.
    """

    named: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Named with --train-on."""
    targets: tuple[str, ...] = ()
    """Named with --test-on."""
    own: tuple[str, ...] = ()
    """The user's own sets, from bench.toml or a plugin."""
    absent: frozenset[str] = frozenset()
    """Sets that are configured nowhere."""
    left_out: set[str] = field(default_factory=set, compare=False)

    def of(self, defaults: Sequence[str], *, own: bool = True) -> list[str]:
        """Every named set, a protocol's own ones first; none named: the protocol's that are there, and the user's.

        `own=False` is for a protocol that can show nothing of most sets of a user's own.
        """
        if self.named:
            return _once([*(name for name in defaults if name in self.named), *self.named])
        return _once([*self._there(defaults), *(self.own if own else ())])

    def pairs(self, defaults: Sequence[Pair]) -> list[Pair]:
        """The pairs to train and test on, in the protocol's order.

        Sources and targets that were named are paired, each with each. Of sets that were merely named, those that
        stand in none of the protocol's pairs are paired with all others, both ways.
        """
        usual_sources, usual_targets = _once(source for source, _ in defaults), _once(target for _, target in defaults)
        if self.sources or self.targets:
            sources = self.sources or self.named or self._there(usual_sources)
            targets = self.targets or self.named or [*self._there(usual_targets), *self.own]
            return _crossed(sources, targets)
        if self.named:
            return _with_lonely([pair for pair in defaults if set(pair) <= set(self.named)], self.named)
        there = set(self._there([*usual_sources, *usual_targets]))
        usual = [pair for pair in defaults if set(pair) <= there]
        sources = [name for name in usual_sources if name in there]
        if sources:
            return _once([*usual, *_crossed(sources, self.own)])
        return _with_lonely([], [*(name for name in usual_targets if name in there), *self.own])

    def mixes(self, defaults: Sequence[str], targets: Sequence[str], shares: str) -> list[tuple[str, list[str]]]:
        """(sets to train on together, other sets to test on), for a protocol that mixes sets.

        Sources that were named; or else all that were merely named as one; or else the protocol's own mixes, of what
        is there.
        """
        if self.sources:
            choices = [sets_of(source) for source in self.sources]
        elif self.named:
            choices = [self.named]
        else:
            there = (tuple(self._there(sets_of(mix))) for mix in defaults)
            choices = [sets for sets in there if len(sets) > 1]
        mixes = [Mix.of(sets, shares) for sets in choices]
        others = self.targets or (self.named if self.sources else ())
        if not others and not self.named:
            others = (*self._there(targets), *self.own)
        return [(str(mix), [name for name in _once(others) if name not in mix.sets]) for mix in _once(mixes)]

    def _there(self, defaults: Sequence[str]) -> list[str]:
        self.left_out.update(name for name in defaults if name in self.absent)
        return [name for name in defaults if name not in self.absent]


def sets_here(data: Mapping[str, Any], preset_sets: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """(the user's own sets, those of a preset that are configured nowhere).

    Own is a section of bench.toml under a name of its own, and a plugin's set that is found.
    """
    from bench.core.registry import DATASETS
    from bench.data.locate import dataset_names, is_absent, loader_name

    absent = frozenset(name for name in preset_sets if is_absent(name, data))
    own = []
    for name in dataset_names(data):
        loader_name(name, data)  # a section that nobody can read is an error that names it
        foreign = name not in DATASETS or DATASETS.origin(name) != "built-in"
        if foreign and (name in data or not is_absent(name, data)):
            own.append(name)
    return tuple(own), absent


def _with_lonely(pairs: Sequence[Pair], names: Sequence[str]) -> list[Pair]:
    """The pairs, and each set that is in none of them with all others, both ways."""
    paired = {name for pair in pairs for name in pair}
    return _once([*pairs, *((a, b) for a in names for b in names if a != b and not {a, b} <= paired)])


def _crossed(sources: Iterable[str], targets: Iterable[str]) -> list[Pair]:
    return _once((source, target) for source in sources for target in targets if source != target)


def _once(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))
