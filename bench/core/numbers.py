"""Numbers as files hold them: ten significant digits, all that two machines agree on."""

from __future__ import annotations

import math
from typing import Any

DIGITS = 10
"""The last six of a double's sixteen differ between CPUs: their libraries add in other orders."""


def meaningful(value: Any) -> Any:
    """The same value with every float in it rounded to the digits that mean something."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: meaningful(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [meaningful(item) for item in value]
    return value


def finite(value: Any) -> Any:
    """The same value with nothing in place of every float that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
