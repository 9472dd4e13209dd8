"""Segmentation masks: one class id per pixel, stored as a PNG whose values are the ids."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pixlog.capture import ArraySource, EncodedSource, PilSource, capture
from pixlog.capture.files import from_path
from pixlog.capture.source import Array
from pixlog.errors import InputError, InputKeyError, InputTypeError
from pixlog.model.classes import ClassLabels, check_class_labels, default_labels

MAX_CLASS_ID: Final = 65535
_ID_MODES: Final = {
    "1": "|b1",
    "L": "|u1",
    "P": "|u1",
    "I;16": "<u2",
    "I;16L": "<u2",
    "I;16B": ">u2",
    "I": "=i4",
}


class ImageMask:
    """One mask over an image; ``val`` is ``{"mask_data": ids, "class_labels": {id: name}}`` or ``{"path": file}``.

    ``mask_data`` is two-dimensional, (height, width): a NumPy array, a tensor of any framework or a PIL image of mode
    1, L, P, I or I;16, of bool, integer or floating-point dtype.  Ids go from 0 to 65535; W&B's end at 255.  Fractions
    make the row fail under the default contract and are cut off under "wandb".  A mask file is stored as it is and
    its labels are not recorded, as wandb 0.18.0 does.  ``val`` is copied and never changed.  ``key`` is the group's
    name.

    Raises ``InputTypeError`` (a ``TypeError``) for another shape, dtype or range, ``InputKeyError`` (a ``KeyError``)
    for neither entry, ``InputError`` for an empty mask, and the ``InputFileError`` family for the file.

    A dtype that can hold other values costs one look at them here; bool, uint8 and uint16 none.
    """

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        self._take(val, key, copy=True)

    @classmethod
    def borrow(cls, val: Mapping[str, Any], key: str) -> ImageMask:
        """Make a mask that may share the caller's memory, for use within one call."""
        mask = cls.__new__(cls)
        mask._take(val, key, copy=False)
        return mask

    def _take(self, val: Mapping[str, Any], key: str, *, copy: bool) -> None:
        where = f"masks[{key!r}]"
        if not isinstance(val, Mapping):
            raise InputTypeError(
                f"{where} is of type {type(val).__name__}, expected a dict with 'mask_data' or 'path'"
            )
        self.key = key
        self._labels: ClassLabels | None = None
        self.source: ArraySource | EncodedSource
        if "path" in val:
            path = val["path"]
            if not isinstance(path, (str, os.PathLike)):
                raise InputTypeError(f"{where}['path'] is of type {type(path).__name__}, expected a path")
            self.source = from_path(path)
            return
        if "mask_data" not in val:
            raise InputKeyError(f"{where} has neither 'mask_data' nor 'path'; got {sorted(map(str, val))}")
        if "class_labels" in val:
            self._labels = check_class_labels(val["class_labels"], f"{where}['class_labels']")
        self.source = _take_ids(val["mask_data"], f"{where}['mask_data']", copy=copy)

    @property
    def labels_given(self) -> bool:
        """Whether the user named the classes."""
        return self._labels is not None

    @property
    def given_labels(self) -> ClassLabels | None:
        """The names given, or None."""
        return None if self._labels is None else dict(self._labels)

    @property
    def class_labels(self) -> ClassLabels:
        """The names given, else "class_<id>" for every id that occurs; a mask file has none."""
        if self._labels is not None:
            return dict(self._labels)
        if isinstance(self.source, EncodedSource):
            return {}
        return default_labels(np.unique(self.source.array).tolist())

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels; None for a file whose header does not tell it cheaply."""
        if isinstance(self.source, EncodedSource):
            return self.source.size
        height, width = self.source.array.shape
        return width, height


def _take_ids(data: object, where: str, *, copy: bool) -> ArraySource:
    if isinstance(data, (list, tuple, str, os.PathLike)):
        raise InputTypeError(
            f"{where} is of type {type(data).__name__}, expected a two-dimensional array of class ids"
        )
    source = capture(data, copy=copy)
    if isinstance(source, PilSource):
        source = _ids_of_pil(source, where)
    if not isinstance(source, ArraySource):
        raise InputTypeError(
            f"{where} is of type {type(data).__name__}, expected a two-dimensional array of class ids"
        )
    array = source.array
    if array.ndim != 2:
        raise InputTypeError(f"{where} has the shape {array.shape}, expected (height, width)")
    if not array.size:
        raise InputError(f"{where} has the shape {array.shape}, expected at least one pixel")
    ids = _narrow(array, source.dtype, where)
    return ArraySource(ids, ids.dtype.str, source.origin, source.masked)


def _narrow(array: Array, dtype: str, where: str) -> Array:
    """Return ids of 8 or 16 bits; wider dtypes are looked at once, and cost the arena an eighth afterwards."""
    if array.dtype.kind == "b" or (
        array.dtype.kind == "u" and array.dtype.itemsize <= 2 and dtype != "bfloat16"
    ):
        return array
    if array.dtype.kind not in "uif":
        raise InputTypeError(f"{where} has the dtype {dtype}, expected bool, integers or floats")
    if dtype == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif array.dtype.itemsize == 2 and array.dtype.kind == "f":
        array = array.astype(np.float32)  # 65504 is float16's largest number, so comparing needs more
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= MAX_CLASS_ID):  # NaN fails both
        raise InputTypeError(
            f"{where} has values from {low} to {high}, expected ids from 0 to {MAX_CLASS_ID}"
        )
    if array.dtype.kind == "f":
        return array  # whether fractions are allowed is for the contract to say
    ids: Array = array.astype(np.uint8 if high < 256 else np.uint16)
    return ids


def _ids_of_pil(source: PilSource, where: str) -> ArraySource:
    if source.mode not in _ID_MODES:
        raise InputTypeError(
            f"{where} is a PIL image of mode {source.mode!r}, expected one of {', '.join(_ID_MODES)}"
        )
    dtype = np.dtype(_ID_MODES[source.mode])
    if source.mode == "1":
        rows = np.frombuffer(source.raw, np.uint8).reshape(source.height, -1)
        bits: Array = np.unpackbits(rows, axis=1)[:, : source.width].view(np.bool_)
        return ArraySource(bits, dtype.str, "pil")
    array: Array = np.frombuffer(source.raw, dtype).reshape(source.height, source.width)
    return ArraySource(array, dtype.str, "pil")
