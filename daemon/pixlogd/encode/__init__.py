"""Settled pixels to file bytes."""

from pixlogd.encode.dispatch import encode
from pixlogd.encode.options import FILE_TYPES, LEVELS, Encoded, EncodeOptions

__all__ = ["FILE_TYPES", "LEVELS", "EncodeOptions", "Encoded", "encode"]
