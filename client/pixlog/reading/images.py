"""The images of some rows as one sequence.

How many images a row has stands in its line alone.  To find the image at an index, rows are read in order and their
images counted, each time as many rows again as before, until the index is reached; what was counted is kept.  Any
order of indices therefore costs one pass over the rows, and one line for each image that is asked for.  The count is
replaced as a whole, never changed, so that threads may share it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.reading.row_index import RowIds
from pixlog.reading.rows import Row, Rows
from pixlog.reading.saved_image import SavedImage


@dataclass(frozen=True, slots=True)
class _Count:
    """Images of the first rows."""

    candidates: int = 0
    """Rows that were looked at."""
    rows: RowIds = field(default_factory=lambda: np.empty(0, np.int64))
    """Those of them that have images."""
    ends: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """For each of ``rows`` how many images there are up to its last one."""

    @property
    def images(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0


class Images(Sequence[SavedImage]):
    """The images of some rows, in order; rows are read as iteration reaches them.

    ``len`` reads every row once, an index the rows up to it; what was read of them is kept for the next one.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._count = _Count()
        self._last: tuple[int, list[SavedImage]] = (-1, [])
        """Number and images of the row that was read last, as neighbours of a list are likely to be asked for next."""

    def __iter__(self) -> Iterator[SavedImage]:
        return (image for row in self._rows for image in row.images)

    def __len__(self) -> int:
        return self._counted(None).images

    @overload
    def __getitem__(self, which: int) -> SavedImage: ...
    @overload
    def __getitem__(self, which: slice) -> list[SavedImage]: ...
    def __getitem__(self, which: int | slice) -> SavedImage | list[SavedImage]:
        if isinstance(which, slice):
            return self._of_slice(which)
        index = operator.index(which)
        count = self._counted(index + 1 if index >= 0 else None)
        if index < 0:
            index += count.images
        if not 0 <= index < count.images:
            raise IndexError(f"image {which} of {count.images}")
        place = int(np.searchsorted(count.ends, index, "right"))
        number = int(count.rows[place])
        last, images = self._last
        if last != number:
            images = self._rows.by_number(count.rows[place : place + 1])[0].images
            self._last = number, images
        return images[index - int(count.ends[place])]

    def __repr__(self) -> str:
        return f"<Images of {self._rows!r}>"

    def _repr_html_(self) -> str | None:
        from pixlog.notebook.displays import images_html

        return images_html(self)

    def _of_slice(self, which: slice) -> list[SavedImage]:
        is_from_start = min(which.start or 0, -1 if which.stop is None else which.stop, which.step or 1) >= 0
        count = self._counted(which.stop if is_from_start else None)
        chosen = np.arange(*which.indices(count.images))
        places = np.searchsorted(count.ends, chosen, "right")
        asked = self._rows.by_number(count.rows[np.unique(places)])
        images = {number: row.images for number, row in asked.numbered()}
        return [
            images[number][behind]
            for number, behind in zip(
                count.rows[places].tolist(), (chosen - count.ends[places]).tolist(), strict=True
            )
            if number in images  # damaged since it was counted
        ]

    def _counted(self, enough: int | None) -> _Count:
        """Return the count of all images, or of the first ones, of which there are ``enough`` if there are as many."""
        count = self._count
        total = self._rows.candidate_count
        while count.candidates < total and (enough is None or count.images < enough):
            stop = total if enough is None else min(total, max(1, 2 * count.candidates))
            found = [
                (number, having)
                for number, row in self._rows.numbered_candidates(count.candidates, stop)
                if (having := _count_of(row))
            ]
            numbers, each = np.array(found, np.int64).reshape(-1, 2).T
            ends = np.concatenate([count.ends, count.images + np.cumsum(each)])
            count = self._count = _Count(stop, np.concatenate([count.rows, numbers]), ends)
        return count


def _count_of(row: Row) -> int:
    """Return how many images a row has; one where its files are no files, which is the error of asking for it."""
    try:
        return len(row.images)
    except RunError:
        return 1
