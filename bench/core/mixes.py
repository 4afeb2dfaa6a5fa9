"""Several sets that are trained on together, as one name: "kadid10k+koniq10k", by size "kadid10k+koniq10k@size"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast, get_args

from bench.core.errors import UsageError

Shares = Literal["equal", "size"]
SHARES: tuple[str, ...] = get_args(Shares)
"""What each set's share of a batch goes by: the same for all, or the size of its training part."""
EQUAL, SIZE = SHARES
PLUS, AT = "+", "@"


@dataclass(frozen=True)
class Mix:
    """Two or more sets in the order of their names, and how a batch is shared among them."""

    sets: tuple[str, ...]
    shares: Shares = "equal"

    def __str__(self) -> str:
        return PLUS.join(self.sets) + ("" if self.shares == EQUAL else f"{AT}{self.shares}")

    def titled(self, title: Callable[[str], str]) -> str:
        """The mix for a reader, given how each set is called."""
        return " + ".join(map(title, self.sets)) + ("" if self.shares == EQUAL else f" (shares by {self.shares})")

    @staticmethod
    def of(sets: tuple[str, ...], shares: str = EQUAL) -> Mix:
        """A mix of these sets; one set, or a set twice, is none."""
        names = tuple(sorted(sets))
        if len(names) < 2 or len(set(names)) < len(names) or not all(names):
            raise UsageError(f"{PLUS.join(sets)!r} is no mix: name at least two sets, each once, as in a+b.")
        if shares not in SHARES:
            raise UsageError(f"shares={shares!r} is none of {', '.join(SHARES)}.")
        return Mix(names, cast(Shares, shares))


def is_mix(name: str) -> bool:
    """Whether a training set's name is of several sets."""
    return PLUS in name or AT in name


@cache
def mix_of(name: str) -> Mix:
    """The mix of a name that is of several sets; a name that says it badly is an error."""
    sets, at, shares = name.partition(AT)
    return Mix.of(tuple(sets.split(PLUS)), shares if at else EQUAL)


def sets_of(name: str) -> tuple[str, ...]:
    """The sets that a training set's name is of: those of a mix, else the one."""
    return mix_of(name).sets if is_mix(name) else (name,)


def flags_of(name: str) -> str:
    """How `bench run` is told to train on it."""
    if not is_mix(name):
        return f"-d {name}"
    mix = mix_of(name)
    shares = "" if mix.shares == EQUAL else f" --set shares={mix.shares}"
    return f"-p joint --train-on {PLUS.join(mix.sets)}{shares}"
