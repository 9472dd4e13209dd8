"""``imagefolder``: the layout that ``datasets.load_dataset("imagefolder", data_dir=...)`` of Hugging Face reads.

Images lie in directories by key; ``metadata.jsonl`` has one line for each, with ``file_name``, what it was logged as,
``meta`` as JSON and by entry, boxes as ``objects``, masks as ``mask.GROUP_file_name``, which is read back as an image,
polygons and keypoints as the JSON they were logged as.

Theory of operation.  ``datasets`` infers the columns from the first ten megabytes of the file.  Therefore every line
has every column, found in a first walk over the rows; whole numbers of a column of numbers are written with a decimal
point; and where a column is first used behind that, the line that uses it moves to the front.  It also takes
directories that are named like ``train`` or ``val`` for splits, and then reads some of the files as another data set;
such words are written ``+val+`` here, and everything is one split.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, BinaryIO, Final

from pixlog.errors import RunError
from pixlog.export.file_names import FileNames, safe_word, suffix_of
from pixlog.export.image_facts import UNREADABLE, References, box_objects, image_facts, json_bytes, json_line
from pixlog.export.media_bytes import Folder
from pixlog.export.selection import Selection
from pixlog.reading.meta_columns import MetaColumns, column_value
from pixlog.reading.meta_numbers import is_not_finite
from pixlog.reading.picture_size import picture_size
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import MediaFile

SPLIT_WORDS: Final = (
    *("train", "training", "validation", "valid", "dev", "val"),
    *("test", "testing", "evaluation", "eval"),
)
_INFERRED_NBYTES: Final = 8 << 20  # a little less than what the columns are inferred from


def write(selection: Selection, target: Path) -> None:
    """Write the directory ``target``."""
    target.mkdir()
    columns = _Columns(selection)
    names = FileNames(avoid=SPLIT_WORDS)
    references = References()
    folder = Folder(target)
    with (target / "metadata.jsonl").open("xb") as file:
        lines = _Lines(file)
        for image in selection.images(references=True):
            if image.file is None:
                references.add(image)
                continue
            stem = names.stem(image)
            try:
                placed = _copy(selection, image, folder, stem)
                lines.add(_fields(selection, columns, image, placed))
            except RunError as error:
                selection.leave_out(image, UNREADABLE, str(error))
    if lines.late:
        _move_to_front(target / "metadata.jsonl", lines.late)
    references.write(target)


class _Columns:
    """The columns beyond those that every image has, as a first walk over the rows finds them."""

    def __init__(self, selection: Selection) -> None:
        metas = MetaColumns()
        self.roles: set[str] = set()
        self.mask_groups: dict[str, str] = {}
        for row in selection.scan():
            if row.state != "saved":
                continue
            for image in row.images:
                metas.add(image.meta)
            for file in row.files:
                self.roles.add(file.role)
                if file.role == "mask":
                    self.mask_groups.setdefault(file.group or "", f"mask.{file.group or ''}_file_name")
        self.meta = metas.types()


def _copy(selection: Selection, image: SavedImage, folder: Folder, stem: str) -> dict[str, str]:
    """Copy the files of an image; return their names by column."""
    assert image.file is not None
    wanted: list[tuple[str, str, MediaFile]] = [
        ("file_name", f"images/{stem}{suffix_of(image.file.relative_path)}", image.file)
    ]
    preview = image.preview
    if preview is not None:
        wanted.append(("preview_file_name", f"previews/{stem}{suffix_of(preview.relative_path)}", preview))
    folder.place((name, file) for _, name, file in wanted)
    placed = {column: name for column, name, _ in wanted}
    taken: set[str] = set()
    for group, mask in image.masks.items():
        word = safe_word(group)
        while word.casefold() in taken:
            word += "~"
        taken.add(word.casefold())
        name = f"masks/{stem}_mask_{word}{suffix_of(mask.relative_path)}"
        try:
            folder.place([(name, mask)])
        except RunError as error:
            selection.leave_out_overlay(image, error)
        else:
            placed[f"mask.{group}_file_name"] = name
    return placed


def _fields(
    selection: Selection, columns: _Columns, image: SavedImage, placed: dict[str, str]
) -> dict[str, Any]:
    fields: dict[str, Any] = {"file_name": placed["file_name"], **image_facts(image)}
    size = picture_size(image) or (0, 0)
    fields["width"], fields["height"] = size
    if "preview" in columns.roles:
        fields["preview_file_name"] = placed.get("preview_file_name")
    for column in columns.mask_groups.values():
        fields[column] = placed.get(column)
    if "boxes" in columns.roles:
        fields["objects"], without_position = box_objects(selection.groups(image, "boxes"), *size)
        if without_position:
            selection.note("box without a finite position left out", without_position)
    for role in ("polygons", "keypoints"):
        if role in columns.roles:
            groups = selection.groups(image, role)
            fields[role] = json_bytes(groups).decode() if groups else None
    if columns.mask_groups:
        labels = image.mask_labels
        fields["mask_labels"] = json_bytes(labels).decode() if labels else None
    meta = image.meta
    fields["meta"] = json_bytes(meta).decode() if meta else None
    for name, kind in columns.meta.items():
        # Text in a column of such a name would be taken for the path of an image.
        mark = "_" if name.endswith(("_file_name", "_file_names")) else ""
        value = column_value(meta, name, kind)
        fields[f"meta.{name}{mark}"] = None if is_not_finite(value) else value  # text would change the type
    return fields


class _Lines:
    """Writes lines, and remembers where those are that first use a column behind what columns are inferred from."""

    def __init__(self, file: BinaryIO) -> None:
        self.late: list[tuple[int, int]] = []
        self._file = file
        self._nbytes = 0
        self._used: set[str] = set()

    def add(self, fields: dict[str, Any]) -> None:
        line = json_line(fields)
        used = {name for name, value in fields.items() if _is_telling(value)}
        if used - self._used:
            self._used |= used
            if self._nbytes + len(line) > _INFERRED_NBYTES:
                self.late.append((self._nbytes, len(line)))
        self._file.write(line)
        self._nbytes += len(line)


def _is_telling(value: Any) -> bool:
    """Whether a type can be inferred from a value."""
    if isinstance(value, dict):
        return bool(value["bbox"]) and any(score is not None for score in value["scores"])
    return value is not None


def _move_to_front(path: Path, late: list[tuple[int, int]]) -> None:
    """Write the file anew with the lines at these places (offset, length) first."""
    front = path.with_name("metadata.front")
    with path.open("rb") as old, front.open("xb") as new:
        for offset, nbytes in late:
            old.seek(offset)
            new.write(old.read(nbytes))
        old.seek(0)
        for offset, nbytes in late:
            _copy_bytes(old, new, offset - old.tell())
            old.seek(nbytes, 1)
        shutil.copyfileobj(old, new)
    front.replace(path)


def _copy_bytes(old: BinaryIO, new: BinaryIO, nbytes: int) -> None:
    while nbytes > 0:
        piece = old.read(min(nbytes, 1 << 20))
        new.write(piece)
        nbytes -= len(piece)
