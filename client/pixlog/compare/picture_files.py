"""Names and writing of difference images."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from pixlog.compare.difference import ImageDiff
from pixlog.errors import InputError

_PART_NBYTES: Final = 100


def picture_name(pair: ImageDiff) -> PurePosixPath:
    """Return where a pair's difference image goes: ``val/pred/step000003.png``.

    Rank, turn and index are in the name unless they are 0.  Every part of the key stays below the directory: what
    a file name cannot have on some system stands as %XX, and a part that is too long is cut and gets a hash.
    """
    places = {"rank": pair.rank, "turn": pair.turn, "index": pair.index}
    name = "_".join(
        [f"step{pair.step:06d}", *(f"{what}{number}" for what, number in places.items() if number)]
    )
    return PurePosixPath(*(_part(part) for part in pair.key_a.split("/")), f"{name}.png")


def write_picture(pair: ImageDiff, directory: Path, gain: float) -> Path:
    """Write the difference image of a pair below ``directory``, which is made if need be, and return its path."""
    path = directory / picture_name(pair)
    picture = pair.picture(gain)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _part(text: str) -> str:
    name = quote(text, safe=" +,=@", errors="replace")
    if not name.strip(".") or name.startswith("."):
        name = name.replace(".", "%2E") or "%"
    if len(name) > _PART_NBYTES:
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        name = f"{name[:_PART_NBYTES]}-{digest[:8]}"
    return name
