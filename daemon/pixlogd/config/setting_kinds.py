"""The kinds of value a setting can have: how each is read from TOML, read from a variable, and written as TOML.

A kind is a value object without names: whoever reads a setting adds to a ``ValueError`` which one it was and where
it came from.  TOML values must have the right type already (``"4"`` is not a number); the text of an environment
variable is first turned into the value that TOML would have had.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pixlog.bytecount import BYTE_COUNT, format_bytes, parse_bytes
from pixlog.options import parse_flag


class Kind(Protocol):
    """What every kind of setting can do."""

    @property
    def expected(self) -> str:
        """The values that are accepted, in words, as error messages and the reference say them."""

    def from_toml(self, value: object) -> Any:
        """Return the setting's value for a parsed TOML value; ``ValueError`` if it is none of this kind."""

    def from_text(self, text: str) -> Any:
        """Return the setting's value for the text of an environment variable; ``ValueError`` as above."""

    def to_toml(self, value: Any) -> str:
        """Return ``value`` as the right-hand side of a TOML assignment."""


def refuse(got: object, expected: str) -> ValueError:
    """Return the error that says what was got and what was expected."""
    return ValueError(f"got {got!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds; ``auto`` is the value that the word ``"auto"`` stands for, if it is allowed."""

    low: int
    high: int
    auto: int | None = None

    @property
    def expected(self) -> str:
        number = f"a whole number from {self.low} to {self.high}"
        return number if self.auto is None else f'"auto" or {number}'

    def from_toml(self, value: object) -> int:
        if self.auto is not None and value == "auto":
            return self.auto
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise refuse(value, self.expected)
        return value

    def from_text(self, text: str) -> int:
        try:
            return self.from_toml(int(text))
        except ValueError:
            if text == "auto":
                return self.from_toml(text)
            raise refuse(text, self.expected) from None

    def to_toml(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration within bounds, as a float; the unit is in the setting's name (seconds or milliseconds)."""

    low: float
    high: float

    @property
    def expected(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def from_toml(self, value: object) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not self.low <= value <= self.high
        ):
            raise refuse(value, self.expected)
        return float(value)

    def from_text(self, text: str) -> float:
        try:
            return self.from_toml(float(text))
        except ValueError:
            raise refuse(text, self.expected) from None

    def to_toml(self, value: float) -> str:
        return f"{value:g}" if value == int(value) else repr(value)


@dataclass(frozen=True, slots=True)
class ByteCount:
    """A number of bytes, also written with a unit."""

    low: int

    @property
    def expected(self) -> str:
        return f"{BYTE_COUNT}, at least {format_bytes(self.low)}"

    def from_toml(self, value: object) -> int:
        try:
            nbytes = parse_bytes(value) if isinstance(value, (int, str)) else -1
        except ValueError:
            nbytes = -1
        if nbytes < self.low:
            raise refuse(value, self.expected)
        return nbytes

    def from_text(self, text: str) -> int:
        return self.from_toml(text)

    def to_toml(self, value: int) -> str:
        text = format_bytes(value)
        return text if text.isdigit() else json.dumps(text)


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a few."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return ("one of " if len(self.words) > 1 else "") + ", ".join(json.dumps(word) for word in self.words)

    def from_toml(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise refuse(value, self.expected)
        return value

    def from_text(self, text: str) -> str:
        return self.from_toml(text)

    def to_toml(self, value: str) -> str:
        return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen for this machine alone: nowhere, a Unix socket, or a port of the loopback interface."""

    @property
    def expected(self) -> str:
        return '"" for nowhere, the absolute path of a Unix socket, or a port such as "127.0.0.1:9464"'

    def from_toml(self, value: object) -> str:
        if isinstance(value, str):
            if not value or (value.startswith("/") and "\0" not in value and len(value.encode()) <= 107):
                return value
            host, _, port = value.rpartition(":")
            if host in ("127.0.0.1", "localhost", "[::1]") and port.isdecimal() and 0 < int(port) < 65536:
                return value
        raise refuse(value, self.expected)

    def from_text(self, text: str) -> str:
        return self.from_toml(text)

    def to_toml(self, value: str) -> str:
        return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    @property
    def expected(self) -> str:
        return "true or false"

    def from_toml(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise refuse(value, self.expected)
        return value

    def from_text(self, text: str) -> bool:
        return parse_flag(text)

    def to_toml(self, value: bool) -> str:
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Color:
    """A colour: three channels from 0 to 255."""

    @property
    def expected(self) -> str:
        return "a colour such as [255, 255, 255] or \"#ffffff\""  # fmt: skip

    def from_toml(self, value: object) -> tuple[int, int, int]:
        if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
            return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
        if isinstance(value, Sequence) and not isinstance(value, str):
            match tuple(value):
                case (int(red), int(green), int(blue)) if all(0 <= c <= 255 for c in (red, green, blue)):
                    return red, green, blue
        raise refuse(value, self.expected)

    def from_text(self, text: str) -> tuple[int, int, int]:
        parts = text.strip("[] ").split(",")
        try:
            return self.from_toml([int(part) for part in parts] if len(parts) > 1 else text)
        except ValueError:
            raise refuse(text, self.expected) from None

    def to_toml(self, value: tuple[int, int, int]) -> str:
        return str(list(value))
