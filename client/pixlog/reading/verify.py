"""Check that everything a run's rows name is there, whole, and decodes.

Theory of operation.  Files are listed first and rows read after, so that a file whose row is written meanwhile
is not taken for an orphan.  Each distinct file is then read once by a pool of threads (hashing and decoding
release the GIL): its size, its sha256, its content; a single image also against the width and height in the row.

A file that no row names is listed, and so is the temporary file of a writer that died, but neither is a
failure: a daemon that is killed between writing a file and its row leaves one.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pixlog.errors import RunError
from pixlog.reading.decoding import decode_image, pillow
from pixlog.reading.rows import Row
from pixlog.reading.run import Run
from pixlog.reading.segment_scan import ReadProblems
from pixlog.reading.stored_media import PIXEL_ROLES, ImageFile, MediaFile, parse_json

FailureKind = Literal["row", "path", "missing", "size", "sha256", "decode", "shape"]

_ROWS_A_BATCH: Final = 16
_REPORT_EVERY_ROWS: Final = 100
_TEMPORARY_PREFIX: Final = ".writing-"


class _Said(NamedTuple):
    """What a row says about a file."""

    sha256: str
    nbytes: int

    def __str__(self) -> str:
        return f"{self.nbytes} bytes with sha256 {self.sha256}"


@dataclass(frozen=True, slots=True)
class VerifyFailure:
    """One thing that is not as its row says."""

    kind: FailureKind
    path: str
    """Path of the file inside the run directory; empty where the row itself is wrong."""
    key: str
    step: int
    rank: int
    client: str
    seq: int
    detail: str

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.path or 'row'} ({self.key} step {self.step} rank {self.rank}): {self.detail}"
        )


@dataclass(slots=True)
class VerifyReport:
    """What ``verify`` found."""

    run_dir: Path
    row_count: int = 0
    saved_count: int = 0
    failed_count: int = 0
    dropped_count: int = 0
    file_count: int = 0
    nbytes: int = 0
    failures: list[VerifyFailure] = field(default_factory=list)
    problems: ReadProblems = field(default_factory=ReadProblems)
    """Lines of the manifest that could not be read as rows."""
    orphans: list[str] = field(default_factory=list)
    """Media files that no row names."""
    leftovers: list[str] = field(default_factory=list)
    """Temporary files: of a writer that died, or of one that is writing now."""
    torn_nbytes: int = 0
    """Bytes of unfinished last lines, which readers ignore."""

    @property
    def ok(self) -> bool:
        """Whether every row could be read and every file it names is as it says."""
        return not self.failures and not self.problems.total


def verify(
    run: Run | str | os.PathLike[str],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check every row and file of ``run`` and return what was found; needs Pillow.

    ``workers`` threads read and decode (the number of processors by default).  ``progress(rows_done,
    rows_in_all)`` is called now and then, and at the end.
    """
    pillow()
    run = run if isinstance(run, Run) else Run(run)
    found = _list_files(run.path, "media")
    leftovers = [path for name in _temporary_dirs(run.path) for path in _list_files(run.path, name)]
    rows = run.rows()
    report = VerifyReport(run.path, leftovers=sorted(leftovers))
    total = len(rows)
    seen: dict[str, _Said] = {}
    shards: set[str] = set()
    pending: deque[Future[list[VerifyFailure]]] = deque()
    worker_count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(worker_count, thread_name_prefix="pixlog-verify") as pool:
        batch: list[tuple[Row, MediaFile]] = []
        for row in rows:
            batch += _files_to_check(row, report, seen, shards)
            if len(batch) >= _ROWS_A_BATCH:
                pending.append(pool.submit(_check_files, batch))
                batch = []
            while len(pending) > 4 * worker_count:
                report.failures += pending.popleft().result()
            if progress is not None and report.row_count % _REPORT_EVERY_ROWS == 0:
                progress(report.row_count, total)
        pending.append(pool.submit(_check_files, batch))
        while pending:
            report.failures += pending.popleft().result()
    report.failures.sort(key=lambda failure: (failure.key, failure.step, failure.rank, failure.path))
    report.problems = run.problems
    report.torn_nbytes = run.torn_nbytes
    report.orphans = sorted(found - seen.keys() - shards)
    if progress is not None:
        progress(total, total)
    return report


def _files_to_check(
    row: Row, report: VerifyReport, seen: dict[str, _Said], shards: set[str]
) -> Iterator[tuple[Row, MediaFile]]:
    """Count ``row`` and yield those of its files that no row before had."""
    report.row_count += 1
    report.saved_count += row.state == "saved"
    report.failed_count += row.state == "failed"
    report.dropped_count += row.state == "dropped"
    try:
        files = row.files
        if row.state == "saved" and not isinstance(row.value, dict):
            raise RunError(f"a saved row's value is a JSON object, got {row.value!r}")
        _ = row.images
    except (RunError, TypeError, KeyError, ValueError, AttributeError) as error:
        report.failures.append(_failure("row", row, "", str(error)))
        return
    for file in files:
        said = _Said(file.sha256, file.size)
        place = (
            file.relative_path if file.shard is None else f"{file.relative_path}@{file.offset}@{file.shard}"
        )
        known = seen.get(place)
        if known is None:
            seen[place] = said
            shards.add(file.shard or "")
            report.file_count += 1
            report.nbytes += file.size
            yield row, file
        elif known != said:
            detail = f"this row says {said}, an earlier one {known}"
            report.failures.append(_failure("sha256", row, file.relative_path, detail))


def _check_files(files: list[tuple[Row, MediaFile]]) -> list[VerifyFailure]:
    failures = []
    for row, file in files:
        complaint = _complaint(row, file)
        if complaint is not None:
            failures.append(_failure(complaint[0], row, file.relative_path, complaint[1]))
    return failures


def _complaint(row: Row, file: MediaFile) -> tuple[FailureKind, str] | None:
    """Return what is wrong with one file, or None."""
    try:
        _ = file.path
    except RunError as error:
        return "path", str(error)
    try:
        data = file.read_bytes()
    except RunError as error:
        return "missing", str(error)
    if len(data) != file.size:
        return "size", f"has {len(data)} bytes, its row says {file.size}"
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        return "sha256", f"has sha256 {digest}, its row says {file.sha256}"
    try:
        if file.role not in PIXEL_ROLES:
            parse_json(data, name=file.relative_path)
            return None
        picture = decode_image(data, name=file.relative_path)
    except RunError as error:
        return "decode", str(error)
    said = _said_size(row.value, file)
    if said is not None and picture.size != said:
        return "shape", f"is {picture.width}×{picture.height} pixels, its row says {said[0]}×{said[1]}"
    return None


def _said_size(value: dict[str, Any] | None, file: MediaFile) -> tuple[int, int] | None:
    """Return (width, height) of an image as its row says, or None where the row does not say it."""
    if not isinstance(file, ImageFile) or file.role != "image" or file.index != 0 or value is None:
        return None
    width, height = value.get("width"), value.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _failure(kind: FailureKind, row: Row, path: str, detail: str) -> VerifyFailure:
    return VerifyFailure(kind, path, row.key, row.step, row.rank, row.client, row.seq, detail)


def _list_files(run_dir: Path, directory: str) -> set[str]:
    """Return every file under a directory of the run, by its path inside the run."""
    return {
        f"{Path(parent).relative_to(run_dir).as_posix()}/{name}"
        for parent, _, names in os.walk(run_dir / directory)
        for name in names
    }


def _temporary_dirs(run_dir: Path) -> list[str]:
    """Return the directories where writers keep files that are not finished."""
    with os.scandir(run_dir) as entries:
        return [entry.name for entry in entries if entry.name.startswith(_TEMPORARY_PREFIX)]
