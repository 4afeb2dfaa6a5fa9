"""Pickled splits read without pickle: lists, tables, numbers and texts are built, and nothing else can be.

Python's own reader calls whatever a file names. This one knows the dozen instructions that plain data need; any
other, such as those that name a function or a class, is an error.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.errors import DataError

_WHOLE = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_VALUES = frozenset((*_WHOLE, "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"))
"""Instructions that put their argument on the stack."""
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))
_MARK = object()


def read_plain_pickle(dataset: str, path: Path, data: bytes) -> Any:
    """What a pickle of plain data holds; one that asks for anything else is refused, and nothing of it is run."""
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(data):  # ends behind STOP, or is a ValueError
            machine.do(instruction.name, argument)
        return machine.stack.pop()
    except _Foreign as error:
        raise DataError(
            f"{dataset}: {path} is no pickle of plain lists and numbers (it asks for {error}); nothing of it was run."
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError, AttributeError) as error:
        raise DataError(f"{dataset}: the pickle {path} is damaged ({error}).") from None


class _Foreign(Exception):
    """An instruction that plain data do not need."""


class _Machine:
    """The stack and the memory of the pickle format, for plain data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.actions: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self.stack.append(_MARK),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "LIST": lambda _: self.stack.append(self._to_mark()),
            "TUPLE": lambda _: self.stack.append(tuple(self._to_mark())),
            "DICT": lambda _: self.stack.append(self._pairs(self._to_mark())),
            "APPEND": lambda _: self._extend([self.stack.pop()]),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "SETITEM": lambda _: self._update([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda _: self._update(self._to_mark()),
            "MEMOIZE": lambda _: self._remember(len(self.memory)),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._remember),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda place: self.stack.append(self.memory[place])),
        }

    def do(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in _IGNORED:
            return
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in self.actions:
            self.actions[name](argument)
        else:
            raise _Foreign(name)

    def _remember(self, place: int) -> None:
        self.memory[place] = self.stack[-1]

    def _to_mark(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        at = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def _tuple(self, length: int) -> None:
        taken = self.stack[-length:]
        del self.stack[-length:]
        self.stack.append(tuple(taken))

    def _extend(self, items: list[Any]) -> None:
        self.stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        self.stack[-1].update(self._pairs(items))

    @staticmethod
    def _pairs(items: list[Any]) -> dict[Any, Any]:
        return dict(zip(items[::2], items[1::2], strict=True))
