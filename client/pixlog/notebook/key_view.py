"""One key of a run: its steps and images, and in a notebook a grid of images with a slider over the steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pixlog.errors import MissingExtra, RunKeyError
from pixlog.reading.images import Images
from pixlog.reading.rows import Rows

if TYPE_CHECKING:
    from pixlog.notebook.step_slider import StepSlider
    from pixlog.reading.run import Run
    from pixlog.reading.saved_image import SavedImage


class KeyView:
    """What was logged under one key, as ``run["val/pred"]`` gives it.

    Iterating yields the images in reading order.  ``view[3]`` are the images of step 3, ``view[0:90:10]`` those of
    every tenth step: steps are labels, as everywhere.
    """

    def __init__(self, run: Run, key: str) -> None:
        """Take ``key`` of ``run``; raise ``RunKeyError`` if nothing was logged under it."""
        self.run = run
        self.key = run.known_key(key)

    @property
    def steps(self) -> list[int]:
        """The distinct steps, ascending."""
        return self.run.steps(self.key)

    def rows(
        self, step: int | slice | Iterable[int] | None = None, rank: int | Iterable[int] | None = None
    ) -> Rows:
        """Return the rows of the key, those that were not saved among them; chooses as ``Run.rows``."""
        return self.run.rows(self.key, step, rank)

    def images(
        self, step: int | slice | Iterable[int] | None = None, rank: int | Iterable[int] | None = None
    ) -> Images:
        """Return the saved images of the key; chooses as ``Run.images``."""
        return self.run.images(self.key, step, rank)

    def show(
        self,
        step: int | slice | Iterable[int] | None = None,
        rank: int | Iterable[int] | None = None,
        *,
        thumb_px: int = 200,
        max_steps: int = 60,
        max_images: int = 16,
        max_nbytes: int = 4_000_000,
        overlays: bool = True,
    ) -> StepSlider:
        """Return a grid of images with a slider over the steps, which a notebook displays; needs Pillow.

        ``thumb_px`` is the longest side of a picture.  At most ``max_steps`` steps, evenly spread with the first and
        the last among them, and ``max_images`` images of each go into it, and fewer where their pictures would be
        more than ``max_nbytes`` together; it says what was left out.  ``overlays`` draws masks and boxes.
        """
        from pixlog.notebook.step_slider import StepSlider

        return StepSlider(
            self.key,
            self.rows(step, rank),
            thumb_px=thumb_px,
            max_steps=max_steps,
            max_images=max_images,
            max_nbytes=max_nbytes,
            overlays=overlays,
        )

    def __getitem__(self, step: int | slice) -> Images:
        if not isinstance(step, slice) and step not in (steps := self.steps):
            near = sorted(steps, key=lambda there: abs(there - step))[:3]
            raise RunKeyError(
                f"{self.key!r} has no step {step!r}; the nearest are {', '.join(map(str, sorted(near)))}"
            )
        return self.images(step)

    def __iter__(self) -> Iterator[SavedImage]:
        return iter(self.images())

    def __repr__(self) -> str:
        summary = self.run.summary().keys.get(self.key)
        if summary is None:
            return f"<KeyView {self.key!r} of {str(self.run.path)!r}: every row is damaged>"
        steps = (
            f"step {summary.first_step}"
            if summary.step_count == 1
            else f"{summary.step_count:,} steps from {summary.first_step} to {summary.last_step}"
        )
        return f"<KeyView {self.key!r} of {str(self.run.path)!r}: {summary.counts_text()}; {steps}>"

    def _repr_html_(self) -> str | None:
        try:
            return self.show()._repr_html_()
        except MissingExtra:
            return None
