"""The rows that an export takes, and the count of what became of each of them.

The rows are chosen once, when the selection is made: a training that goes on meanwhile does not change them.  Whoever
writes a format walks over ``rows()``, ``rows_by_step()`` or ``images()`` exactly once, which counts them and moves the
progress bar; ``scan()`` walks over them beforehand and counts nothing.  What a format cannot take is handed to
``leave_out`` with the reason, so that the closing report accounts for every row.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from pixlog.errors import RunError
from pixlog.reading.key_patterns import chosen_keys
from pixlog.reading.overlay_shapes import shape_groups
from pixlog.reading.rows import Row, Rows
from pixlog.reading.run import Run
from pixlog.reading.saved_image import SavedImage

Progress = Callable[[int, int], None]
"""A function of (rows done, rows in all)."""

_ROWS_A_REPORT: Final = 16
_EXAMPLES: Final = 5


@dataclass(slots=True)
class Counts:
    """What became of the rows of an export."""

    saved_rows: int = 0
    failed_rows: int = 0
    dropped_rows: int = 0
    images: int = 0
    """Images that were exported."""
    references: int = 0
    """Images that were logged as a reference to a place outside of the run, where their pixels are."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Images or rows that were not exported, by reason."""
    overlays_left_out: Counter[str] = field(default_factory=Counter)
    """Masks, boxes, polygons and keypoints of exported images that were not exported with them, by reason."""
    examples: list[str] = field(default_factory=list)
    """Some of those, each as key, step, rank, what and why."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why rows failed or were dropped, as ``state: reason``."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was changed on the way, such as depth that a format has no room for."""

    @property
    def rows(self) -> int:
        """Rows in all."""
        return self.saved_rows + self.failed_rows + self.dropped_rows


class Selection:
    """The chosen rows of one run."""

    def __init__(self, run: Run, rows: Rows, progress: Progress | None = None) -> None:
        self.run = run
        self.row_count: int = len(rows)
        self.counts = Counts()
        self._rows = rows
        self._progress = progress

    def scan(self) -> Iterator[Row]:
        """Yield every row that ``rows()`` does, without counting."""
        return (row for row in self._rows if _files_error(row) is None)

    def rows(self) -> Iterator[Row]:
        """Yield every row, in any state, in reading order; count it and report progress.

        A saved row that does not say which files it has is left out, and counted.
        """
        return self._counted(self._rows)

    def rows_by_step(self) -> Iterator[Row]:
        """Yield what ``rows()`` does, ordered by step first and by key after it."""
        order = np.argsort(self._rows.column("step"), kind="stable")
        return self._counted(self.run.rows_by_number(self._rows.ids[order]))

    def saved_rows_of_keys(self) -> dict[str, Rows]:
        """Return the saved rows of each key, keys in the order chosen, without counting them."""
        table, ids = self.run.table(), self._rows.ids
        saved = ids[table.state[ids] == table.STATE_NAMES.index("saved")]
        numbers = table.key[saved]
        in_order = dict.fromkeys(numbers.tolist())
        return {
            table.key_names[number]: self.run.rows_by_number(saved[numbers == number]) for number in in_order
        }

    def _counted(self, rows: Rows) -> Iterator[Row]:
        counts = self.counts
        for number, row in enumerate(rows):
            if self._progress is not None and number % _ROWS_A_REPORT == 0:
                self._progress(number, self.row_count)
            if row.state == "saved":
                counts.saved_rows += 1
                if (error := _files_error(row)) is not None:
                    counts.left_out["the row does not say which files are its"] += 1
                    self._add_example(row, str(error))
                    continue
            else:
                if row.state == "failed":
                    counts.failed_rows += 1
                else:
                    counts.dropped_rows += 1
                counts.reasons[f"{row.state}: {row.reason or 'no reason given'}"] += 1
            yield row
        if self._progress is not None:
            self._progress(self.row_count, self.row_count)

    def images(self, *, references: bool = False) -> Iterator[SavedImage]:
        """Yield the images of all saved rows, and count them.

        Images without a stored file, which were logged as references, are counted and passed over unless
        ``references`` is true: then the format writes down where their pixels are.
        """
        for row in self.rows():
            yield from self.images_of(row, references=references)

    def images_of(self, row: Row, *, references: bool = False) -> Iterator[SavedImage]:
        """Yield the images of one row that ``rows()`` gave, and count them as ``images()`` does."""
        for image in row.images:
            if image.file is None:
                self.counts.references += 1
                if not references:
                    continue
            else:
                self.counts.images += 1
            yield image

    def groups(self, image: SavedImage, role: str, names: Collection[str] | None = None) -> dict[str, Any]:
        """Return the boxes, polygons or keypoints of ``image`` by group, as logged; count those that cannot be read.

        ``names`` are the groups that are asked for; None asks for all.
        """
        return shape_groups(image, role, lambda error: self.leave_out_overlay(image, error), names)

    def leave_out_overlay(self, image: SavedImage, error: RunError) -> None:
        """Count an overlay that cannot be read, of an image that is exported without it."""
        self.counts.overlays_left_out["its file cannot be read"] += 1
        self._add_example(image.row, str(error), image)

    def leave_out(self, image: SavedImage, reason: str, detail: str = "") -> None:
        """Count an image that was given out and cannot be exported; ``detail`` is only told of the first ones."""
        counts = self.counts
        counts.images -= image.file is not None
        counts.left_out[reason] += 1
        self._add_example(image.row, detail or reason, image)

    def _add_example(self, row: Row, detail: str, image: SavedImage | None = None) -> None:
        if len(self.counts.examples) < _EXAMPLES:
            number = "" if image is None else f" image {image.index}"
            self.counts.examples.append(f"{row.key!r} step {row.step} rank {row.rank}{number}: {detail}")

    def note(self, text: str, count: int = 1) -> None:
        """Count something that was changed on the way; equal texts are counted together."""
        self.counts.notes[text] += count


def select(
    run: Run | str | os.PathLike[str],
    *,
    key: str | Iterable[str] | None = None,
    step: int | slice | Iterable[int] | None = None,
    rank: int | Iterable[int] | None = None,
    where: Callable[[Row], object] | None = None,
    progress: Progress | None = None,
    only_saved: bool = True,
) -> Selection:
    """Choose rows of ``run`` by key or pattern of keys, step, rank, and any function of the row.

    ``progress(rows_done, rows_in_all)`` is called as the rows are walked over.  Raises ``RunError`` if nothing fits, or
    with ``only_saved`` if nothing that fits was saved; the message names the keys that there are.
    """
    opened = run if isinstance(run, Run) else Run(run)
    patterns = [key] if isinstance(key, str) else None if key is None else list(key)
    keys = chosen_keys(opened, patterns)
    rows = opened.rows(keys, step, rank, where=where)
    if not len(rows):
        raise RunError(_nothing_fits(opened, keys))
    if only_saved and not len(opened.rows(keys, step, rank, "saved", where=where)):
        row = rows[0]
        raise RunError(
            f"none of the {len(rows):,} rows that fit was saved; "
            f"{row.key!r} step {row.step} {row.state}: {row.reason}"
        )
    return Selection(opened, rows, progress)


def _files_error(row: Row) -> RunError | None:
    """Return what keeps the files of a saved row from being known."""
    if row.state == "saved":
        try:
            _ = row.files
        except RunError as error:
            return error
    return None


def _nothing_fits(run: Run, keys: list[str] | None) -> str:
    there = run.keys()
    if not there:
        return f"{run.path} has no rows yet"
    told = []
    for key in (keys or there)[:8]:
        steps = run.steps(key)
        told.append(
            f"{key!r} (steps {steps[0]} to {steps[-1]})" if len(steps) > 1 else f"{key!r} (step {steps[0]})"
        )
    more = len(keys or there) - len(told)
    return f"no row of {run.path} fits; keys: {', '.join(told)}{f', and {more} more' if more else ''}"
