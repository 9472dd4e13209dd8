"""Read the lines of chosen rows from their segments.

Rows of one key lie scattered over a segment, a few hundred bytes apart.  A batch of them is therefore read in
the order of the file, neighbours in one read even where lines of other keys lie between, and handed out in the
order asked for.  No segment stays open between batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from pixlog.errors import RunError
from pixlog.reading.row_index import RowIds, RowIndex
from pixlog.reading.segment_scan import UNREADABLE

_LINES_A_BATCH: Final = 256
_GAP_NBYTES: Final = 16 << 10


def read_lines(index: RowIndex, ids: RowIds) -> Iterator[tuple[int, bytes]]:
    """Yield (row id, line) for each id; rows that are known to be damaged are left out.

    Raises ``RunError`` if a segment cannot be read any more.
    """
    for first in range(0, len(ids), _LINES_A_BATCH):
        batch = ids[first : first + _LINES_A_BATCH]
        yield from zip(*_read_batch(index, batch), strict=True)


def _read_batch(index: RowIndex, ids: RowIds) -> tuple[list[int], list[bytes]]:
    places = index.table[ids]
    if np.any(places["state"] == UNREADABLE):
        ids = ids[places["state"] != UNREADABLE]
        places = index.table[ids]
    by_place = np.lexsort((places["offset"], places["segment"]))
    places = places[by_place]
    starts, segments = places["offset"], places["segment"]
    ends = starts + places["nbytes"]
    is_far = (starts[1:] - ends[:-1] > _GAP_NBYTES) | (segments[1:] != segments[:-1])
    bounds = [0, *(np.flatnonzero(is_far) + 1).tolist(), len(ids)]
    lines = [b""] * len(ids)
    descriptor, open_segment = -1, -1
    try:
        for first, stop in pairwise(bounds):
            if first == stop:
                continue
            if segments[first] != open_segment:
                if descriptor >= 0:
                    os.close(descriptor)
                    descriptor = -1
                open_segment = int(segments[first])
                descriptor = os.open(index.segments[open_segment].path, os.O_RDONLY | os.O_CLOEXEC)
            span_at = int(starts[first])
            span = os.pread(descriptor, int(ends[stop - 1]) - span_at, span_at)
            slots = by_place[first:stop].tolist()
            line_starts = (starts[first:stop] - span_at).tolist()
            line_ends = (ends[first:stop] - span_at).tolist()
            for slot, start, end in zip(slots, line_starts, line_ends, strict=True):
                lines[slot] = span[start:end]
    except OSError as error:
        raise RunError(f"cannot read {error.filename or 'a segment'}: {error.strerror}") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return ids.tolist(), lines
