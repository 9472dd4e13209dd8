"""What the processes of the training tell the one that started them."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import TypeAlias

import pixlog
from digits_job.clock import Calls


@dataclass(frozen=True, slots=True)
class Progress:
    """The first rank's loss after a step."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Score:
    """How an epoch's network does on a whole photograph with digits it never saw, as fractions of 1."""

    epoch: int
    overlap: float
    read_right: float


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """The last word of a process that logged: its client's counts and what its calls took."""

    name: str
    stats: pixlog.Stats
    kinds: dict[str, Calls]
    closing_s: float


Messages: TypeAlias = "Queue[Progress | Score | ProcessReport]"
