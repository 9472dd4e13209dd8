"""The formats that Pillow writes, called so that two workers use two cores.

**Where the time of the lock goes.**  Pillow's JPEG encoder releases the interpreter lock only while it writes to a
file descriptor (``encode_to_file``); into a ``BytesIO`` it compresses 64 KB at a time with the lock held, and two
threads are no faster than one.  So JPEG goes to an anonymous in-memory file and is read back whole.  The WebP and
AVIF encoders work on memory and release the lock.  BMP and raw TIFF only copy, where a second copy through a
descriptor costs more than the lock.

**Modes.**  A format that lacks a picture's mode gets the next wider one that keeps every value (gray as RGB in
WebP), or loses its alpha to the background colour (JPEG, BMP), and the file carries a note that says so.  Anything
that would change values silently (16-bit or float samples to 8 bits) is refused.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from typing import IO, Any, Final

import numpy as np
from PIL import Image, features

from pixlog.errors import InputError
from pixlogd.encode.options import EncodeOptions
from pixlogd.encode.plan import looks_like_photo
from pixlogd.encode.raster import raster_of
from pixlogd.rendering.picture import Picture

_PILLOW_NAME: Final = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "bmp": "BMP",
    "webp": "WEBP",
    "gif": "GIF",
    "tiff": "TIFF",
    "avif": "AVIF",
}

_ALPHA_LOST: Final = ""  # in _SAVED_AS: flatten on the background

# format -> mode of the picture -> mode that is saved
_SAVED_AS: Final[dict[str, dict[str, str]]] = {
    "PNG": {mode: mode for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "JPEG": {
        "1": "L",
        "L": "L",
        "LA": _ALPHA_LOST,
        "P": "RGB",
        "RGB": "RGB",
        "RGBA": _ALPHA_LOST,
        "CMYK": "CMYK",
        "YCbCr": "YCbCr",
    },
    "BMP": {"1": "1", "L": "L", "LA": _ALPHA_LOST, "P": "P", "RGB": "RGB", "RGBA": _ALPHA_LOST},
    "WEBP": {"1": "RGB", "L": "RGB", "LA": "RGBA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"},
    "GIF": {"1": "L", "L": "L", "P": "P", "LA": "RGBA", "RGB": "RGB", "RGBA": "RGBA"},
    "TIFF": {
        mode: mode for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK", "YCbCr", "LAB")
    },
    "AVIF": {"1": "L", "L": "L", "LA": "RGBA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"},
}
_PALETTE_ALPHA_KEPT: Final = ("PNG",)

_MAX_SIDE: Final = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535, "AVIF": 65_536}

_SAMPLES: Final = {"1": np.dtype(bool), "I;16": np.dtype(np.uint16), "F": np.dtype(np.float32)}
_JPEG_END: Final = b"\xff\xd9"
_IN_MEMORY_NBYTES: Final = 64 << 10  # smaller pictures encode faster than a descriptor opens


def encode_with_pillow(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """(file bytes, notes).  Raises InputError for a mode, size or option that the format cannot hold."""
    file_type = options.file_type
    name = _PILLOW_NAME[file_type]
    _check(picture, file_type, name)
    image, notes = _image_for(picture, options, name)
    arguments = _save_arguments(name, picture, options)
    if picture.icc and name not in {"BMP", "GIF"}:
        arguments["icc_profile"] = picture.icc
    try:
        if name == "JPEG" and picture.pixels.nbytes > _IN_MEMORY_NBYTES:
            # Where there is no descriptor, or no room behind it, it is made in memory, more slowly.
            with contextlib.suppress(OSError):
                data = _save_by_descriptor(image, name, arguments)
                if data.endswith(_JPEG_END):  # Pillow takes no notice when only a part was written
                    return data, notes
        buffer = io.BytesIO()
        image.save(buffer, name, **arguments)
        return buffer.getvalue(), notes
    except (OSError, ValueError, MemoryError, SystemError, RuntimeError) as exc:
        raise InputError(
            f"{file_type} cannot save {picture.width}x{picture.height} pixels of mode {picture.mode!r}: {exc}"
        ) from exc


def _save_by_descriptor(image: Image.Image, name: str, arguments: dict[str, Any]) -> bytes:
    with _memory_file() as file:
        image.save(file, name, **arguments)
        nbytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        return file.read(nbytes)


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("pixlog-encode"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _check(picture: Picture, file_type: str, name: str) -> None:
    mode, pixels = picture.mode, picture.pixels
    if name == "AVIF" and not features.check("avif"):
        raise InputError(
            "avif needs a Pillow built with libavif (Pillow 11.3 or newer wheels): use webp or png"
        )
    if mode not in _SAVED_AS[name]:
        can = ", ".join(other for other in ("png", "tiff") if mode in _SAVED_AS[_PILLOW_NAME[other]])
        modes = ", ".join(_SAVED_AS[name])
        raise InputError(
            f"{file_type} cannot hold mode {mode!r}: it takes {modes}"
            + (f"; {can} can hold {mode!r}" if can else "; convert the image first, for example mode='RGB'")
        )
    samples = _SAMPLES.get(mode, np.dtype(np.uint8))
    if pixels.dtype != samples:
        raise InputError(
            f"{file_type} cannot hold {pixels.dtype} samples of mode {mode!r}, only {samples}: "
            "16-bit gray, RGB and RGBA fit in png at level fast or small"
        )
    channel_count = pixels.shape[2] if pixels.ndim == 3 else 1
    if channel_count != Image.getmodebands(mode):
        raise InputError(f"mode {mode!r} with pixels of shape {pixels.shape} is not a picture")
    limit = _MAX_SIDE.get(name)
    if limit is not None and max(picture.width, picture.height) > limit:
        raise InputError(
            f"{file_type} holds at most {limit} pixels a side, got {picture.width}x{picture.height} (WxH): "
            "use png or tiff, or log it in parts"
        )


def _image_for(picture: Picture, options: EncodeOptions, name: str) -> tuple[Image.Image, list[str]]:
    """The picture as a Pillow image of the mode that is saved, and the notes that the change deserves."""
    file_type = options.file_type
    image = _as_image(picture)
    mode = picture.mode
    saved = _SAVED_AS[name][mode]
    if mode == "P" and "A" in picture.palette_mode and name not in _PALETTE_ALPHA_KEPT:
        image = image.convert("RGBA")
        mode = "RGBA"
        saved = _SAVED_AS[name][mode]
    if saved == _ALPHA_LOST:
        note = "{} has no alpha: flattened on the background colour #{:02x}{:02x}{:02x}"
        return _flatten(image, options.background), [note.format(file_type, *options.background)]
    notes = []
    if name == "GIF" and mode in {"RGB", "RGBA", "LA"}:
        notes.append(f"gif holds 256 colours: mode {picture.mode} was reduced to a palette")
    elif saved != picture.mode:
        notes.append(f"{file_type} cannot hold mode {picture.mode!r} as such: saved as {saved}, same values")
    return (image if saved == mode else image.convert(saved)), notes


def _as_image(picture: Picture) -> Image.Image:
    """A Pillow image of the picture, sharing its memory where Pillow can."""
    pixels, mode = picture.pixels, picture.mode
    size = (picture.width, picture.height)
    if mode == "1":
        return Image.frombytes("1", size, np.packbits(pixels, axis=1).tobytes())
    if mode == "F":
        return Image.fromarray(pixels.astype("<f4", copy=False))
    if mode == "I;16":
        pixels = pixels.astype("<u2", copy=False)
    image = Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
    if mode == "P":
        image.putpalette(picture.palette or bytes(range(256)) * 3, picture.palette_mode)
    return image


def _flatten(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Alpha-composite on one colour; gray with alpha stays gray where the colour is gray."""
    red, green, blue = background
    if image.mode == "LA" and red == green == blue:
        base = Image.new("L", image.size, red)
        base.paste(image.getchannel("L"), mask=image.getchannel("A"))
        return base
    base = Image.new("RGB", image.size, background)
    base.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return base


def _save_arguments(name: str, picture: Picture, options: EncodeOptions) -> dict[str, Any]:
    """What ``Image.save`` is told.  "fast" differs from Pillow's own choice where that costs many times as much."""
    fast, small = options.level == "fast", options.level == "small"
    quality = options.quality
    arguments: dict[str, Any] = {}
    if quality is not None:
        arguments["quality"] = quality
    if name == "JPEG" and small:
        arguments |= {"optimize": True, "progressive": True}
    elif name == "GIF":
        arguments["optimize"] = False  # a palette cut down to the used colours would turn "L" into "P"
    elif name == "TIFF" and small:
        arguments["compression"] = "tiff_adobe_deflate"
    elif name == "WEBP":
        arguments |= _webp_arguments(picture, options)
    elif name == "AVIF":
        # The daemon's workers are the parallelism; an encoder's own threads would only compete with them.
        # Speeds below Pillow's 6 took nine times as long for no fewer bytes.
        arguments |= {"speed": 10 if fast else 6, "max_threads": 1}
    return arguments


def _webp_arguments(picture: Picture, options: EncodeOptions) -> dict[str, Any]:
    """Effort, measured on a photograph: lossy method 2 is 2.5 times as fast as Pillow's 4 for 1 % more bytes.

    Lossless at effort 0 is 17 times as fast for 10 % more bytes, but makes a plot ten times as large; 25 with
    method 1 is the cheapest that sees flat areas.  Effort 100 with method 6 took 20 s on 300 x 400 pixels.
    """
    level = options.level
    if not options.lossless:
        return {"method": {"fast": 2, "small": 6}.get(level, 4)}
    # exact: colours under transparent pixels are pixels too
    arguments = {"lossless": True, "exact": True}
    if level == "fast":
        effort, method = (0, 0) if looks_like_photo(raster_of(picture.pixels)) else (25, 1)
    else:
        effort, method = (99, 6) if level == "small" else (80, 4)
    return arguments | {"quality": effort if options.quality is None else options.quality, "method": method}
