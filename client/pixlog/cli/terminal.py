"""What the commands print: results on stdout, progress and errors on stderr, never a traceback for a mistake."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_WIDTH_WITHOUT_TERMINAL = 160


def results() -> Console:
    """Return the console of stdout; wide where it is no terminal, so that no column of a table is cut."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, emoji=False, width=_WIDTH_WITHOUT_TERMINAL)
    return console


def messages() -> Console:
    """Return the console of stderr."""
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show that something is going on, on a terminal."""
    console = messages()
    if not console.is_terminal:
        yield
        return
    with console.status(plain(text)):
        yield


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, in all) that moves a bar, on a terminal; the bar is gone afterwards."""
    console = messages()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Print one JSON value on stdout, on one line unless indented, in any encoding that the terminal or pipe has."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, ensure_ascii=False, separators=separators)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent, separators=separators)
    sys.stdout.write(text + "\n")


def plain(text: object) -> Text:
    """Return ``text`` for a table: no markup in it is obeyed, and nothing in it moves the cursor."""
    return Text(printable(str(text)))


def printable(text: str) -> str:
    """Return ``text`` with its control characters, and what UTF-8 cannot say, as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def nbytes_text(nbytes: float) -> str:
    """Return a size as people read it: 17 B, 1.2 kB, 35.2 MB."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def count_text(count: int, noun: str) -> str:
    """Return a count and its noun: 1 row, 2,000 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration_text(seconds: float) -> str:
    """Return a duration as people read it: 12 s, 3 min, 2 h 05 min, 3 d 4 h."""
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole:02d} s" if minutes else f"{whole} s"


def moment_text(unix_s: float) -> str:
    """Return a moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))


def ranges_text(numbers: tuple[int, ...]) -> str:
    """Return ascending numbers, runs of them shortened: 0–3, 6, 8–9."""
    parts: list[str] = []
    first = previous = None
    for number in (*numbers, None):
        if first is None or previous is None:
            first = previous = number
        elif number is not None and number == previous + 1:
            previous = number
        else:
            parts.append(str(first) if first == previous else f"{first}–{previous}")
            first = previous = number
    return ", ".join(parts)
