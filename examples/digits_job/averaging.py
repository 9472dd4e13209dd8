"""Gradients averaged over ranks through shared memory, as DistributedDataParallel does it over a network."""

from __future__ import annotations

from multiprocessing.context import SpawnContext
from multiprocessing.sharedctypes import SynchronizedArray
from typing import TYPE_CHECKING

import numpy as np

from digits_job.weights import Floats

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

_PATIENCE_S = 60.0


class Averaging:
    """Made once, handed to every rank when it is spawned."""

    def __init__(self, spawn: SpawnContext, ranks: int, count: int) -> None:
        self._ranks = ranks
        self._shared: SynchronizedArray[float] = spawn.Array("f", ranks * count)
        self._barrier: Barrier = spawn.Barrier(ranks)

    def average(self, rank: int, gradient: Floats) -> None:
        """Replace ``gradient`` by the mean over all ranks; every rank waits here for the others."""
        everyone = np.frombuffer(memoryview(self._shared.get_obj()), np.float32).reshape(self._ranks, -1)
        everyone[rank] = gradient
        self._barrier.wait(_PATIENCE_S)
        everyone.mean(0, out=gradient)
        self._barrier.wait(_PATIENCE_S)
