"""Read a run directory, while training writes it and ever after; no daemon is needed.

Only the manifest says what was logged; media files are opened when their pixels are asked for.  Every method
looks for rows that came since the last call, so one ``Run`` can be kept open beside a training.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixlog.errors import InputError, InputTypeError, RunError
from pixlog.reading.following import following
from pixlog.reading.images import Images
from pixlog.reading.media_totals import MediaTotal, MediaTotals
from pixlog.reading.near_keys import unknown_key
from pixlog.reading.row_filter import RowFilter
from pixlog.reading.row_index import RowIds, RowIndex
from pixlog.reading.row_table import RowTable, table_of
from pixlog.reading.rows import Row, Rows
from pixlog.reading.run_summary import RunSummary, summarize
from pixlog.reading.segment_scan import ReadProblems

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from pixlog.notebook.key_view import KeyView

_RUN_MARKS = ("manifest", "media", "spill", "daemon.log")


class Run:
    """The images of one run directory.

    ``rows`` and ``images`` come in reading order: by key, step, rank, then the client that began first, then
    ``seq``.  ``step`` is a label: ``step=slice(0, 10)`` takes the labels 0 to 9 whichever of them exist,
    ``slice(0, 100, 10)`` every tenth label, negative numbers are labels like any other.
    """

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        """Open ``run_dir`` and index its rows; raise ``RunError`` if it is not a run directory."""
        self.path = Path(os.path.abspath(os.fspath(run_dir)))
        check_is_run(self.path)
        self._index = RowIndex(self.path / "manifest")
        self._media_totals = MediaTotals(self._index)
        self._read("open")

    @property
    def problems(self) -> ReadProblems:
        """Lines of the manifest that were skipped so far, counted by kind."""
        return self._index.problems

    @property
    def row_count(self) -> int:
        """Number of rows read so far, in any state."""
        return len(self._index.table)

    @property
    def revision(self) -> int:
        """Grows when rows that were read before are taken back by their writer, or written again.

        That happens where a disk is full.  What is kept of ``table()`` is then to be read anew.
        """
        return self._index.revision

    @property
    def torn_nbytes(self) -> int:
        """Bytes of unfinished last lines: being written now, or left by a writer that died."""
        return sum(segment.torn_nbytes for segment in self._index.segments)

    def refresh(self) -> int:
        """Read what was logged since; return how many rows came.  Every other method does so by itself."""
        return len(self._read("read"))

    def keys(self) -> list[str]:
        """Return every key that was logged, sorted."""
        self.refresh()
        return sorted(self._index.keys.names)

    def known_key(self, key: str) -> str:
        """Return ``key`` if anything was logged under it; raise ``RunKeyError`` with the nearest ones if not."""
        if not isinstance(key, str):
            raise InputTypeError(f"a key is a string, got {key!r}")
        self.refresh()
        if self._index.keys.known(key) is None:
            raise unknown_key(key, self.keys(), self.path)
        return key

    def steps(self, key: str) -> list[int]:
        """Return the distinct steps of ``key``, ascending; empty for a key that was not logged yet."""
        self.refresh()
        return [int(step) for step in self._index.key_steps(key)]

    def summary(self) -> RunSummary:
        """Return counts by key and state, steps and ranks; nothing but the index is read for it."""
        self.refresh()
        return summarize(self.path, self._index)

    def media_totals(self, progress: Callable[[int, int], None] | None = None) -> dict[str, MediaTotal]:
        """Return images and bytes by key; reads every row once, then only new ones.

        ``progress(rows_done, rows_in_all)`` is called now and then.
        """
        self.refresh()
        return self._media_totals.update(progress)

    def rows(
        self,
        key: str | Iterable[str] | None = None,
        step: int | slice | Iterable[int] | None = None,
        rank: int | Iterable[int] | None = None,
        state: str | Iterable[str] | None = None,
        *,
        client: str | Iterable[str] | None = None,
        where: Callable[[Row], object] | None = None,
    ) -> Rows:
        """Return the rows that pass every filter given, in reading order.

        ``where`` is asked last, with the whole row: ``where=lambda row: row.meta.get("score", 1) < 0.3``.
        Raises ``InputError`` for a filter that cannot be one.
        """
        asked = RowFilter.of(key=key, step=step, rank=rank, state=state, client=client, where=where)
        return self._rows(asked)

    def images(
        self,
        key: str | Iterable[str] | None = None,
        step: int | slice | Iterable[int] | None = None,
        rank: int | Iterable[int] | None = None,
        *,
        client: str | Iterable[str] | None = None,
        where: Callable[[Row], object] | None = None,
    ) -> Images:
        """Return the saved images of the rows that pass every filter given, in reading order."""
        asked = RowFilter.of(key=key, step=step, rank=rank, state="saved", client=client, where=where)
        return Images(self._rows(asked))

    def table(self, first: int = 0) -> RowTable:
        """Return the indexed fields of row number ``first`` and all behind it, as arrays; no line is read.

        Rows are numbered as they were read.  A reader that keeps up asks with the number of rows it has.
        """
        self.refresh()
        return table_of(self._index, max(0, first))

    def to_arrow(
        self,
        key: str | Iterable[str] | None = None,
        step: int | slice | Iterable[int] | None = None,
        rank: int | Iterable[int] | None = None,
        state: str | Iterable[str] | None = None,
        *,
        client: str | Iterable[str] | None = None,
        where: Callable[[Row], object] | None = None,
    ) -> pyarrow.Table:
        """Return the rows that pass every filter given as a table: a line for each image, and for each row without.

        docs/export.md names the columns.  Raises ``MissingExtra`` without pyarrow.
        """
        from pixlog.reading.table import table_of_rows

        rows = self.rows(key, step, rank, state, client=client, where=where)
        return table_of_rows(lambda: rows)

    def to_pandas(
        self,
        key: str | Iterable[str] | None = None,
        step: int | slice | Iterable[int] | None = None,
        rank: int | Iterable[int] | None = None,
        state: str | Iterable[str] | None = None,
        *,
        client: str | Iterable[str] | None = None,
        where: Callable[[Row], object] | None = None,
    ) -> pandas.DataFrame:
        """Return the same table as ``to_arrow`` as a DataFrame.  Raises ``MissingExtra`` without pyarrow or pandas."""
        from pixlog.reading.table import frame_of_table

        return frame_of_table(self.to_arrow(key, step, rank, state, client=client, where=where))

    def rows_by_number(self, numbers: Iterable[int] | RowIds) -> Rows:
        """Return the rows with these numbers, in this order; raise ``InputError`` for one that is not there."""
        ids = np.array(numbers if isinstance(numbers, np.ndarray) else list(numbers), np.int64)
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.row_count):
            raise InputError(f"rows are numbered 0 to {self.row_count - 1}, got {ids.min()} to {ids.max()}")
        return Rows(self._index, self.path, ids)

    def follow(
        self,
        key: str | Iterable[str] | None = None,
        step: int | slice | Iterable[int] | None = None,
        rank: int | Iterable[int] | None = None,
        state: str | Iterable[str] | None = None,
        *,
        client: str | Iterable[str] | None = None,
        where: Callable[[Row], object] | None = None,
        existing: bool = True,
        poll_s: float = 0.2,
        timeout_s: float | None = None,
        stop: threading.Event | Callable[[], bool] | None = None,
    ) -> Iterator[Row]:
        """Yield rows as they are logged, in the order in which they were written.

        Rows that are there already come first, unless ``existing`` is False.  It ends when no row has come for
        ``timeout_s``, or when ``stop`` is set (an event) or returns true, after the rows written until then.
        """
        asked = RowFilter.of(key=key, step=step, rank=rank, state=state, client=client, where=where)
        self.refresh()
        first = 0 if existing else self.row_count
        return following(self, self._index, asked, first, poll_s=poll_s, timeout_s=timeout_s, stop=stop)

    def __getitem__(self, key: str) -> KeyView:
        """Return what was logged under ``key``, which a notebook shows; raise ``RunKeyError`` with the nearest keys."""
        from pixlog.notebook.key_view import KeyView

        return KeyView(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def _ipython_key_completions_(self) -> list[str]:
        return self.keys()

    def _repr_html_(self) -> str | None:
        from pixlog.notebook.displays import run_html

        return run_html(self)

    def __repr__(self) -> str:
        summary = summarize(self.path, self._index)
        keys = sorted(summary.keys)
        named = ", ".join(repr(key) for key in keys[:4]) + (
            f", … {len(keys) - 4} more" if len(keys) > 4 else ""
        )
        return f"<Run {str(self.path)!r}: {summary.counts_text()}; keys {named or 'none yet'}>"

    def _read(self, what: str) -> range:
        try:
            return self._index.refresh()
        except OSError as error:
            raise RunError(f"cannot {what} {error.filename or self.path}: {error.strerror}") from error

    def _rows(self, asked: RowFilter) -> Rows:
        self.refresh()
        index = self._index
        keys = sorted(index.keys.names) if asked.keys is None else asked.keys
        ids = [index.key_rows(key, asked.step) for key in keys]
        chosen = np.concatenate(ids) if ids else np.empty(0, np.int64)
        chosen = chosen[asked.accepts(index.table[chosen], index.clients.names)]
        return Rows(index, self.path, chosen, asked.where)


def is_run_dir(path: Path) -> bool:
    """Return whether ``path`` has what the daemon puts into a run directory."""
    return (path / "manifest").is_dir()


def check_is_run(path: Path) -> None:
    """Raise ``RunError``, with what is there instead, unless ``path`` is a run directory or may become one."""
    if is_run_dir(path):
        return
    expected = "expected a directory with manifest/*.jsonl in it, as pixlog.connect(run_dir) makes one"
    if not path.exists():
        raise RunError(f"there is no run at {path}: {expected}")
    if not path.is_dir():
        raise RunError(f"{path} is a file, not a run directory: {expected}")
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise RunError(f"cannot read the directory {path}: {error.strerror}") from error
    if any(name in _RUN_MARKS for name in names):
        return
    found = ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "nothing"
    hint = ""
    if path.name == "manifest" and any(name.endswith(".jsonl") for name in names):
        hint = f"; did you mean {path.parent}?"
    elif runs := [name for name in names if is_run_dir(path / name)]:
        hint = f"; runs in it: {', '.join(str(path / name) for name in runs[:3])}"
    raise RunError(f"{path} is not a run directory: {expected}; found {found}{hint}")
