"""``parquet``: the manifest as a table, one line for each image and for each row without one.

The columns are those of ``Run.to_arrow``.  With ``embed`` the bytes of the files are in it too: ``image`` is a struct
of ``bytes`` and ``path``, which ``datasets`` casts to images.  Rows pass through in groups, so memory does not grow
with the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pixlog.errors import RunError
from pixlog.export.media_bytes import media_bytes
from pixlog.export.selection import Selection
from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import MediaFile
from pixlog.reading.table import TableForm, arrow

_LINES_A_GROUP: Final = 20_000
_GROUP_NBYTES: Final = 64 << 20


def write(selection: Selection, target: Path, *, embed: bool = False) -> None:
    """Write the table ``target``; ``embed`` puts the bytes of the files into it."""
    arrow()
    from pyarrow import parquet

    form = TableForm.of(selection.scan(), embed=embed)
    described = form.schema.with_metadata({"pixlog.run": selection.run.path.name})
    # What is embedded is compressed already; dictionaries of it would only be tried and thrown away.
    columns = [name for name in form.schema.names if name not in ("image", "overlays")]
    compression: Any = dict.fromkeys(columns, "zstd") if embed else "zstd"
    with parquet.ParquetWriter(
        target, described, compression=compression, use_dictionary=columns if embed else True
    ) as writer:
        group = _Group(selection, embed=embed)
        for row in selection.rows():
            images: list[SavedImage | None] = list(selection.images_of(row, references=True))
            for image in images or [None]:
                group.lines.append(form.line(row, image, group.reader(row, image)))
                if len(group.lines) >= _LINES_A_GROUP or group.nbytes >= _GROUP_NBYTES:
                    writer.write_batch(form.batch(group.take()), row_group_size=_LINES_A_GROUP)
        if group.lines:
            writer.write_batch(form.batch(group.take()), row_group_size=_LINES_A_GROUP)


class _Group:
    """Lines that wait to be written together, and how many bytes they embed."""

    def __init__(self, selection: Selection, *, embed: bool) -> None:
        self.lines: list[dict[str, Any]] = []
        self.nbytes = 0
        self._selection = selection
        self._embed = embed

    def take(self) -> list[dict[str, Any]]:
        lines, self.lines, self.nbytes = self.lines, [], 0
        return lines

    def reader(self, row: Row, image: SavedImage | None) -> Any:
        """Return a function that reads a file of ``image``; the first that cannot be read leaves the image out."""
        if not self._embed or image is None:
            return None
        is_left_out = False

        def read(file: MediaFile) -> bytes | None:
            nonlocal is_left_out
            try:
                data = media_bytes(file)
            except RunError as error:
                if not is_left_out:
                    self._selection.leave_out(
                        image, "a file of it cannot be read, its bytes are null", str(error)
                    )
                is_left_out = True
                return None
            self.nbytes += len(data)
            return data

        return read
