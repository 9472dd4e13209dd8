"""Images that are files already: paths, bytes and binary file objects, read whole at the call."""

from __future__ import annotations

import os
import stat
from io import BytesIO, TextIOBase
from typing import Any, Final

from pixlog.capture.sniff import HEAD_BYTES, KNOWN, sniff, sniff_type
from pixlog.capture.source import EncodedSource, ReferenceSource
from pixlog.errors import (
    InputError,
    InputFileDenied,
    InputFileError,
    InputFileIsDirectory,
    InputFileMissing,
    InputTypeError,
)

REFERENCE_PREFIXES: Final = ("gs://", "s3://", "http://", "https://")
_NO_SIGNATURE: Final = frozenset({".tga", ".icb", ".vda", ".vst"})  # types that only their suffix tells


def from_text(text: str) -> EncodedSource | ReferenceSource:
    """Take a URL as a reference, any other string as a path; the four prefixes are those of wandb.Image."""
    if text.startswith(REFERENCE_PREFIXES):
        return ReferenceSource(str(text))
    return from_path(text)


def from_path(path: str | os.PathLike[str] | os.PathLike[bytes]) -> EncodedSource:
    """Read the file now, so that overwriting it later changes nothing.

    Raises ``InputFileMissing``, ``InputFileIsDirectory`` or ``InputFileDenied`` (each also the built-in class), and
    ``InputFileError`` for a file that is empty or no image.
    """
    name = os.fsdecode(path)
    try:
        data = _read_image(name)
    except FileNotFoundError as exc:
        hint = "" if os.path.isabs(name) else f" (looked in {os.getcwd()!r})"
        raise InputFileMissing(f"no such image file: {name!r}{hint}") from exc
    except IsADirectoryError as exc:
        raise InputFileIsDirectory(f"{name!r} is a directory, expected an image file") from exc
    except PermissionError as exc:
        raise InputFileDenied(f"no permission to read the image file {name!r}") from exc
    except InputFileError:
        raise
    except OSError as exc:
        raise InputFileError(f"the image file {name!r} could not be read: {exc.strerror or exc}") from exc
    except ValueError as exc:  # an embedded null byte
        raise InputError(f"{name!r} is not a path: {exc}") from exc
    return EncodedSource(data, os.path.splitext(name)[1], sniff(data).size)


def from_bytes(data: bytes | bytearray | memoryview, *, owned: bool) -> EncodedSource:
    """Take the bytes of an encoded image; its suffix comes from its content."""
    view = data if isinstance(data, bytes) else memoryview(data)
    if isinstance(view, memoryview):
        view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    kept = view if owned else bytes(view)
    return _from_content(kept, f"{type(data).__name__} of {len(view)} bytes")


def from_file(file: Any) -> EncodedSource:
    """Read an open binary file from its position to its end, then put the position back.

    A file that was just written and never rewound stands at its end: then it is read from the start.
    """
    what = f"the {type(file).__name__} {getattr(file, 'name', '')!r}".replace(" ''", "")
    if isinstance(file, TextIOBase):
        raise InputTypeError(f"{what} is open as text, expected a binary file: open(..., 'rb')")
    if isinstance(file, BytesIO):
        with (
            file.getbuffer() as whole
        ):  # which must not outlive this, in a traceback: the file could not grow any more
            rest = bytes(whole[file.tell() :])
        return _from_content(rest or file.getvalue(), what)
    try:
        data = _read_from_position(file)
    except (OSError, ValueError) as exc:
        raise InputFileError(f"{what} could not be read: {exc}") from exc
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputTypeError(f"{what} gave {type(data).__name__} from read(), expected bytes")
    source = _from_content(bytes(data), what)
    name = getattr(file, "name", None)
    suffix = os.path.splitext(name)[1] if isinstance(name, str) else ""
    return EncodedSource(source.data, suffix, source.size) if suffix else source


def _read_from_position(file: Any) -> Any:
    if not (hasattr(file, "seekable") and file.seekable()):
        return file.read()
    position = file.tell()
    data = file.read()
    if not data and position:
        file.seek(0)
        data = file.read()
    file.seek(position)
    return data


def _read_image(name: str) -> bytes:
    # Opening a FIFO would block training until somebody writes to it, so the kind of file is looked at first.
    mode = os.stat(name).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(name)
    if not stat.S_ISREG(mode):
        raise InputFileError(f"{name!r} is not a regular file, expected an image file")
    with open(name, "rb") as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise InputFileError(f"the file {name!r} is empty (0 bytes), expected an image")
        # Not worth reading gigabytes of something that is no image.
        if sniff_type(head) is None and os.path.splitext(name)[1].lower() not in _NO_SIGNATURE:
            raise InputFileError(_not_an_image(f"the file {name!r}", head))
        return head + file.read()


def _from_content(data: bytes | memoryview, what: str) -> EncodedSource:
    if not len(data):
        raise InputFileError(f"{what} is empty, expected the bytes of an encoded image")
    sniffed = sniff(data)
    if sniffed.file_type is None:
        raise InputFileError(_not_an_image(what, bytes(data[:HEAD_BYTES])))
    return EncodedSource(data, f".{sniffed.file_type}", sniffed.size)


def _not_an_image(what: str, head: bytes) -> str:
    return f"{what} is not an image: it starts with {head[:8]!r}, expected {KNOWN}"
