"""Which encoder serves which file type."""

from __future__ import annotations

from pixlog.errors import InputError
from pixlogd.encode.options import WITH_QUALITY, Encoded, EncodeOptions
from pixlogd.encode.pillow_formats import encode_with_pillow
from pixlogd.encode.png import encode_png
from pixlogd.rendering.picture import Picture


def encode(picture: Picture, options: EncodeOptions) -> Encoded:
    """``picture`` as the bytes of one file.

    Safe to call from many threads at once; nothing is kept of the picture, whose pixels may be a read-only view.
    Raises :class:`~pixlog.errors.InputError` for a mode, size or option that the format cannot hold.
    """
    if picture.width == 0 or picture.height == 0:
        raise InputError(f"an image of {picture.width}x{picture.height} pixels (WxH) cannot be saved")
    if options.file_type == "png" and options.level != "pillow":
        encoded = Encoded(encode_png(picture, level=options.level))
    else:
        encoded = Encoded(*encode_with_pillow(picture, options))
    if options.quality is not None and options.file_type not in WITH_QUALITY:
        encoded.notes.append(f"quality={options.quality} has no effect on {options.file_type}")
    return encoded
