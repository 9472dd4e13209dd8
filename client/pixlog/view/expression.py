"""The language of the filter field: ``meta.score < 0.3 and rank == 0``.

    expression = and-terms joined by "or" (or "||")
    and-term   = not-terms joined by "and" (or "&&")
    not-term   = "not" (or "!") not-term  |  comparison
    comparison = operand [ ("<" "<=" ">" ">=" "==" "=" "!=" "~" "!~") operand ]
    operand    = number | "text" | 'text' | true | false | none | name | "(" expression ")"

A name is a field of the row (``FIELDS``), with ``.`` into JSON: ``meta.loss``, ``input.dtype``,
``meta["odd name"]``.  ``~`` asks whether a text contains another, whatever the case.  A name that the row lacks
is none: it equals only none, and no order holds for it.  A name alone holds if it is there and not
false, 0 or empty.

The text is parsed into closures over the values of the names in it; nothing of it is ever run as Python.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pixlog.errors import InputError
from pixlog.view.row_fields import FIELDS, Path

Getter = Callable[[Sequence[Any]], Any]
"""A part of an expression, as a function of the values of the expression's names."""

MAX_LENGTH: Final = 1000
_MAX_DEPTH: Final = 40

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[^\W\d]\w*(?:\.\w+|\[\s*(?:"[^"]*"|'[^']*'|\d+)\s*\])*)
      | (?P<sign><=|>=|==|!=|!~|&&|\|\||[<>=~!()])
    )""",
    re.VERBOSE,
)
_PART: Final = re.compile(r"""\.?(\w+)|\[\s*(?:"([^"]*)"|'([^']*)'|(\d+))\s*\]""")
_WORDS: Final = {"and": "&&", "or": "||", "not": "!"}
_CONSTANTS: Final = {"true": True, "false": False, "none": None, "null": None}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed filter: what it asks of a row, and the test of the answers."""

    paths: tuple[Path, ...]
    test: Callable[[Sequence[Any]], bool]
    """Takes the values at ``paths``, in their order."""


def parse_expression(text: str) -> Expression:
    """Return the filter that ``text`` says; raise ``InputError`` with the place of what is wrong."""
    if len(text) > MAX_LENGTH:
        raise InputError(f"a filter has at most {MAX_LENGTH} characters, got {len(text)}")
    parser = _Parser(text)
    test = parser.read_or(0)
    parser.expect_end()
    return Expression(tuple(parser.paths), lambda values: bool(test(values)))


class _Parser:
    """Recursive descent over a list of (kind, text, place)."""

    def __init__(self, text: str) -> None:
        self.paths: dict[Path, int] = {}
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        self._end = len(text)
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                skipped = len(text[place:]) - len(text[place:].lstrip())
                raise InputError(
                    f"character {place + skipped + 1}, {text[place + skipped]!r}, begins nothing known"
                )
            kind = str(match.lastgroup)
            word = match[kind]
            if kind == "name" and word.lower() in _WORDS:
                kind, word = "sign", _WORDS[word.lower()]
            self._tokens.append((kind, word, match.start(str(match.lastgroup)) + 1))
            place = match.end()

    def read_or(self, depth: int) -> Getter:
        if depth > _MAX_DEPTH:
            raise InputError(f"parentheses and not nest at most {_MAX_DEPTH} deep")
        terms = [self._read_and(depth)]
        while self._took("||"):
            terms.append(self._read_and(depth))
        return terms[0] if len(terms) == 1 else lambda values: any(term(values) for term in terms)

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            _, word, place = self._tokens[self._at]
            raise InputError(f"character {place}: expected a comparison, and, or, or the end, got {word!r}")

    def _read_and(self, depth: int) -> Getter:
        terms = [self._read_not(depth)]
        while self._took("&&"):
            terms.append(self._read_not(depth))
        return terms[0] if len(terms) == 1 else lambda values: all(term(values) for term in terms)

    def _read_not(self, depth: int) -> Getter:
        if depth > _MAX_DEPTH:
            raise InputError(f"parentheses and not nest at most {_MAX_DEPTH} deep")
        if self._took("!"):
            term = self._read_not(depth + 1)
            return lambda values: not term(values)
        return self._read_comparison(depth)

    def _read_comparison(self, depth: int) -> Getter:
        left = self._read_operand(depth)
        if self._at < len(self._tokens) and self._tokens[self._at][1] in _COMPARISONS:
            kind, sign, _ = self._tokens[self._at]
            if kind == "sign":
                self._at += 1
                right = self._read_operand(depth)
                compare = _COMPARISONS[sign]
                return lambda values: compare(left(values), right(values))
        return left

    def _read_operand(self, depth: int) -> Getter:
        if self._at >= len(self._tokens):
            raise InputError(f"character {self._end + 1}: expected a name, a number or a text, got the end")
        kind, word, place = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            number = float(word) if re.search(r"[.eE]", word) else int(word)
            return lambda values: number
        if kind == "text":
            text = re.sub(r"\\(.)", r"\1", word[1:-1])
            return lambda values: text
        if kind == "name":
            return self._name(word, place)
        if word == "(":
            inner = self.read_or(depth + 1)
            if not self._took(")"):
                raise InputError(f"character {place}: this parenthesis is not closed")
            return inner
        raise InputError(f"character {place}: expected a name, a number or a text, got {word!r}")

    def _name(self, word: str, place: int) -> Getter:
        if word.lower() in _CONSTANTS:
            constant = _CONSTANTS[word.lower()]
            return lambda values: constant
        path = tuple(next(part for part in match if part) for match in _PART.findall(word) if any(match))
        if path[0] not in FIELDS:
            raise InputError(
                f"character {place}: there is no field {path[0]!r}, did you mean meta.{path[0]}? "
                f"Fields: {', '.join(FIELDS)}"
            )
        slot = self.paths.setdefault(path, len(self.paths))
        return lambda values: values[slot]

    def _took(self, sign: str) -> bool:
        took = self._at < len(self._tokens) and self._tokens[self._at][:2] == ("sign", sign)
        self._at += took
        return took


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        try:
            return left is not None and right is not None and bool(compare(left, right))
        except TypeError:  # a text and a number have no order
            return False

    return holds


def _contains(left: Any, right: Any) -> bool:
    return left is not None and right is not None and str(right).casefold() in str(left).casefold()


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "~": _contains,
    "!~": lambda left, right: not _contains(left, right),
}
