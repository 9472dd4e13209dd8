"""``mp4``: keys over their steps as a video, H.264 in 4:2:0, which every browser, phone and editor plays.

Needs PyAV, whose wheels bring FFmpeg with them.  Colours are converted and tagged as ITU-R BT.709 with limited range:
without the tags a browser takes a small video for BT.601, and red is off by 22 levels.  Sides are even, as 4:2:0
wants them: an odd one gets a line of the ground more.  A frame that can be jumped to comes every second.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from pixlog.errors import InputError, MissingExtra
from pixlog.export.animation_frames import LEAST_FPS, film_of, frames_of
from pixlog.export.selection import Selection
from pixlog.sheet.sheet_painter import BACKGROUND

_MOST_FPS: Final = 240
_ENCODER: Final = "libx264"
_BT709: Final = 1
_LIMITED_RANGE: Final = 1


def write(
    selection: Selection,
    target: Path,
    *,
    fps: float = 8,
    side_px: int = 720,
    overlays: bool = True,
    labels: bool = True,
    crf: int = 18,
) -> None:
    """Write the video ``target``.

    ``fps`` is the number of frames a second, ``side_px`` the longest side of a picture.  ``overlays`` draws masks and
    boxes, ``labels`` writes step, caption, key and rank.  ``crf`` is x264's constant rate factor: 0 loses least and
    makes the largest file, 51 the reverse; 18 looks lossless to most.
    """
    if not LEAST_FPS <= fps <= _MOST_FPS:
        raise InputError(f"fps is {LEAST_FPS} to {_MOST_FPS}, got {fps!r}")
    if not 0 <= crf <= 51:
        raise InputError(f"crf is 0 to 51, got {crf!r}")
    av = _pyav()
    film = film_of(selection, side_px=side_px, overlays=overlays, labels=labels)
    width, height = film.width + film.width % 2, film.height + film.height % 2
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(_ENCODER, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        context = stream.codec_context
        context.gop_size = max(1, round(fps))
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        for picture in frames_of(selection, film):
            frame = av.VideoFrame.from_image(_even(picture, width, height))
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))


def _even(picture: Any, width: int, height: int) -> Any:
    """Return an RGB picture grown to even sides."""
    from PIL import Image

    if picture.size == (width, height):
        return picture
    grown = Image.new("RGB", (width, height), BACKGROUND)
    grown.paste(picture)
    return grown


def _pyav() -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtra("exporting mp4", "export", "av") from None
    if _ENCODER not in av.codecs_available:
        raise MissingExtra("exporting mp4 with H.264", "export", "av")
    return av
