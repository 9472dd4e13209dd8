"""What logging costs a process, and beside it what encoding the same images there would cost."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

_COMPARE_EVERY = 10


@dataclass(slots=True)
class Times:
    """Wall and CPU time of each of some pieces of work, in seconds."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Add what the block takes in this thread."""
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        yield
        self.cpu_s.append(time.thread_time() - cpu_s)
        self.wall_s.append(time.perf_counter() - wall_s)


@dataclass(slots=True)
class Calls:
    """Log calls of one kind; ``encoded`` are those of them that were compared, with ``encoded_count`` images."""

    logged: Times = field(default_factory=Times)
    encoded: Times = field(default_factory=Times)
    encoded_count: int = 0


class Clock:
    """Measures the log calls of one process."""

    def __init__(self) -> None:
        self.kinds: dict[str, Calls] = {}
        self.closing_s = 0.0

    @contextmanager
    def call(self, kind: str, images: Sequence[Array]) -> Iterator[None]:
        """Measure one log call; at every tenth of its kind also encode its ``images`` as a logger in the loop would.

        That is at the same moment, in the same process, beside the same load.
        """
        calls = self.kinds.setdefault(kind, Calls())
        with calls.logged.measure():
            yield
        if len(calls.logged.wall_s) % _COMPARE_EVERY == 1:
            with calls.encoded.measure():
                for image in images:
                    _encode(image)
            calls.encoded_count += len(images)

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Measure the wait at the end."""
        started = time.perf_counter()
        yield
        self.closing_s = time.perf_counter() - started


def _encode(image: Array) -> None:
    """Make a PNG of (H, W) or (H, W, 3), uint8 or floats from 0 to 1, at Pillow's default level."""
    if image.dtype != np.uint8:
        image = (image * 255).astype(np.uint8)
    Image.fromarray(image).save(io.BytesIO(), "png")
