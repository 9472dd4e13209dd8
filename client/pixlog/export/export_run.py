"""``pixlog.export_run``: choose rows, write them in a format, say what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixlog.export.formats import call_write, check_options, format_named
from pixlog.export.output import atomic_output, check_output, write_mark
from pixlog.export.selection import Counts, Progress, select
from pixlog.reading.rows import Row
from pixlog.reading.run import Run


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote, and what it did not."""

    format: str
    out: Path
    """The file or directory that was made."""
    counts: Counts
    nbytes: int
    """Size of what was made."""
    duration_s: float
    damaged_lines: int
    """Lines of the whole run's manifest that could not be read as rows."""

    @property
    def ok(self) -> bool:
        """Whether every image of the chosen rows was exported, with all that lies over it."""
        return not self.counts.left_out and not self.counts.overlays_left_out


def export_run(
    run: Run | str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str] | None = None,
    *,
    key: str | Iterable[str] | None = None,
    step: int | slice | Iterable[int] | None = None,
    rank: int | Iterable[int] | None = None,
    where: Callable[[Row], object] | None = None,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ExportReport:
    """Write the rows of ``run`` that fit, in the format ``to``, to the file or directory ``out``.

    ``key`` is one key, a pattern such as ``"val/*"``, or several; ``step``, ``rank`` and ``where`` choose as in
    ``Run.rows``.  ``out`` is by default in the working directory and named for the run; it must not exist, unless
    ``force`` is true, and is there only when it is complete.  ``progress(rows_done, rows_in_all)`` is called now and
    then.  ``options`` are those of the format.

    Raises ``InputError`` for a format, option or output that cannot be, ``RunError`` if nothing fits, and
    ``MissingExtra`` where the format needs a package that is not installed.
    """
    begin_s = time.monotonic()
    chosen = format_named(to)
    check_options(chosen, options)
    opened = run if isinstance(run, Run) else Run(run)
    path = Path(os.path.abspath(chosen.default_name(opened) if out is None else os.fspath(out)))
    is_directory = chosen.suffix is None
    check_output(path, run_dir=opened.path, is_directory=is_directory, force=force)
    selection = select(
        opened,
        key=key,
        step=step,
        rank=rank,
        where=where,
        progress=progress,
        only_saved=not chosen.takes_unsaved,
    )
    with atomic_output(path, run_dir=opened.path, is_directory=is_directory, force=force) as target:
        call_write(chosen, selection, target, options)
        if is_directory:
            write_mark(
                target, {"format": chosen.name, "run": opened.path.name, "rows": selection.counts.rows}
            )
        nbytes = _size_of(target)
    duration_s = time.monotonic() - begin_s
    return ExportReport(chosen.name, path, selection.counts, nbytes, duration_s, opened.problems.total)


def _size_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(
        os.stat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names
    )
