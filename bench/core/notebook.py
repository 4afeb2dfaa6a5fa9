"""Bars for a notebook, where standard error is no terminal: tqdm's, which comes with timm's hub."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookBars:
    """One tqdm bar an activity, with the methods of rich's bars that a display calls."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._open: list[Any] = []
        self.console = SimpleNamespace(print=self._line)

    def start(self) -> None:
        """Nothing is shown before the first activity."""

    def stop(self) -> None:
        """Take away what is still shown."""
        for bar in list(self._open):
            self.remove_task(bar)

    def add_task(self, description: str, total: int) -> Any:
        """A bar, by which its activity is known from now on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets its bars are text, which will do
            bar = self._tqdm(total=total, desc=description, leave=False)
        self._open.append(bar)
        return bar

    def update(self, bar: Any, *, completed: int, total: int, description: str) -> None:
        """How far an activity is."""
        bar.total, bar.n = total, completed
        bar.set_description(description)

    def remove_task(self, bar: Any) -> None:
        """An activity is over."""
        self._open.remove(bar)
        bar.close()

    def _line(self, text: str, **_how: object) -> None:
        self._tqdm.write(text, file=sys.stderr)


def notebook_bars() -> NotebookBars | None:
    """Bars in a notebook; None elsewhere, and where tqdm is missing: lines will do then."""
    if not in_notebook():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return NotebookBars(tqdm)
