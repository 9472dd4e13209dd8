"""Read the fields that every row begins with, for thousands of lines at once.

Theory of operation.  A line as pixlog writes it begins

    {"v":1,"key":"KEY","step":STEP,"rank":RANK,"client":"CLIENT","seq":SEQ,"state":"STATE","time":TIME,

so its quotation marks, counted from the left, say where every field begins and ends.  The first bytes of all
lines of a block are gathered into one matrix (a window a line), the quotation marks are found in it once, and
what lies between them is compared and parsed column by column: all the last digits of all steps, then all the
last but one, and so on.  A line that differs in any byte from the form above (another writer, an escape in the
key, damage) is reported as not read, and is for the caller to look at by itself.

Measured on 1,000,000 rows of 750 bytes, one core: 2.4 s; a regular expression over the same block took 5.3 s and
``json.loads`` of every line 9 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

STATES: Final = ("saved", "failed", "dropped")
"""The states a row can have, in the order of their codes."""

STEP_DIGITS: Final = 18
RANK_DIGITS: Final = 9
SEQ_DIGITS: Final = 12
TIME_CHARACTERS: Final = 24

_HEAD: Final = b'{"v":1,"key":"'
_WINDOWS_NBYTES: Final = (192, 1024)
_QUOTES: Final = 22

_Bytes = npt.NDArray[np.uint8]
_Places = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

_IS_DECIMAL: Final = np.zeros(256, bool)
_IS_DECIMAL[np.frombuffer(b"0123456789.-", np.uint8)] = True


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The leading fields of some lines of a block."""

    lines: _Places
    """Which lines of those asked for these are."""
    key: list[bytes]
    """As in the line, between the quotes."""
    step: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    client: list[bytes]
    seq: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    """Index into ``STATES``."""
    time: npt.NDArray[np.float64]


def read_prefixes(block: _Bytes, starts: _Places, ends: _Places) -> list[Prefixes]:
    """Read the lines ``block[starts[i]:ends[i]]``; lines in none of the results were not as they should be."""
    found = []
    left = np.flatnonzero(block[ends - 2] == ord("}"))
    for nbytes in _WINDOWS_NBYTES:
        left = left[starts[left] + nbytes <= len(block)]
        if len(left):
            prefixes = _read_windows(block, starts[left], ends[left], left, nbytes)
            found.append(prefixes)
            left = np.setdiff1d(left, prefixes.lines, assume_unique=True)
    return found


def _read_windows(block: _Bytes, starts: _Places, ends: _Places, lines: _Places, nbytes: int) -> Prefixes:
    windows = np.lib.stride_tricks.sliding_window_view(block, nbytes)[starts]
    text = windows.ravel()
    quotes = np.flatnonzero(text == ord('"'))
    windows_at = np.arange(len(lines)) * nbytes
    first_quote = np.searchsorted(quotes, windows_at)
    quote_count = np.diff(first_quote, append=len(quotes))
    fits = (quote_count >= _QUOTES) & (windows[:, : len(_HEAD)] == np.frombuffer(_HEAD, np.uint8)).all(axis=1)
    if not fits.all():
        lines, ends, starts = lines[fits], ends[fits], starts[fits]
        windows_at, first_quote = windows_at[fits], first_quote[fits]
    quote = quotes[first_quote[:, None] + np.arange(_QUOTES)]
    # The quotation marks, by number: 4 and 5 enclose the key, 12 and 13 the client, 18 and 19 the state.
    key_at, key_end = quote[:, 4] + 1, quote[:, 5]
    client_at, client_end = quote[:, 12] + 1, quote[:, 13]
    state_at, state_end = quote[:, 18] + 1, quote[:, 19]
    time_at = quote[:, 21] + 2
    fits = time_at + TIME_CHARACTERS < windows_at + nbytes
    fits &= _is_text(text, key_end, b'","step":', fits)
    fits &= _is_text(text, quote[:, 8] - 1, b',"rank":', fits)
    fits &= _is_text(text, quote[:, 10] - 1, b',"client":"', fits)
    fits &= _is_text(text, client_end, b'","seq":', fits)
    fits &= _is_text(text, quote[:, 16] - 1, b',"state":"', fits)
    fits &= _is_text(text, state_end, b'","time":', fits)
    fits &= (client_end > client_at) & (client_end - client_at <= 64)
    fits &= _no_backslash(text, windows_at, time_at)
    step, step_fits = _integers(text, quote[:, 7] + 2, quote[:, 8] - 1, STEP_DIGITS)
    rank, rank_fits = _integers(text, quote[:, 9] + 2, quote[:, 10] - 1, RANK_DIGITS)
    seq, seq_fits = _integers(text, quote[:, 15] + 2, quote[:, 16] - 1, SEQ_DIGITS)
    state, state_fits = _states(text, state_at, state_end)
    time, time_end, time_fits = _times(text, time_at, fits)
    fits &= step_fits & rank_fits & seq_fits & (seq >= 0) & state_fits & time_fits
    fits &= starts + (time_end - windows_at) < ends - 1
    chosen = np.flatnonzero(fits)
    return Prefixes(
        lines=lines[chosen],
        key=_texts(text, key_at[chosen], key_end[chosen]),
        step=step[chosen],
        rank=rank[chosen],
        client=_texts(text, client_at[chosen], client_end[chosen]),
        seq=seq[chosen],
        state=state[chosen],
        time=time[chosen],
    )


def _is_text(text: _Bytes, at: _Places, expected: bytes, where: _Mask) -> _Mask:
    """Return where ``expected`` stands at ``at``; places outside ``where`` are not looked at."""
    at = np.where(where, at, 0)
    matches = where.copy()
    for offset, byte in enumerate(expected):
        matches &= text[at + offset] == byte
    return matches


def _no_backslash(text: _Bytes, first: _Places, stop: _Places) -> _Mask:
    backslashes = np.flatnonzero(text == ord("\\"))
    counts: Any = np.searchsorted(backslashes, stop) - np.searchsorted(backslashes, first)
    no_backslash: _Mask = counts == 0
    return no_backslash


def _integers(
    text: _Bytes, first: _Places, stop: _Places, digits: int
) -> tuple[npt.NDArray[np.int64], _Mask]:
    """Parse decimal integers of up to ``digits`` digits at ``text[first:stop]``, from the last digit on."""
    is_negative = text[first] == ord("-")
    first = first + is_negative
    count = stop - first
    fits = (count >= 1) & (count <= digits)
    values = np.zeros(len(first), np.int64)
    for place in range(int(count[fits].max(initial=0))):
        at = stop - 1 - place
        is_inside = at >= first
        digit = text[np.maximum(at, 0)] - np.uint8(ord("0"))
        fits &= (digit <= 9) | ~is_inside
        values += np.where(is_inside & fits, digit, 0).astype(np.int64) * 10**place
    return np.where(is_negative, -values, values), fits


def _states(text: _Bytes, first: _Places, stop: _Places) -> tuple[npt.NDArray[np.uint8], _Mask]:
    codes = np.zeros(len(first), np.uint8)
    fits = np.zeros(len(first), bool)
    for code, name in enumerate(STATES):
        is_it = _is_text(text, first, name.encode(), stop - first == len(name))
        codes[is_it] = code
        fits |= is_it
    return codes, fits


def _times(text: _Bytes, first: _Places, where: _Mask) -> tuple[npt.NDArray[np.float64], _Places, _Mask]:
    """Parse the numbers that begin at ``first``; also return where each ends."""
    at = np.where(where, first, 0)[:, None] + np.arange(TIME_CHARACTERS)
    characters = text[at]
    length = (characters == ord(",")).argmax(axis=1)
    is_outside = np.arange(TIME_CHARACTERS) >= length[:, None]
    fits = where & (length > 0) & (_IS_DECIMAL[characters] | is_outside).all(axis=1)
    characters[is_outside] = 0
    characters[~fits] = 0
    characters[~fits, 0] = ord("0")
    try:
        times = characters.view(f"S{TIME_CHARACTERS}").ravel().astype(np.float64)
    except ValueError:  # such as 1.2.3
        return np.zeros(len(first)), first + length, np.zeros(len(first), bool)
    return times, first + length, fits


def _texts(text: _Bytes, first: _Places, stop: _Places) -> list[bytes]:
    """Return ``text[first:stop]`` of every line."""
    length = int((stop - first).max(initial=1))
    at = first[:, None] + np.arange(length)
    is_outside = at >= stop[:, None]
    at[is_outside] = 0
    characters = text[at]
    characters[is_outside] = 0
    texts: list[bytes] = characters.view(f"S{length}").ravel().tolist()
    return texts
