"""How images are encoded when the call that logs them does not say: the ``[encode]`` table of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pixlogd.config.setting_kinds import Choice, Color, Flag, Kind, Whole

FILE_TYPES = ("png", "jpg", "jpeg", "bmp", "webp", "gif", "tiff", "avif")
PNG_LEVELS = ("fast", "small", "pillow")


def setting(default: Any, kind: Kind, doc: str, *, example: Any = None) -> Any:
    """Return the dataclass field of one setting; ``example`` stands in the reference where the default is unset."""
    return field(default=default, metadata={"kind": kind, "doc": doc, "example": example})


@dataclass(frozen=True, slots=True)
class EncodeDefaults:
    """Encoding options of one key; an option that the log call gives wins over the one here."""

    file_type: str = setting(
        "png", Choice(FILE_TYPES), "The format of saved images. An image's own file_type= wins."
    )
    level: str = setting(
        "fast",
        Choice(PNG_LEVELS),
        "PNG effort. fast: row filter and quick deflate. small: smaller files, slower. pillow: Pillow's encoder at "
        "its default level.",
    )
    quality: int | None = setting(
        None,
        Whole(1, 100),
        "Quality of jpg, webp and avif from 1 to 100. Unset: the encoder's own default for the format.",
        example=90,
    )
    lossless: bool | None = setting(
        None, Flag(), "Lossless webp and avif. Unset: lossy, as the formats' encoders do.", example=True
    )
    background: tuple[int, int, int] = setting(
        (255, 255, 255),
        Color(),
        "The colour under transparent pixels when the format has no transparency (jpg, bmp).",
    )
    dedup: bool = setting(
        False, Flag(), "Keep one file for equal content in a run, with a row for each time it is logged."
    )
