"""Copies of JSON-able values, made of Python's own types alone.

Users hand over captions, metadata and box dicts full of NumPy scalars, tuples and zero-dimensional tensors.  What
goes over the wire and into JSON is a private copy of dicts, lists, strings, numbers, bools and None, so that the
caller's objects are neither kept nor changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pixlog.errors import InputError, InputTypeError

Plain = Any  # None | bool | int | float | str | list[Plain] | dict[str | int | float | bool, Plain]

MAX_DEPTH: Final = 64
_MAX_INT: Final = 2**64 - 1  # msgpack's
_MIN_INT: Final = -(2**63)


def plain(value: object, where: str, depth: int = 0) -> Plain:
    """Return a copy of ``value`` in plain types; ``where`` names it in messages.

    NumPy scalars become numbers, tuples and arrays lists, zero-dimensional arrays and tensors numbers.  Raises
    ``InputTypeError`` for anything JSON has no word for, ``InputError`` for whole numbers beyond 64 bits and for
    nesting deeper than ``MAX_DEPTH``.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, float):  # np.float64 too
        return float(value)
    if isinstance(value, int):
        return _whole(int(value), where)
    if depth > MAX_DEPTH:
        raise InputError(f"{where} is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {
            plain_key(key, where): plain(entry, f"{where}[{key!r}]", depth + 1)
            for key, entry in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(entry, f"{where}[{index}]", depth + 1) for index, entry in enumerate(value)]
    return _from_array(value, where, depth)


def plain_key(key: object, where: str) -> str | int | float | bool:
    """Return a dict key as a plain string or number."""
    if isinstance(key, str):
        return plain_text(key)
    number = as_number(key)
    if number is None:
        raise InputTypeError(
            f"{where} has the key {key!r} of type {type(key).__name__}, expected str or a number"
        )
    return _whole(number, where) if isinstance(number, int) else number


def plain_text(text: str) -> str:
    """Return the text, with lone surrogates (from undecodable file names) spelt out, as UTF-8 cannot hold them."""
    text = str(text)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def as_number(value: object) -> int | float | bool | None:
    """Return a Python or NumPy real number as a Python number; None for everything else, arrays included."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    return None


def is_finite_number(value: object) -> bool:
    """Whether the value is a real number that is neither NaN nor infinite, and not a bool."""
    number = as_number(value)
    return number is not None and not isinstance(number, bool) and math.isfinite(number)


def _whole(number: int, where: str) -> int:
    if not _MIN_INT <= number <= _MAX_INT:
        raise InputError(f"{where} is {number}, expected a whole number of at most 64 bits")
    return number


def _from_array(value: Any, where: str, depth: int) -> Plain:
    number = as_number(value)
    if number is not None:
        return _whole(number, where) if isinstance(number, int) else number
    if callable(getattr(type(value), "tolist", None)):  # arrays and tensors
        if getattr(value, "requires_grad", False):
            value = value.detach()
        listed = value.tolist()
        if isinstance(listed, (list, str, int, float)):
            return plain(listed, where, depth + 1)
    raise InputTypeError(
        f"{where} is of type {type(value).__module__}.{type(value).__qualname__}, "
        "expected what JSON can hold: str, numbers, bool, None, lists and dicts of them"
    )
