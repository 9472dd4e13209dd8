"""The encoder's compiled part, where there is one: the C sources beside this file.

The library is made when the package is built, with the C compiler that is found there, and lies here too; a
package built without one does without.  It is called through ctypes, which lets other threads run meanwhile and ties
it to no version of Python.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

FILE_NAME: Final = "libpng_rows.so"  # written by the build, see hatch_build.py
PATH: Final = Path(__file__).with_name(FILE_NAME)

_ADDRESS, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
FUNCTIONS: Final = {
    "pixlog_deflate": (_SIZE, [_ADDRESS, _SIZE, _ADDRESS, _SIZE, _INT]),
    "pixlog_deflate_bound": (_SIZE, [_SIZE]),
    "pixlog_filter_rows": (None, [_ADDRESS, _SIZE, _SIZE, _SIZE, _SIZE, _INT, _ADDRESS]),
    "pixlog_photograph": (
        _SIZE,
        [
            *(_ADDRESS, _SIZE, _SIZE, _SIZE, _INT, _INT, _SIZE, _SIZE),
            *(ctypes.POINTER(ctypes.c_uint32), _ADDRESS, _SIZE),
        ],
    ),
    "pixlog_photograph_room": (_SIZE, [_SIZE, _SIZE]),
    "pixlog_small_picture": (_SIZE, [_ADDRESS, _SIZE, _SIZE, _SIZE, _INT, _ADDRESS, _SIZE]),
}


def load(path: Path) -> ctypes.CDLL | None:
    """The library at ``path``; None if there is none, or it is another platform's or another version's."""
    try:
        found = ctypes.CDLL(str(path))
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return found


library: ctypes.CDLL | None = load(PATH)
"""None where there is none that fits, see :mod:`pixlogd.encode.compiled_advice`; callers look before they ask."""
