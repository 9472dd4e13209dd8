"""Which rows a reader asks for: by key, step, rank, state, client, and by any function of the row."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError, InputTypeError
from pixlog.reading.row_prefix import STATES
from pixlog.reading.segment_scan import UNREADABLE
from pixlog.step_bounds import MAX_STEP, MIN_STEP

if TYPE_CHECKING:
    from pixlog.reading.rows import Row

StepSelector = int | slice | npt.NDArray[np.int64] | None
"""One label, a half-open range of labels, several labels, or every one."""


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Checked arguments of ``Run.rows`` and its kin."""

    keys: tuple[str, ...] | None = None
    step: StepSelector = None
    ranks: tuple[int, ...] | None = None
    states: tuple[int, ...] | None = None
    clients: tuple[str, ...] | None = None
    where: Callable[[Row], object] | None = None

    @classmethod
    def of(
        cls,
        *,
        key: str | Iterable[str] | None,
        step: int | slice | Iterable[int] | None,
        rank: int | Iterable[int] | None,
        state: str | Iterable[str] | None,
        client: str | Iterable[str] | None,
        where: Callable[[Row], object] | None,
    ) -> RowFilter:
        """Check what a user gave; raise ``InputError`` or ``InputTypeError`` with what was expected."""
        states = _strings("state", state)
        for name in states or ():
            if name not in STATES:
                raise InputError(f"state is one of {', '.join(STATES)}; got {name!r}")
        if where is not None and not callable(where):
            raise InputTypeError(f"where takes a function of a row, got {type(where).__name__}")
        ranks = None if rank is None else tuple(_integers("rank", rank).tolist())
        return cls(
            keys=_strings("key", key),
            step=_step(step),
            ranks=ranks,
            states=None if states is None else tuple(STATES.index(name) for name in states),
            clients=_strings("client", client),
            where=where,
        )

    def accepts(self, rows: npt.NDArray[np.void], clients: list[str]) -> npt.NDArray[np.bool_]:
        """Return which of ``rows`` pass by rank, state and client; those with damaged lines never do."""
        asked: npt.NDArray[np.bool_] = rows["state"] != UNREADABLE
        if self.ranks is not None:
            asked &= np.isin(rows["rank"], self.ranks)
        if self.states is not None:
            asked &= np.isin(rows["state"], self.states)
        if self.clients is not None:
            numbers = [number for number, name in enumerate(clients) if name in self.clients]
            asked &= np.isin(rows["client"], numbers)
        return asked


def of_steps(steps: npt.NDArray[np.int64], step: StepSelector) -> npt.NDArray[np.bool_]:
    """Return which of ``steps`` are asked for."""
    if step is None:
        return np.ones(len(steps), bool)
    if isinstance(step, int):
        same: npt.NDArray[np.bool_] = steps == step
        return same
    if isinstance(step, slice):
        asked = np.ones(len(steps), bool)
        if step.start is not None:
            asked &= steps >= step.start
        if step.stop is not None:
            asked &= steps < step.stop
        if step.step is not None:
            asked &= steps % step.step == (step.start or 0) % step.step  # their difference may have 65 bits
        return asked
    return np.isin(steps, step)


def of_steps_ascending(steps: npt.NDArray[np.int64], step: StepSelector) -> slice | npt.NDArray[np.int64]:
    """Return an index that selects what is asked for from ascending ``steps``, by binary search."""
    if step is None:
        return slice(None)
    if isinstance(step, int):
        return slice(int(np.searchsorted(steps, step, "left")), int(np.searchsorted(steps, step, "right")))
    if isinstance(step, slice):
        first = 0 if step.start is None else int(np.searchsorted(steps, step.start, "left"))
        stop = len(steps) if step.stop is None else int(np.searchsorted(steps, step.stop, "left"))
        stop = max(first, stop)
        if step.step is None:
            return slice(first, stop)
        return first + np.flatnonzero(of_steps(steps[first:stop], step))
    ranges = [
        np.arange(np.searchsorted(steps, label, "left"), np.searchsorted(steps, label, "right"))
        for label in np.unique(step)
    ]
    return np.concatenate(ranges) if ranges else np.empty(0, np.int64)


def _step(step: int | slice | Iterable[int] | None) -> StepSelector:
    if step is None:
        return None
    if isinstance(step, slice):
        start, stride = (
            None if bound is None else _integer("a bound of step", bound) for bound in (step.start, step.step)
        )
        # The end of a range that has the last step in it is no step any more.
        stop = None if step.stop is None else _integer("a bound of step", step.stop, MAX_STEP + 1)
        stop = None if stop is not None and stop > MAX_STEP else stop
        if stride is not None and stride < 1:
            raise InputError(f"the stride of a step slice is 1 or more, got {stride}")
        return slice(start, stop, stride)
    labels = _integers("step", step)
    return int(labels[0]) if len(labels) == 1 else labels


def _integer(name: str, value: Any, last: int = MAX_STEP) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise InputTypeError(f"{name} takes an integer, got {value!r}") from None
    if not MIN_STEP <= number <= last:
        raise InputError(f"{name} takes an integer of 64 bits, from {MIN_STEP} to {last}, got {number}")
    return number


def _integers(name: str, value: Any) -> npt.NDArray[np.int64]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return np.array([_integer(name, one) for one in value], np.int64)
    return np.array([_integer(name, value)], np.int64)


def _strings(name: str, value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable):
        raise InputTypeError(f"{name} takes a string or several, got {type(value).__name__}")
    names = tuple(dict.fromkeys(value))
    for one in names:
        if not isinstance(one, str):
            raise InputTypeError(f"{name} takes a string or several, got one {type(one).__name__}")
    return names
