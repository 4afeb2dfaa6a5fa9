"""A DataFrame that keeps its title and notes, and shows them where a notebook shows it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

SHOWN = 4
"""Notes below a table in a notebook; all of them stand in `attrs`."""


class Noted(pd.DataFrame):
    """A DataFrame of which `attrs` hold `title`, `notes` and `footer`. What is cut out of it is a plain one."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str | None:
        """Title, table, and the first notes."""
        plain: Any = super()
        html: str | None = plain._repr_html_()
        if html is None:
            return None
        lines = [f"<li>{escape(str(line))}</li>" for line in self.attrs.get("notes", [])[:SHOWN]]
        more = len(self.attrs.get("notes", [])) - len(lines)
        lines += [f"<li>{more} more in <code>attrs['notes']</code></li>"] if more > 0 else []
        below = f"<ul>{''.join(lines)}</ul>" if lines else ""
        return f"<p><b>{escape(str(self.attrs.get('title', '')))}</b></p>{html}{below}"


def noted(frame: pd.DataFrame, about: Mapping[str, Any]) -> Noted:
    """The frame with a title and notes."""
    result = Noted(frame)
    result.attrs.update(about)
    return result
