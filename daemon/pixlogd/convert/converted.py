"""What conversion hands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pixlogd.rendering.picture import Picture


@dataclass(frozen=True, slots=True)
class Converted:
    """A picture, its 8-bit preview where the picture is deeper, the record of the input, and notes for the row.

    ``from_array`` says whether the pixels came as an array (and not as a finished image).
    """

    picture: Picture
    preview: Picture | None
    input: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    from_array: bool = True
