"""What a call says of itself beside its pixels, packed: once for many calls, where they say the same.

Most calls log one plain array of a kind that was logged under the same key before.  What such an array is described as
depends on nothing but its shape and dtype, so it need not be described again.  Any other call that nothing was said of
is described, and its description, which such calls share, is packed once.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from pixlog.model.describe import Described, Item
from pixlog.protocol import Header, PackedMap, pack_map

_MOST_KINDS: Final = 1024
_LONGEST_NBYTES: Final = 16 << 10
"""Of what is remembered; whether a frame is too long is looked at where its key, say, is longer than that."""


class CallHeaders:
    """The headers of one client's calls, but for what is said last of each."""

    def __init__(self, contract: str) -> None:
        self._contract = contract
        self.of_kind: dict[tuple[str, tuple[int, ...], np.dtype[Any]], PackedMap] = {}
        """By key, shape and dtype: of the C-contiguous arrays that need no description and no warning; none is long."""
        self._of_item: dict[tuple[str, int], tuple[Item, PackedMap]] = {}

    def pack(self, key: str, described: Described) -> PackedMap:
        """Pack what any call says of itself."""
        header: Header = {"key": key, "contract": self._contract, "items": described.items}
        if described.is_list:
            header["list"] = True
        return pack_map(header)

    def pack_plain(self, key: str, data: object, described: Described) -> PackedMap:
        """As :meth:`pack`, for an array on the host or a device without options, whose item may be shared."""
        if len(described.items) != 1 or described.is_list:
            return self.pack(key, described)
        item = described.items[0]
        known = self._of_item.get((key, id(item)))
        if known is not None and known[0] is item:
            packed = known[1]
        else:
            packed = self.pack(key, described)
            if len(self._of_item) >= _MOST_KINDS:
                self._of_item.clear()
            self._of_item[key, id(item)] = (item, packed)
        if type(data) is np.ndarray and described.buffers[0] is data and not described.warnings:
            if len(self.of_kind) >= _MOST_KINDS:
                self.of_kind.clear()
            if data.flags.c_contiguous and len(packed.entries) <= _LONGEST_NBYTES:
                self.of_kind[key, data.shape, data.dtype] = packed
        return packed
