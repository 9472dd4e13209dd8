"""A grid of images with a slider over steps, as one piece of HTML that needs nothing else.

Theory of operation.  A notebook may run the scripts of an output, or refuse to, and its styles and those of a hundred
other outputs apply to whatever lies in its page.  So the grid is a page of its own, in the ``srcdoc`` of a sandboxed
frame: it has neither the notebook's origin nor its styles, its Content-Security-Policy lets one script run, which is
named by its hash, and loads nothing.  Where no script may run at all, every step stands below the other.

Its size is bounded.  Steps are thumbnailed in an order that halves the gaps between them again and again, the first
and the last before all others, until all are done or the bytes are spent: what is shown is spread over the whole run
in either case, and a line says how much of it there is.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pixlog.errors import InputError
from pixlog.notebook.markup import attribute, label_of, picture_html, text_html
from pixlog.reading.decoding import pillow
from pixlog.reading.rows import Row, Rows
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.thumbnail import fitted_size

_HERE: Final = Path(__file__).parent
_BAR_PX: Final = 76
_LABEL_PX: Final = 44
_TALLEST_PX: Final = 640
_WIDTH_PX: Final = 760  # of a notebook's output, for guessing how many pictures fit across


@dataclass(frozen=True, slots=True)
class _Step:
    step: int
    figures: tuple[str, ...]
    left_out: int
    nbytes: int
    tallest_px: int
    """Height of the tallest picture, as far as the rows say it."""


class StepSlider:
    """What ``KeyView.show`` returns; a notebook displays it."""

    def __init__(
        self,
        key: str,
        rows: Rows,
        *,
        thumb_px: int,
        max_steps: int,
        max_images: int,
        max_nbytes: int,
        overlays: bool,
    ) -> None:
        pillow()
        if thumb_px < 16 or min(max_steps, max_images, max_nbytes) < 1:
            raise InputError(
                f"thumb_px is 16 or more, max_steps, max_images and max_nbytes are 1 or more; "
                f"got {thumb_px}, {max_steps}, {max_images}, {max_nbytes}"
            )
        self._key = key
        self._rows = rows
        self._thumb_px = thumb_px
        self._max_steps = max_steps
        self._max_images = max_images
        self._max_nbytes = max_nbytes
        self._overlays = overlays

    def page(self) -> str:
        """Return the page with the grid and the slider, which opens by itself as well."""
        return self._page(*self._chosen())

    def _repr_html_(self) -> str:
        steps, total = self._chosen()
        across = max(1, _WIDTH_PX // (self._thumb_px + 10))
        heights = (-(-len(step.figures) // across) * (step.tallest_px + _LABEL_PX) for step in steps)
        height = min(_TALLEST_PX, _BAR_PX + max(heights, default=0))
        return (
            f'<iframe title={attribute(self._key)} sandbox="allow-scripts" loading="lazy" '
            f'style="width:100%;height:{height}px;border:0;resize:vertical;overflow:auto" '
            f"srcdoc={attribute(self._page(steps, total))}></iframe>"
        )

    def __repr__(self) -> str:
        return f"<StepSlider of {self._key!r}: {len(np.unique(self._rows.column('step'))):,} steps>"

    def _chosen(self) -> tuple[list[_Step], int]:
        """Return what to show of some steps, ascending, and the number of all steps."""
        labels, first_rows, counts = np.unique(
            self._rows.column("step"), return_index=True, return_counts=True
        )
        places = np.unique(
            np.linspace(0, len(labels) - 1, min(len(labels), self._max_steps)).round().astype(int)
        )
        chosen: dict[int, _Step] = {}
        nbytes = 0
        for number in _halving(len(places)):
            place = int(places[number])
            first = int(first_rows[place])
            step = self._step(int(labels[place]), self._rows[first : first + int(counts[place])])
            if chosen and nbytes + step.nbytes > self._max_nbytes:
                break
            chosen[place] = step
            nbytes += step.nbytes
        return [chosen[place] for place in sorted(chosen)], len(labels)

    def _step(self, label: int, rows: Rows) -> _Step:
        figures: list[str] = []
        left_out = nbytes = tallest_px = 0
        for row in rows:
            tallest_px = max(tallest_px, self._height_px(row))
            cells: list[SavedImage | None] = [*row.images] if row.state == "saved" else [None]
            for image in cells:
                if len(figures) >= self._max_images or nbytes > self._max_nbytes:
                    left_out += 1
                    continue
                figures.append(self._figure(row, image))
                nbytes += len(figures[-1])
        return _Step(label, tuple(figures), left_out, nbytes, tallest_px)

    def _height_px(self, row: Row) -> int:
        value = row.value or {}
        width, height = value.get("width"), value.get("height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return fitted_size((width, height), self._thumb_px)[1]
        return self._thumb_px if row.state == "saved" else 0

    def _figure(self, row: Row, image: SavedImage | None) -> str:
        if image is None:
            rank = f"rank {row.rank} " if row.rank else ""
            return f'<p class="{row.state}">{rank}{row.state}: {text_html(row.reason)}</p>'
        picture = picture_html(image, self._thumb_px, overlays=self._overlays)
        return f"<figure>{picture}<figcaption>{label_of(image)}</figcaption></figure>"

    def _page(self, steps: list[_Step], total: int) -> str:
        script = (_HERE / "step_slider.js").read_text(encoding="utf-8")
        style = (_HERE / "step_slider.css").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        sections = "".join(_section(step) for step in steps)
        note = (
            f"{len(steps):,} of {total:,} steps, evenly spread; show(step=slice(…)) shows others"
            if len(steps) < total
            else ""
        )
        last = max(len(steps) - 1, 0)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content={attribute(policy)}>'
            f"<title>{html.escape(self._key)}</title><style>{style}</style></head><body>"
            f'<header><b>{text_html(self._key)}</b> <span class="note">{note}</span></header>'
            f'<div class="bar" hidden><button type="button" aria-label="play">▶</button>'
            f'<input type="range" min="0" max="{last}" value="{last}" step="1" aria-label="step">'
            f"<output></output></div>"
            f"<main>{sections or '<p>nothing was logged here</p>'}</main><script>{script}</script></body></html>"
        )


def _section(step: _Step) -> str:
    more = (
        f'<p class="note">{step.left_out:,} more images of this step are not shown</p>'
        if step.left_out
        else ""
    )
    figures = "".join(step.figures)
    return f'<section data-step="{step.step}"><h2>step {step.step}</h2><div>{figures}</div>{more}</section>'


def _halving(count: int) -> Iterator[int]:
    """Yield 0 to ``count`` - 1, the last first, then the first, then the middle of each gap, larger gaps first."""
    if count:
        yield count - 1
    if count > 1:
        yield 0
    gaps = [(0, count - 1)]
    while gaps:
        halves = []
        for low, high in gaps:
            middle = (low + high) // 2
            if low < middle < high:
                yield middle
                halves += [(low, middle), (middle, high)]
        gaps = halves
