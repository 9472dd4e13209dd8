"""Names of exported images that people can read and that never collide, on any file system.

An image is KEY/STEP_rankRANK, and where that is not one image, _callN for the N-th row of this key, step and rank, and
_imageN for the images of one row.  A key becomes directories by its slashes.  What some file system cannot hold is
replaced, and two keys that would fall together, also where upper and lower case are the same, are told apart by ~2, ~3
behind the name.  No directory looks like the name of an image, so a key ``a`` and a key ``a/b`` do not meet either.

Images have to come in reading order, in which the rows of one key, step and rank follow each other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from pixlog.reading.saved_image import SavedImage

_UNSAFE: Final = re.compile(r"[^\w.+=@, -]")
_LIKE_AN_IMAGE: Final = re.compile(r"-?\d+_rank")
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # on Windows, with any suffix
_MAX_COMPONENT_NBYTES: Final = 120
_MAX_KEY_NBYTES: Final = 480
_MAX_SUFFIX_NBYTES: Final = 32


class FileNames:
    """Gives every image of one export its path, without suffix."""

    def __init__(self, avoid: Sequence[str] = ()) -> None:
        """``avoid`` are words that must not stand alone in a directory's name: they are written ``+word+``."""
        self._avoid = (
            re.compile(rf"(?<![^-._ 0-9])({'|'.join(map(re.escape, avoid))})(?![^-._ 0-9])")
            if avoid
            else None
        )
        self._directories: dict[str, str] = {}
        self._taken: set[str] = set()
        self._place: tuple[str, int, int] | None = None
        self._row: tuple[str, int] | None = None
        self._call = 0

    def stem(self, image: SavedImage) -> str:
        """Return the path of ``image`` without suffix, with forward slashes."""
        row = image.row
        place, row_id = (row.key, row.step, row.rank), (row.client, row.seq)
        if place != self._place:
            self._place, self._row, self._call = place, row_id, 1
        elif row_id != self._row:
            self._row = row_id
            self._call += 1
        call = f"_call{self._call}" if self._call > 1 else ""
        index = f"_image{image.index}" if has_several(image) else ""
        return f"{self._directory(row.key)}/{row.step:08d}_rank{row.rank}{call}{index}"

    def _directory(self, key: str) -> str:
        known = self._directories.get(key)
        if known is not None:
            return known
        name = wanted = "/".join(self._component(part) for part in key.split("/"))
        if len(wanted.encode()) > _MAX_KEY_NBYTES:
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            name = wanted = f"{_cut(wanted.replace('/', '_'), _MAX_COMPONENT_NBYTES)}_{digest}"
        number = 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{wanted}~{number}"
        self._taken.add(name.casefold())
        self._directories[key] = name
        return name

    def _component(self, part: str) -> str:
        name = safe_word(part)
        if self._avoid is not None:
            name = self._avoid.sub(r"+\1+", name)
        return f"_{name}" if _LIKE_AN_IMAGE.match(name) or _RESERVED.match(name) else name


def safe_word(text: str) -> str:
    """Return text as one component of a path: letters and digits of any script, ``.+=@, -`` and ``_``."""
    name = _UNSAFE.sub("_", text)
    if name.startswith((".", " ", "~")):
        name = f"_{name}"
    if name.endswith((".", " ")):
        name = f"{name}_"
    return _cut(name, _MAX_COMPONENT_NBYTES) or "_"


def suffix_of(path: str) -> str:
    """Return the suffix of a media file with its dot, such as ``.png``, as a part of a name; ``.bin`` without one."""
    suffix = path.rpartition("/")[2].rpartition(".")
    word = _cut(_UNSAFE.sub("_", suffix[2]).strip(), _MAX_SUFFIX_NBYTES) if suffix[1] else ""
    return f".{word or 'bin'}"


def has_several(image: SavedImage) -> bool:
    """Return whether the image was logged in a list, be it of one."""
    value = image.row.value
    return image.index > 0 or (isinstance(value, dict) and "filenames" in value)


def _cut(name: str, nbytes: int) -> str:
    return name.encode()[:nbytes].decode(errors="ignore")
