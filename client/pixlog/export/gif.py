"""``gif``: keys over their steps as an animation that every browser and chat shows.

At most 256 colours in a frame's changed rectangle; fewer are kept exactly, more are reduced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pixlog.errors import InputError
from pixlog.export.animation_frames import LEAST_FPS, film_of, frames_of
from pixlog.export.gif_stream import GifStream, durations_cs
from pixlog.export.selection import Selection

_MOST_FPS: Final = 50


def write(
    selection: Selection,
    target: Path,
    *,
    fps: float = 8,
    side_px: int = 400,
    overlays: bool = True,
    labels: bool = True,
) -> None:
    """Write the animation ``target``.

    ``fps`` is the number of frames a second, 50 at most, which is all that browsers show.  ``side_px`` is the longest
    side of a picture.  ``overlays`` draws masks and boxes, ``labels`` writes step, caption, key and rank.
    """
    if not LEAST_FPS <= fps <= _MOST_FPS:
        raise InputError(f"fps of a GIF is {LEAST_FPS} to {_MOST_FPS}, got {fps!r}")
    film = film_of(selection, side_px=side_px, overlays=overlays, labels=labels)
    with target.open("xb") as file:
        stream = GifStream(file, (film.width, film.height))
        for frame, duration_cs in zip(frames_of(selection, film), durations_cs(fps), strict=False):
            stream.add(frame, duration_cs)
        stream.close()
