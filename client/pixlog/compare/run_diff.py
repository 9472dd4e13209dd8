"""Two runs, or two keys of one run, compared image by image."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, overload

from pixlog.compare.difference import ImageDiff, State, compare_pair
from pixlog.compare.pairing import pair_images
from pixlog.errors import InputError
from pixlog.reading.decoding import pillow
from pixlog.reading.run import Run

RunLike = Run | str | os.PathLike[str]


class RunDiff(Sequence[ImageDiff]):
    """The differences of every pair, by step, rank and index."""

    def __init__(self, pairs: Iterable[ImageDiff]) -> None:
        self._pairs = tuple(pairs)

    @property
    def compared(self) -> list[ImageDiff]:
        """The pairs that have numbers."""
        return [pair for pair in self._pairs if pair.is_compared]

    @property
    def is_same(self) -> bool:
        """Whether every image has its like on the other side, pixel by pixel."""
        return all(pair.state == "same" for pair in self._pairs)

    def count_of(self, state: State) -> int:
        """Return how many pairs are in a state: same, differs, size, dtype, absent or unreadable."""
        return sum(pair.state == state for pair in self._pairs)

    def worst(self, count: int) -> list[ImageDiff]:
        """Return the ``count`` pairs that differ most: those without numbers first, then by PSNR."""
        return sorted(self._pairs, key=badness)[:count]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return every pair as JSON can say it; ``pandas.DataFrame(diff.to_dicts())`` makes a table of it."""
        return [pair.to_dict() for pair in self._pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[ImageDiff]:
        return iter(self._pairs)

    @overload
    def __getitem__(self, which: int) -> ImageDiff: ...
    @overload
    def __getitem__(self, which: slice) -> RunDiff: ...
    def __getitem__(self, which: int | slice) -> ImageDiff | RunDiff:
        if isinstance(which, slice):
            return RunDiff(self._pairs[which])
        return self._pairs[which]

    def __repr__(self) -> str:
        return f"<RunDiff: {self.counts_text()}>"

    def _repr_html_(self) -> str | None:
        from pixlog.notebook.displays import diff_html

        return diff_html(self)

    def counts_text(self) -> str:
        """Return the counts as people say them: "12 pairs: 3 same, 9 differ"."""
        return counts_text(Counter(pair.state for pair in self._pairs))


def counts_text(counts: Mapping[State, int]) -> str:
    """Return how many pairs are in each state as people say it: "12 pairs: 3 the same, 9 differ"."""
    words: dict[State, str] = {
        "same": "the same",
        "differs": "differ",
        "size": "of unequal size",
        "dtype": "of unequal dtype",
        "absent": "on one side only",
        "unreadable": "unreadable",
    }
    total = sum(counts.values())
    parts = [f"{number:,} {text}" for state, text in words.items() if (number := counts.get(state, 0))]
    return f"{total:,} pair{'' if total == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")


def diff(
    a: RunLike,
    b: RunLike | None = None,
    key: str | None = None,
    *,
    key_b: str | None = None,
    step: int | slice | Iterable[int] | None = None,
    rank: int | Iterable[int] | None = None,
    data_range: float | None = None,
    workers: int | None = None,
) -> RunDiff:
    """Compare the images of ``key`` in two runs, or of two keys; needs Pillow.

    ``b`` is run ``a`` itself if left out, ``key_b`` is ``key``.  ``step`` and ``rank`` choose as in ``Run.images``.
    Images pair by step, rank, order and place in their row.  ``data_range`` is the range of values for PSNR and
    SSIM; by default that of the dtype, see ``ImageDiff.data_range``.  ``workers`` threads decode and compute.

    Raises ``RunError`` for what is no run and for a key that was not logged, and ``InputError`` if nothing would be
    compared with anything.
    """
    return RunDiff(
        iterate_diff(a, b, key, key_b=key_b, step=step, rank=rank, data_range=data_range, workers=workers)
    )


def iterate_diff(
    a: RunLike,
    b: RunLike | None = None,
    key: str | None = None,
    *,
    key_b: str | None = None,
    step: int | slice | Iterable[int] | None = None,
    rank: int | Iterable[int] | None = None,
    data_range: float | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[ImageDiff]:
    """Yield what ``diff`` returns, in the same order, as it is computed.

    ``progress(rows_done, rows_in_all)`` is called now and then.
    """
    pillow()
    if data_range is not None and not (data_range > 0 and math.isfinite(data_range)):
        raise InputError(f"data_range is a finite number above 0, got {data_range!r}")
    run_a = a if isinstance(a, Run) else Run(a)
    run_b = run_a if b is None else b if isinstance(b, Run) else Run(b)
    if key is None:
        raise InputError(
            f"diff compares one key; {run_a.path} has {', '.join(map(repr, run_a.keys())) or 'none'}"
        )
    keys = (key, key if key_b is None else key_b)
    if run_a.path == run_b.path and keys[0] == keys[1]:
        raise InputError(f"{key!r} of {run_a.path} would be compared with itself: give another run or key_b")
    steps = step if step is None or isinstance(step, int | slice) else list(step)
    ranks = rank if rank is None or isinstance(rank, int) else list(rank)
    rows_a = run_a.rows(run_a.known_key(keys[0]), steps, ranks)
    rows_b = run_b.rows(run_b.known_key(keys[1]), steps, ranks)
    return _in_order(
        (partial(compare_pair, pair, keys, data_range) for pair in pair_images(rows_a, rows_b)),
        workers or os.cpu_count() or 1,
        max(len(rows_a), len(rows_b)),
        progress,
    )


def _in_order(
    tasks: Iterator[Callable[[], ImageDiff]],
    worker_count: int,
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[ImageDiff]:
    """Run ``tasks`` in threads, few ahead of what is asked for, and yield what they return in their order."""
    pending: deque[Future[ImageDiff]] = deque()
    done = 0
    with ThreadPoolExecutor(worker_count, thread_name_prefix="pixlog-diff") as pool:
        while True:
            pending.extend(pool.submit(task) for task in islice(tasks, 2 * worker_count - len(pending)))
            if not pending:
                return
            found = pending.popleft().result()
            done += 1
            if progress is not None:
                progress(min(done, total), total)
            yield found


def badness(pair: ImageDiff) -> tuple[bool, float]:
    """Return what sorts pairs from the worst on: those without numbers first, then by PSNR."""
    return pair.is_compared, -math.inf if pair.psnr_db is None else pair.psnr_db
