"""The formats that a run can be exported to, by name; the module of one is loaded when it is asked for.

A format's module has one public function::

    def write(selection: Selection, target: Path, *, OPTION: ... = ..., ...) -> None

It walks over ``selection`` once and makes ``target``, a file or a directory that does not exist yet, beside the place
where it will be put when it is complete.  An exception, such as Ctrl-C, leaves nothing of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pixlog.errors import InputError, InputTypeError
from pixlog.reading.run import Run


@dataclass(frozen=True, slots=True)
class Format:
    """One format, as far as it is known without loading its module."""

    name: str
    module: str
    """Module of ``pixlog.export`` whose ``write`` makes it."""
    summary: str
    """What it is and who opens it, for ``--help``."""
    suffix: str | None = None
    """Suffix of the file that is made; None for a directory."""
    options: tuple[str, ...] = ()
    """Names of the keyword arguments of ``write``."""
    takes_unsaved: bool = False
    """Whether rows that failed or were dropped are written too, so that a selection of nothing else makes sense."""

    def default_name(self, run: Run) -> str:
        """Return the name of the output where the user gave none."""
        return f"{run.path.name}{self.suffix}" if self.suffix else f"{run.path.name}-{self.name}"

    def load(self) -> Callable[..., None]:
        """Return ``write`` of the module; raises ``MissingExtra`` where its packages are missing."""
        write: Callable[..., None] = import_module(f"pixlog.export.{self.module}").write
        return write


_ALL: Final = (
    Format(
        "html",
        "html",
        "a folder with a page that opens without a server: slider, overlays, comparison",
        takes_unsaved=True,
    ),
    Format("zip", "zip_archive", "one archive that is a run directory again", ".zip", takes_unsaved=True),
    Format("imagefolder", "imagefolder", "a folder that [bold]datasets[/bold] of Hugging Face loads"),
    Format(
        "webdataset",
        "webdataset",
        "tar shards that [bold]webdataset[/bold] and tar read",
        options=("shard_count", "shard_size"),
    ),
    Format("coco", "coco", "images and annotations that pycocotools reads", options=("group",)),
    Format(
        "parquet",
        "parquet",
        "the rows as a table for DuckDB, pandas, Polars",
        ".parquet",
        options=("embed",),
        takes_unsaved=True,
    ),
    Format(
        "gif",
        "gif",
        "keys over their steps as an animation",
        ".gif",
        options=("fps", "side_px", "overlays", "labels"),
    ),
    Format(
        "mp4",
        "mp4",
        "keys over their steps as an H.264 video",
        ".mp4",
        options=("fps", "side_px", "overlays", "labels", "crf"),
    ),
    Format(
        "contact-sheet",
        "sheet_picture",
        "one picture: thumbnails from first to last step",
        ".png",
        options=("max_images", "side_px", "columns", "overlays"),
    ),
)
FORMATS: Final[dict[str, Format]] = {format.name: format for format in _ALL}


def format_named(name: str) -> Format:
    """Return the format ``name``; raise ``InputError`` with those that there are."""
    try:
        return FORMATS[name]
    except (KeyError, TypeError):
        near = difflib.get_close_matches(str(name), FORMATS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"a format is one of {', '.join(FORMATS)}; got {name!r}{hint}") from None


def check_options(chosen: Format, names: Iterable[str]) -> None:
    """Raise ``InputTypeError`` for an option that ``chosen`` does not take, with those that do."""
    for name in names:
        if name in chosen.options:
            continue
        others = [other.name for other in FORMATS.values() if name in other.options]
        takes = f"it takes {', '.join(chosen.options)}" if chosen.options else "it takes none"
        hint = f"; {name} is one of {', '.join(others)}" if others else ""
        raise InputTypeError(f"{chosen.name} has no option {name!r}, {takes}{hint}")


def call_write(chosen: Format, selection: Any, target: Path, options: dict[str, Any]) -> None:
    """Write ``selection`` in the format ``chosen`` to ``target``."""
    chosen.load()(selection, target, **options)
