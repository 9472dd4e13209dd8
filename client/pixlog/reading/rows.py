"""Rows of a run: one per ``log`` call and key, read from the manifest when they are asked for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError, RunError
from pixlog.reading.meta_numbers import with_numbers
from pixlog.reading.row_index import RowIds, RowIndex
from pixlog.reading.row_lines import read_lines
from pixlog.reading.row_table import RowTable
from pixlog.reading.saved_image import SavedImage, images_of
from pixlog.reading.stored_media import MediaFile, media_file

_STATE_NAMES: Final = RowTable.STATE_NAMES
COLUMNS: Final = ("step", "rank", "seq", "time")


class Row:
    """What became of one logged image, or one list of them."""

    __slots__ = ("_fields", "_files", "_run_dir")

    def __init__(self, fields: dict[str, Any], run_dir: Path) -> None:
        self._fields = fields
        self._files: tuple[MediaFile, ...] | None = None
        self._run_dir = run_dir

    @property
    def key(self) -> str:
        """The key it was logged under, exactly as given."""
        return str(self._fields["key"])

    @property
    def step(self) -> int:
        """The step it was labelled with."""
        return int(self._fields["step"])

    @property
    def rank(self) -> int:
        """Rank of the process that logged it."""
        return int(self._fields["rank"])

    @property
    def client(self) -> str:
        """Id of the client that logged it; (client, seq) is unique in a run."""
        return str(self._fields["client"])

    @property
    def seq(self) -> int:
        """The client's count of its calls."""
        return int(self._fields["seq"])

    @property
    def time(self) -> float:
        """When it was logged, in seconds since 1970 by the clock of that process; 0 if it did not say."""
        time = self._fields["time"]
        return float(time) if isinstance(time, int | float) else 0.0

    @property
    def state(self) -> str:
        """``saved``, ``failed`` or ``dropped``."""
        return str(self._fields["state"])

    @property
    def reason(self) -> str | None:
        """Why it was not saved; None for a saved row."""
        return self._fields.get("reason")

    @property
    def value(self) -> dict[str, Any] | None:
        """The logged value in the JSON shape of W&B; None unless it was saved."""
        return self._fields.get("value")

    @property
    def meta(self) -> dict[str, Any]:
        """The ``meta`` of the call; empty if none was given, or if the images of a list have one each.

        JSON cannot say NaN and infinities: entries that are the texts "nan", "inf" and "-inf" come as these numbers.
        """
        meta = self._fields.get("meta")
        return with_numbers(meta) if isinstance(meta, dict) else {}

    @property
    def input(self) -> dict[str, Any] | list[dict[str, Any]] | None:
        """What was logged (dtype, shape, range) and the rule that made pixels of it; a list for a list."""
        return self._fields.get("input")

    @property
    def call(self) -> str | None:
        """Id shared by the rows of one ``client.log({...})`` call; None for a call of its own."""
        return self._fields.get("call")

    @property
    def notes(self) -> list[str]:
        """What the daemon had to say about it, such as alpha that was dropped."""
        return self._fields.get("notes") or []

    @property
    def host(self) -> str | None:
        """Host of the process that logged it."""
        return self._fields.get("host")

    @property
    def pid(self) -> int | None:
        """Process id of the process that logged it."""
        return self._fields.get("pid")

    @property
    def local_rank(self) -> int | None:
        """Rank among the processes of its host, where known."""
        return self._fields.get("local_rank")

    @property
    def world_size(self) -> int | None:
        """Number of ranks of the job, where known."""
        return self._fields.get("world_size")

    @property
    def files(self) -> tuple[MediaFile, ...]:
        """Every media file of the row: images, previews, masks, boxes.

        Raises ``RunError`` where the manifest says something else than the format has there, as ``images`` does.
        """
        if self._files is None:
            entries = self._fields.get("files") or []
            if not isinstance(entries, list):
                raise RunError(f"files of a row are a list, got {entries!r:.60}")
            self._files = tuple(media_file(self._run_dir, entry) for entry in entries)
        return self._files

    @property
    def images(self) -> list[SavedImage]:
        """The images of the row; several if a list was logged, none unless it was saved."""
        return images_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the row as the manifest has it."""
        return dict(self._fields)

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return (
            f"<Row {self.key!r} step={self.step} rank={self.rank} seq={self.seq} "
            f"client={self.client} {self.state}{reason}>"
        )

    def _repr_html_(self) -> str | None:
        from pixlog.notebook.displays import row_html

        return row_html(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return (self.client, self.seq) == (other.client, other.seq)

    def __hash__(self) -> int:
        return hash((self.client, self.seq))


class Rows(Sequence[Row]):
    """Rows that were asked for, in reading order.  Lines are read and parsed as iteration reaches them.

    A line whose beginning looked like a row, and whose rest is not JSON or says otherwise, is found out only then;
    iteration skips it, ``run.problems`` counts it, and an index that hits it raises ``RunError``.  With a ``where``
    function, ``len`` and indexing have to read every row once; iterating reads as it goes.
    """

    def __init__(
        self, index: RowIndex, run_dir: Path, ids: RowIds, where: Callable[[Row], object] | None = None
    ) -> None:
        self._index = index
        self._run_dir = run_dir
        self._candidates = ids
        self._where = where

    @property
    def ids(self) -> RowIds:
        """Numbers of the rows within the open run."""
        if self._where is not None:
            found = [row_id for row_id, _ in self._read(self._candidates)]
            self._candidates, self._where = np.array(found, np.int64), None
        return self._candidates

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return one of step, rank, seq, time of every row as an array, without reading any line."""
        if name not in COLUMNS:
            raise InputError(f"a column is one of {', '.join(COLUMNS)}; got {name!r}")
        column: npt.NDArray[Any] = self._index.table[name][self.ids]
        return column

    def numbered(self) -> Iterator[tuple[int, Row]]:
        """Yield each row with its number within the open run."""
        return self._read(self._candidates)

    @property
    def candidate_count(self) -> int:
        """Rows that come into question: all of them, before ``where`` and damaged lines take any away."""
        return len(self._candidates)

    def numbered_candidates(self, first: int, stop: int) -> Iterator[tuple[int, Row]]:
        """Yield those of the candidates from ``first`` to ``stop`` that are among the rows, as ``numbered`` does."""
        return self._read(self._candidates[first:stop])

    def by_number(self, ids: RowIds) -> Rows:
        """Return the rows of these numbers, which were found to be among the rows: ``where`` is not asked again."""
        return Rows(self._index, self._run_dir, ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self._read(self._candidates))

    @overload
    def __getitem__(self, which: int) -> Row: ...
    @overload
    def __getitem__(self, which: slice) -> Rows: ...
    def __getitem__(self, which: int | slice) -> Row | Rows:
        if isinstance(which, slice):
            return self.by_number(self.ids[which])
        row_id = int(self.ids[which])
        for _, row in self._read(np.array([row_id], np.int64)):
            return row
        raise RunError(
            f"row {row_id} of {self._run_dir} is damaged: its line is not JSON, or says a field twice"
        )

    def __repr__(self) -> str:
        return f"<Rows: {'some of ' if self._where else ''}{len(self._candidates)} rows of {self._run_dir}>"

    def _repr_html_(self) -> str | None:
        from pixlog.notebook.displays import rows_html

        return rows_html(self)

    def _read(self, ids: RowIds) -> Iterator[tuple[int, Row]]:
        where = self._where
        revision, table = self._index.revision, self._index.table
        for row_id, line in read_lines(self._index, ids):
            fields, complaint = self._parse(line, table[row_id])
            if fields is None:
                fields = self._parse_again(row_id, revision, complaint)
                if fields is None:
                    continue
            row = Row(fields, self._run_dir)
            if where is None or where(row):
                yield row_id, row

    def _parse_again(self, row_id: int, revision: int, complaint: str) -> dict[str, Any] | None:
        """Return the row from where its line is now; None if its writer took it back, or if it is damaged."""
        with contextlib.suppress(OSError, RunError):
            self._index.look_again(row_id)
        if self._index.revision != revision:
            for _, line in read_lines(self._index, np.array([row_id], np.int64)):
                fields, complaint = self._parse(line, self._index.table[row_id])
                if fields is not None:
                    return fields
                break
            else:
                return None
        self._index.mark_unreadable(row_id, complaint)
        return None

    def _parse(self, line: bytes, indexed: npt.NDArray[np.void]) -> tuple[dict[str, Any] | None, str]:
        """Return the fields of a line, or what keeps it from being the row that was indexed.

        A line may say a field twice: of the first the index knows, the last is what JSON says.
        """
        try:
            fields = json.loads(line)
        except ValueError as error:
            return None, f"not JSON ({error})"
        _, _, _, key, step, rank, client, seq, state, _ = indexed.item()
        client = self._index.clients.names[client]
        if not isinstance(fields, dict) or fields.get("seq") != seq or fields.get("client") != client:
            return None, f"no longer the row with seq {seq} of client {client}"
        key = self._index.keys.names[key]
        said = fields.get("key"), fields.get("step"), fields.get("rank"), fields.get("state")
        if said == (key, step, rank, _STATE_NAMES[state]):
            return fields, ""
        for name, first in (("key", key), ("step", step), ("rank", rank), ("state", _STATE_NAMES[state])):
            if fields.get(name) != first:
                return None, f"its {name} is {first!r} first and {fields.get(name)!r:.60} then"
        return fields, ""
