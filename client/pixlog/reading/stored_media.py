"""Media files as the rows of a run name them: where they are, their bytes, their content."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pixlog.errors import RunError
from pixlog.reading.decoding import array_of_pil, decode_image
from pixlog.reading.mask_pixels import mask_ids
from pixlog.reading.plain_png import plain_gray

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image as pil_image

_T = TypeVar("_T")

PIXEL_ROLES: Final = frozenset({"image", "preview", "mask"})
"""Roles of files that hold pixels; files of any other role hold JSON."""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One media file that a row names."""

    run_dir: Path
    relative_path: str
    sha256: str
    size: int
    role: str
    """image, preview, mask, boxes, polygons or keypoints."""
    index: int
    """Number of the image in its row that the file belongs to."""
    group: str | None
    """Name of the overlay group, for masks, boxes, polygons and keypoints."""
    shard: str | None = None
    """In a packed run, the tar shard that the file is a member of; inside the run directory."""
    offset: int = 0
    """Where the file's bytes begin in its shard."""

    @property
    def path(self) -> Path:
        """Absolute path of the file, or of the shard that it is in.

        Raises ``RunError`` if either path leaves the run directory or no file can have it.
        """
        return Path(self.place)

    @property
    def place(self) -> str:
        """``path`` as text, which takes a tenth of the time."""
        path = _inside(self.relative_path)  # of a part of a shard too: exports make a file of that name
        return os.path.join(self.run_dir, path if self.shard is None else _inside(self.shard))

    def read_bytes(self) -> bytes:
        """Return the file's bytes; raise ``RunError`` if they cannot be read."""
        try:
            with open(self.place, "rb", buffering=0) as file:
                if self.shard is None:
                    return file.readall()
                nbytes = os.fstat(file.fileno()).st_size
                if not 0 <= self.offset <= nbytes or self.size < 0:
                    place = f"{self.size} bytes at {self.offset}"
                    raise RunError(
                        f"{self.shard} has {nbytes} bytes, and {self.relative_path} is to be {place}"
                    )
                return os.pread(file.fileno(), min(self.size, nbytes - self.offset), self.offset)
        except OSError as error:
            place = self.shard or self.relative_path
            raise RunError(f"cannot read {place}: {error.strerror or error}") from error

    def json(self) -> Any:
        """Return the parsed content of a boxes, polygons or keypoints file."""
        return parse_json(self.read_bytes(), name=self.relative_path)


@dataclass(frozen=True, slots=True)
class ImageFile(MediaFile):
    """A media file that holds pixels."""

    def pil(self) -> pil_image.Image:
        """Return the decoded file as a PIL image; needs Pillow."""
        return decode_image(self.read_bytes(), name=self.relative_path)

    def array(self) -> npt.NDArray[Any]:
        """Return the pixels, (H, W) or (H, W, C), in the dtype they were stored with; of a mask its class ids, (H, W).

        Needs Pillow, but for plain 8-bit gray PNGs.  Raises ``RunError`` for a mask whose pixels are colours.
        """
        data = self.read_bytes()
        if self.role == "mask":
            return mask_ids(data, name=self.relative_path)
        plain = plain_gray(data)
        return array_of_pil(decode_image(data, name=self.relative_path)) if plain is None else plain


def media_file(run_dir: Path, entry: Any) -> MediaFile:
    """Return the file of one entry of a row's ``files``; raise ``RunError`` if it is no such entry."""
    try:
        kind = ImageFile if entry["role"] in PIXEL_ROLES else MediaFile
        return kind(
            run_dir,
            _checked(entry["path"], str),
            _checked(entry["sha256"], str),
            _checked(entry["size"], int),
            _checked(entry["role"], str),
            _checked(entry.get("index", 0), int),
            entry.get("group"),
            None if entry.get("shard") is None else _checked(entry["shard"], str),
            _checked(entry.get("offset", 0), int),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"a file of a row has path, sha256, size, role and index; got {entry!r}") from error


def parse_json(data: bytes, *, name: str) -> Any:
    """Parse a JSON media file; raise ``RunError`` if it is none."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise RunError(f"{name} is not JSON: {error}") from error


def overlay_files(files: tuple[MediaFile, ...], *, index: int, role: str) -> Mapping[str, MediaFile]:
    """Return the files of ``role`` over image ``index``, by group."""
    return {file.group or "": file for file in files if file.index == index and file.role == role}


def _inside(path: str) -> str:
    """Return a path of a row, which anyone may have written; raise ``RunError`` unless it stays inside the run."""
    if path.startswith("/") or ".." in path.split("/"):
        raise RunError(f"media paths stay inside the run directory; got {path!r}")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise RunError(f"no file has a name with half a surrogate in it; got {path!r}") from None
    if "\0" in path:
        raise RunError(f"no file has a name with a NUL byte in it; got {path!r}")
    return path


def _checked(value: Any, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value
