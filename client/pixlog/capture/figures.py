"""Matplotlib figures, axes, artists and the pyplot module, rendered at the call."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

from pixlog.capture.sniff import sniff
from pixlog.capture.source import EncodedSource, PilSource
from pixlog.errors import InputError


def from_figure(artist: Any) -> PilSource | EncodedSource:
    """Render the figure that ``artist`` belongs to, with ``savefig``'s own settings; it stays open.

    The canvas' RGBA bytes are taken as they are, so that compression is left to the daemon.  Where settings such as
    ``savefig.bbox = "tight"`` make their size unpredictable, matplotlib writes a PNG, which is stored as it is.
    """
    figure = _figure_of(artist)
    raw = BytesIO()
    figure.savefig(raw, format="rgba")
    data = raw.getvalue()
    width, height = _canvas_size(figure)
    if len(data) == width * height * 4 and data:
        return PilSource("RGBA", width, height, data, origin="matplotlib")
    encoded = BytesIO()
    figure.savefig(encoded, format="png")
    png = encoded.getvalue()
    return EncodedSource(png, ".png", sniff(png).size)


def _figure_of(artist: Any) -> Any:
    if hasattr(artist, "gcf"):
        return artist.gcf()
    figure = artist
    while figure is not None and not hasattr(figure, "savefig"):
        figure = getattr(figure, "figure", None)  # an artist's figure; a subfigure's parent
    if figure is None:
        raise InputError(f"a {type(artist).__name__} that belongs to no figure cannot be rendered")
    return figure


def _canvas_size(figure: Any) -> tuple[int, int]:
    settings = sys.modules["matplotlib"].rcParams
    if settings["savefig.bbox"] is not None:
        return 0, 0
    dpi = settings["savefig.dpi"]
    scale = figure.dpi if dpi == "figure" else dpi
    width, height = figure.get_size_inches()
    return int(width * scale), int(height * scale)
