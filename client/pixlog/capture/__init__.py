"""Turn whatever a user hands over into one of five sources; no framework is ever imported for it."""

from pixlog.capture.dispatch import capture
from pixlog.capture.source import (
    ArraySource,
    EarlierSource,
    EncodedSource,
    PilSource,
    ReferenceSource,
    Source,
)

__all__ = [
    "ArraySource",
    "EarlierSource",
    "EncodedSource",
    "PilSource",
    "ReferenceSource",
    "Source",
    "capture",
]
