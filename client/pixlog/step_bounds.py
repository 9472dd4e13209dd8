"""The steps there are: signed whole numbers of 64 bits, for those who log and for those who read."""

from __future__ import annotations

from typing import Final

MIN_STEP: Final = -(2**63)
MAX_STEP: Final = 2**63 - 1
