"""NaN and the infinities in ``meta``, for which JSON has no word: a row's line has ``"nan"``, ``"inf"``, ``"-inf"``.

Readers give the entries of ``meta`` with these very texts as the numbers, so that comparing an entry works where one
loss of many was NaN; deeper in nested values they stay text, as one cannot see of them what they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

_NUMBERS: Final = {str(number): number for number in (math.nan, math.inf, -math.inf)}


def with_numbers(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``meta`` as a row has it with its entries that name a number as that number."""
    return {name: _NUMBERS.get(value, value) if type(value) is str else value for name, value in meta.items()}


def is_not_finite(value: Any) -> bool:
    """Return whether ``value`` is NaN or infinite."""
    return isinstance(value, float) and not math.isfinite(value)


def as_json_has_it(value: Any) -> Any:
    """Return ``value`` with every number that JSON cannot say as its name."""
    if is_not_finite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: as_json_has_it(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json_has_it(entry) for entry in value]
    return value
