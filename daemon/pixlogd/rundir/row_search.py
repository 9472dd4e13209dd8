"""The row of one call in the manifest of a run, which may have a million rows.

Most calls that point at an image come soon after it, so the newest segment is read first, from its end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_BLOCK_NBYTES: Final = 256 * 1024


def find_row(run_dir: Path, client: str, seq: int) -> dict[str, Any] | None:
    """Return the row of one call, None when there is none; raises OSError.

    A line that only names the call, in its meta or input, is another's.
    """
    needle = f'"client":"{client}","seq":{seq},'.encode()
    for segment in sorted((run_dir / "manifest").glob("*.jsonl"), reverse=True):
        for lines in _lines_from_the_end(segment):
            for line in lines.split(b"\n") if needle in lines else ():
                row = parse_row(line) if needle in line else None
                if row is not None and (row.get("client"), row.get("seq")) == (client, seq):
                    return row
    return None


def parse_row(line: bytes) -> dict[str, Any] | None:
    """Return the row of a line, None for a line that is none."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _lines_from_the_end(segment: Path) -> Iterator[bytes]:
    """Yield the whole lines of a segment, many at a time and the last ones first.

    What stands behind the last of them is left out: it is not whole yet.
    """
    with segment.open("rb", buffering=0) as file:
        begin = os.fstat(file.fileno()).st_size
        behind: bytes | None = (
            None  # the end of a line that begins further up; None behind the last whole line
        )
        while begin:
            end, begin = begin, max(0, begin - _BLOCK_NBYTES)
            data = os.pread(file.fileno(), end - begin, begin)
            data = data[: data.rfind(b"\n") + 1] if behind is None else data + behind
            first = data.find(b"\n") + 1 if begin else 0
            if not data:  # no line ends here
                continue
            yield data[first:]
            behind = data[:first]
