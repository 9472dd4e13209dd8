"""Rows of a run as a typed table of Arrow: one line of it for each image, and one for each row without image.

The columns are fixed but for ``meta.NAME``, which are those entries of ``meta`` that are of one type in all rows
(``meta_columns``); the schema is therefore made from a first walk over the rows, and the table, or batch after batch
of it, from a second.  Needs pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pixlog.errors import MissingExtra, RunError
from pixlog.reading.meta_columns import ColumnType, MetaColumns, column_value
from pixlog.reading.meta_numbers import as_json_has_it
from pixlog.reading.picture_size import picture_size
from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import MediaFile

if TYPE_CHECKING:
    import pandas
    import pyarrow

LINES_A_BATCH: Final = 8192

ReadBytes = Callable[[MediaFile], bytes | None]
"""A function that returns a file's bytes for embedding, or None if they cannot be had."""


def arrow() -> Any:
    """Return the module ``pyarrow``; raise ``MissingExtra`` without it."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("a table of a run", "export", "pyarrow") from None
    return pyarrow


class TableForm:
    """The columns of the table of some rows, and how lines of it are made."""

    def __init__(self, meta_types: Mapping[str, ColumnType], *, embed: bool = False) -> None:
        """``embed`` adds the bytes of the files."""
        self._pa = arrow()
        self._meta_types = dict(meta_types)
        self._embed = embed
        self.schema: pyarrow.Schema = self._schema()

    @classmethod
    def of(cls, rows: Iterable[Row], *, embed: bool = False) -> TableForm:
        """Return the form of the table of ``rows``, all of which are read for it."""
        arrow()
        columns = MetaColumns()
        for row in rows:
            for meta in metas_of(row):
                columns.add(meta)
        return cls(columns.types(), embed=embed)

    def batch(self, lines: list[dict[str, Any]]) -> pyarrow.RecordBatch:
        """Return lines as a record batch."""
        pa = self._pa
        columns = [pa.array([line.get(field.name) for line in lines], field.type) for field in self.schema]
        return pa.record_batch(columns, schema=self.schema)

    def line(self, row: Row, image: SavedImage | None, read_bytes: ReadBytes | None = None) -> dict[str, Any]:
        """Return one line: of ``image``, or of a row that has none."""
        line: dict[str, Any] = {
            "key": _text(row.key),
            "step": row.step,
            "rank": row.rank,
            "client": _text(row.client),
            "seq": row.seq,
            "state": row.state,
            "reason": optional_text(row.reason),
            "time": round(row.time * 1e6) if abs(row.time) < 2**40 else None,
            "call": optional_text(row.call),
            "host": optional_text(row.host),
            "pid": row.pid,
            "local_rank": row.local_rank,
            "world_size": row.world_size,
            "notes": [_text(note) for note in row.notes],
        }
        meta = row.meta if image is None else image.meta
        line["meta"] = json_text(meta) if meta else None
        for name, kind in self._meta_types.items():
            value = column_value(meta, name, kind)
            line[f"meta.{_text(name)}"] = _text(value) if kind == "string" and value is not None else value
        if image is not None:
            self._add_image(line, row, image, read_bytes)
        return line

    def _add_image(
        self, line: dict[str, Any], row: Row, image: SavedImage, read_bytes: ReadBytes | None
    ) -> None:
        line["image_index"] = image.index
        line["caption"] = optional_text(image.caption)
        line["input"] = json_text(image.input) if image.input else None
        line["url"] = optional_text(image.url)
        line["overlays"] = [
            self._file(file, read_bytes) | {"role": file.role, "group": optional_text(file.group)}
            for file in row.files
            if file.index == image.index and file.role != "image"
        ]
        if image.file is None:
            return
        line |= self._file(image.file, None)
        line["format"] = image.file.relative_path.rpartition(".")[2]
        try:
            line["width"], line["height"] = picture_size(image) or (None, None)
        except RunError:
            line["width"] = line["height"] = None
        if read_bytes is not None:
            line["image"] = {"bytes": read_bytes(image.file), "path": _text(image.file.relative_path)}

    def _file(self, file: MediaFile, read_bytes: ReadBytes | None) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "path": _text(file.relative_path),
            "sha256": _text(file.sha256),
            "size": _int64(file.size),
            "shard": optional_text(file.shard),
            "shard_offset": _int64(file.offset) if file.shard is not None else None,
        }
        if read_bytes is not None:
            entry["bytes"] = read_bytes(file)
        return entry

    def _schema(self) -> pyarrow.Schema:
        pa = self._pa
        text, whole, count = pa.string(), pa.int64(), pa.int32()
        file = [("path", text), ("sha256", text), ("size", whole), ("shard", text), ("shard_offset", whole)]
        overlay = [("role", text), ("group", text), *file, *([("bytes", pa.binary())] if self._embed else [])]
        types = {"bool": pa.bool_(), "int64": whole, "float64": pa.float64(), "string": text}
        fields = [
            *[("key", text), ("step", whole), ("rank", count), ("image_index", count)],
            *[("client", text), ("seq", whole), ("state", text), ("reason", text)],
            *[("time", pa.timestamp("us", tz="UTC")), ("caption", text), ("meta", text)],
            *[(f"meta.{_text(name)}", types[kind]) for name, kind in self._meta_types.items()],
            *[("width", count), ("height", count), ("format", text), *file, ("url", text)],
            ("overlays", pa.list_(pa.struct(overlay))),
            *[("call", text), ("host", text), ("pid", whole), ("local_rank", count), ("world_size", count)],
            *[("input", text), ("notes", pa.list_(text))],
        ]
        if self._embed:
            fields.append(("image", pa.struct([("bytes", pa.binary()), ("path", text)])))
        needed = ("key", "step", "rank", "client", "seq", "state")
        return pa.schema([pa.field(name, kind, nullable=name not in needed) for name, kind in fields])


def table_of_rows(rows: Callable[[], Iterable[Row]]) -> pyarrow.Table:
    """Return the table of the rows that ``rows()`` gives, twice the same."""
    form = TableForm.of(rows())
    return arrow().Table.from_batches(list(_batches(form, rows())), form.schema)


def frame_of_table(table: pyarrow.Table) -> pandas.DataFrame:
    """Return a table as a DataFrame; whole numbers stay whole where some are missing (``Int64``, ``Int32``)."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("a table for pandas", "export", "pandas") from None
    pa = arrow()
    nullable = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = table.to_pandas()
    for name in table.column_names:
        column = table.column(name)
        if column.null_count and column.type in nullable:
            frame[name] = pd.Series(column.to_pylist(), dtype=nullable[column.type], index=frame.index)
    return frame


def metas_of(row: Row) -> Iterator[dict[str, Any]]:
    """Yield the ``meta`` of every line that a row makes."""
    images = row.images
    if images:
        yield from (image.meta for image in images)
    else:
        yield row.meta


def json_text(value: Any) -> str:
    """Return a value of a row as JSON."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(as_json_has_it(value), ensure_ascii=False)
    return _text(text)


def optional_text(value: Any) -> str | None:
    """Return a value that is text or None, such as a caption; JSON for one that is neither."""
    return None if value is None else _text(value if isinstance(value, str) else json_text(value))


def _batches(form: TableForm, rows: Iterable[Row]) -> Iterator[pyarrow.RecordBatch]:
    lines: list[dict[str, Any]] = []
    for row in rows:
        lines += [form.line(row, image) for image in row.images] or [form.line(row, None)]
        if len(lines) >= LINES_A_BATCH:
            yield form.batch(lines)
            lines = []
    if lines:
        yield form.batch(lines)


def _int64(number: int) -> int | None:
    """Return a number that a column of 64 bits holds; None for one that no file has."""
    return number if -(2**63) <= number < 2**63 else None


def _text(value: Any) -> str:
    """Return text that UTF-8 can say: half surrogates, which JSON may hold, as escapes."""
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
