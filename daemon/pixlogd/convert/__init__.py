"""From what a client sent to pixels that an encoder can take."""

from pixlogd.convert.convert import convert
from pixlogd.convert.converted import Converted

__all__ = ["Converted", "convert"]
