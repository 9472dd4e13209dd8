"""Names of class ids as they stand in a run, where JSON made text of the ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def labels_by_id(labels: Any) -> dict[int, str]:
    """Return names by class id, be that written ``1`` or ``1.0``; what no box or pixel can have is passed over."""
    if not isinstance(labels, Mapping):
        return {}
    ids = {text: _class_id(text) for text in labels}
    return {class_id: str(labels[text]) for text, class_id in ids.items() if class_id is not None}


def _class_id(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
