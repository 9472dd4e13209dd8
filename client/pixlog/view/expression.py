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

The text is parsed into closures over the row's JSON; nothing of it is ever run as Python.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pixlog.errors import InputError
from pixlog.rows import Row

Getter = Callable[[Row], Any]

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


def _first_image(name: str) -> Getter:
    def get(row: Row) -> Any:
        value = row.value or {}
        found = value.get(name)
        if found is None and isinstance(several := value.get(f"{name}s"), list):
            return " | ".join(str(one) for one in several if one is not None)
        return found

    return get


def _input(row: Row) -> Any:
    return row.input[0] if isinstance(row.input, list) and row.input else row.input


def meta_of(row: Row) -> dict[str, Any]:
    """Return the meta of the call, and for a single image or the first of a list its own too."""
    given = _input(row)
    own = given.get("meta") if isinstance(given, Mapping) else None
    return {**row.meta, **own} if isinstance(own, Mapping) else row.meta


FIELDS: Final[dict[str, Getter]] = {
    "key": lambda row: row.key,
    "step": lambda row: row.step,
    "rank": lambda row: row.rank,
    "seq": lambda row: row.seq,
    "time": lambda row: row.time,
    "state": lambda row: row.state,
    "reason": lambda row: row.reason,
    "client": lambda row: row.client,
    "host": lambda row: row.host,
    "pid": lambda row: row.pid,
    "caption": _first_image("caption"),
    "width": _first_image("width"),
    "height": _first_image("height"),
    "format": _first_image("format"),
    "count": lambda row: (row.value or {}).get("count", 1),
    "notes": lambda row: "; ".join(row.notes),
    "meta": meta_of,
    "input": _input,
}


def parse_expression(text: str) -> Callable[[Row], bool]:
    """Return the test of a row that ``text`` says; raise ``InputError`` with the place of what is wrong."""
    if len(text) > MAX_LENGTH:
        raise InputError(f"a filter has at most {MAX_LENGTH} characters, got {len(text)}")
    parser = _Parser(text)
    test = parser.read_or(0)
    parser.expect_end()
    return lambda row: bool(test(row))


class _Parser:
    """Recursive descent over a list of (kind, text, place)."""

    def __init__(self, text: str) -> None:
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
        return terms[0] if len(terms) == 1 else lambda row: any(term(row) for term in terms)

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            _, word, place = self._tokens[self._at]
            raise InputError(f"character {place}: expected a comparison, and, or, or the end, got {word!r}")

    def _read_and(self, depth: int) -> Getter:
        terms = [self._read_not(depth)]
        while self._took("&&"):
            terms.append(self._read_not(depth))
        return terms[0] if len(terms) == 1 else lambda row: all(term(row) for term in terms)

    def _read_not(self, depth: int) -> Getter:
        if depth > _MAX_DEPTH:
            raise InputError(f"parentheses and not nest at most {_MAX_DEPTH} deep")
        if self._took("!"):
            term = self._read_not(depth + 1)
            return lambda row: not term(row)
        return self._read_comparison(depth)

    def _read_comparison(self, depth: int) -> Getter:
        left = self._read_operand(depth)
        if self._at < len(self._tokens) and self._tokens[self._at][1] in _COMPARISONS:
            kind, sign, _ = self._tokens[self._at]
            if kind == "sign":
                self._at += 1
                right = self._read_operand(depth)
                compare = _COMPARISONS[sign]
                return lambda row: compare(left(row), right(row))
        return left

    def _read_operand(self, depth: int) -> Getter:
        if self._at >= len(self._tokens):
            raise InputError(f"character {self._end + 1}: expected a name, a number or a text, got the end")
        kind, word, place = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            number = float(word) if re.search(r"[.eE]", word) else int(word)
            return lambda row: number
        if kind == "text":
            text = re.sub(r"\\(.)", r"\1", word[1:-1])
            return lambda row: text
        if kind == "name":
            return _name(word, place)
        if word == "(":
            inner = self.read_or(depth + 1)
            if not self._took(")"):
                raise InputError(f"character {place}: this parenthesis is not closed")
            return inner
        raise InputError(f"character {place}: expected a name, a number or a text, got {word!r}")

    def _took(self, sign: str) -> bool:
        took = self._at < len(self._tokens) and self._tokens[self._at][:2] == ("sign", sign)
        self._at += took
        return took


def _name(word: str, place: int) -> Getter:
    if word.lower() in _CONSTANTS:
        constant = _CONSTANTS[word.lower()]
        return lambda row: constant
    path = [next(part for part in match if part) for match in _PART.findall(word) if any(match)]
    field = FIELDS.get(path[0])
    if field is None:
        raise InputError(
            f"character {place}: there is no field {path[0]!r}, did you mean meta.{path[0]}? "
            f"Fields: {', '.join(FIELDS)}"
        )
    inner = path[1:]

    def get(row: Row) -> Any:
        value = field(row)
        for part in inner:
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value

    return get


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
