"""Protocols are asked for their runs: what a plugin does wrong then is said of it by name, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from bench.core.errors import blamed
from bench.core.registry import PROTOCOLS
from bench.core.spec import RunSpec, Scalar
from bench.planning.protocol import Protocol, Request

T = TypeVar("T")


def runs_of(name: str, request: Request, options: Mapping[str, Scalar]) -> list[RunSpec]:
    """The runs that a protocol wants."""
    with blamed(_plugin(name), "plan"):
        return _all(_made(name, options).plan(request), RunSpec)


def said_by(name: str, request: Request, options: Mapping[str, Scalar], specs: Sequence[RunSpec]) -> list[str]:
    """What a protocol says of its runs before the first of them."""
    with blamed(_plugin(name), "says"):
        return _all(_made(name, options).says(request, specs), str)


def _made(name: str, options: Mapping[str, Scalar]) -> Protocol:
    protocol: Protocol = PROTOCOLS.make(name, options)
    return protocol


def _all(given: object, kind: type[T]) -> list[T]:
    """What a protocol gave as a list, all of one kind."""
    listed = list(given) if isinstance(given, list | tuple | Iterator) else None
    if listed is None or not all(isinstance(one, kind) for one in listed):
        raise TypeError(f"it must return a list of {kind.__name__}, not {given!r:.60}")
    return listed


def _plugin(name: str) -> str:
    """How a plugin's protocol is named in an error; "" for one of ours."""
    return "" if PROTOCOLS.origin(name) == "built-in" else f"The protocol {name!r} ({PROTOCOLS.target(name)})"
