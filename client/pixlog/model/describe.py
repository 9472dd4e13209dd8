"""From what a user logs to what goes over the wire: items that describe, and buffers that hold the pixels.

Nothing here reads a pixel.  An array that is dense in some axis order is handed over transposed to that order, with
the order in the item, so that copying it reads memory straight through; any other array is handed over as it is and
its bytes are meant in C order.  The daemon puts the axes right.

The common call, a plain C-contiguous NumPy array without options, is answered from a table by shape and dtype; so is an
array on a device, by its strides too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from pixlog.capture import (
    ArraySource,
    EarlierSource,
    EncodedSource,
    PilSource,
    ReferenceSource,
    Source,
    capture,
)
from pixlog.capture.source import Array
from pixlog.device.device_array import DeviceArray
from pixlog.errors import InputError, InputTypeError
from pixlog.model.classes import warn_of_colors
from pixlog.model.content import Content, take_content
from pixlog.model.image import Image
from pixlog.model.image_options import OPTION_NAMES
from pixlog.model.overlays import Overlays
from pixlog.model.plain import Plain
from pixlog.pixels.layout import kept_axes

if TYPE_CHECKING:
    from pixlog.receipt import Receipt

Buffer = Array | bytes | memoryview
Item = dict[str, Plain]

PER_IMAGE_OPTIONS: Final = ("caption", "boxes", "masks", "polygons", "keypoints", "meta")
_PLAIN_SHAPES_MAX: Final = 1024
_IN_DATA: Final = frozenset({"layout"})  # options that the item's data carry already


class Described(NamedTuple):
    """One log call, ready to be sent.

    ``items`` refer to ``buffers`` by index.  A buffer is bytes-like, or an array of any strides whose bytes in C
    order are meant.  ``is_list`` says that the row is a list of images, whatever their number.  ``warnings`` are for
    the user, once per key.  ``images`` are the user's ``Image`` objects with their places in the row.
    Everything may be shared with other calls: it is not to be changed.
    """

    items: list[Item]
    buffers: list[Buffer]
    is_list: bool
    warnings: Sequence[str]
    images: Sequence[tuple[Image, int]]

    def bind(self, receipt: Receipt) -> None:
        """Let every ``Image`` of this call remember the receipt it got."""
        for image, index in self.images:
            image._bind(receipt, index)


_plain: dict[tuple[tuple[int, ...], np.dtype[Any], str], tuple[Item, Sequence[str]]] = {}


def describe(data: object, *, contract: str = "pixlog", **options: Any) -> Described:
    """Describe what was handed to one log call: an image in any form, or a list or tuple of them.

    ``options`` are those of ``Image``; over an ``Image`` they win.  With a list, or a batch of N images, a list or
    tuple given as caption, boxes, masks, polygons, keypoints or meta is dealt out, one entry each.  ``contract`` is the
    client's.  Arrays are not copied: the caller does that before its own call returns.

    Raises what ``Image`` raises.
    """
    if type(data) is np.ndarray and not options:
        entry = _plain.get((data.shape, data.dtype, contract))
        if entry is not None and data.flags.c_contiguous:
            return Described([entry[0]], [data], False, entry[1], ())
        return _describe_array(data, contract)
    if type(data) is DeviceArray and not options:
        return _describe_on_device(data, contract)
    unknown = options.keys() - OPTION_NAMES
    if unknown:
        name = min(unknown)
        import difflib

        near = difflib.get_close_matches(name, OPTION_NAMES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputTypeError(
            f"unknown option {name!r}, expected one of {', '.join(sorted(OPTION_NAMES))}{hint}"
        )
    call = _Call(contract)
    if isinstance(data, (list, tuple)):
        call.add_list(data, options)
    elif any(isinstance(options.get(name), (list, tuple)) for name in PER_IMAGE_OPTIONS):
        call.add_batch(data, options)
    else:
        call.add(data, options)
    return call.described()


def _describe_array(array: Array, contract: str) -> Described:
    call = _Call(contract)
    call.add(array, {})
    described = call.described()
    if not described.is_list and described.buffers[0] is array and array.flags.c_contiguous:
        if len(_plain) >= _PLAIN_SHAPES_MAX:
            _plain.clear()
        _plain[array.shape, array.dtype, contract] = described.items[0], tuple(described.warnings)
    return described


_on_device: dict[tuple[Any, ...], tuple[Item, Sequence[str], tuple[int, ...] | None]] = {}


def _describe_on_device(array: DeviceArray, contract: str) -> Described:
    """Answer from a table of item, warnings and the order of axes in which the memory is dense."""
    kind = (array.shape, array.strides, array.dtype_name, array.origin, contract)
    entry = _on_device.get(kind)
    if entry is not None:
        item, warnings, axes = entry
        buffer = array if axes is None else array.transpose(axes)
        return Described([item], [cast(Array, buffer)], False, warnings, ())
    call = _Call(contract)
    call.add(array, {})
    described = call.described()
    if not described.is_list:
        if len(_on_device) >= _PLAIN_SHAPES_MAX:
            _on_device.clear()
        item = described.items[0]
        axes = tuple(item["data"]["axes"]) if "axes" in item["data"] else None
        _on_device[kind] = item, tuple(described.warnings), axes
    return described


class _Call:
    """Collects the items and buffers of one log call."""

    def __init__(self, contract: str) -> None:
        self.contract = contract
        self.items: list[Item] = []
        self.buffers: list[Buffer] = []
        self.warnings: list[str] = []
        self.images: list[tuple[Image, int]] = []
        self.is_list = False

    def described(self) -> Described:
        return Described(self.items, self.buffers, self.is_list, self.warnings, self.images)

    def add_list(self, elements: Sequence[object], options: Mapping[str, Any]) -> None:
        """Describe each element with its share of the options."""
        if elements and isinstance(elements[0], (bool, int, float, list, tuple)):
            capture(elements, copy=False)  # raises, and says what to do with numbers
        self.is_list = True
        shared, dealt = _deal(options, len(elements))
        for index, element in enumerate(elements):
            own = {**shared, **{name: values[index] for name, values in dealt.items()}}
            try:
                self.add(element, own)
            except InputError as exc:
                exc.add_note(f"element {index} of the list of {len(elements)}")
                raise

    def add_batch(self, data: object, options: Mapping[str, Any]) -> None:
        """Describe a batch whose images have options of their own."""
        one_each = [name for name in PER_IMAGE_OPTIONS if isinstance(options.get(name), (list, tuple))]
        rest = {name: value for name, value in options.items() if name not in one_each}
        batch = take_content(_raw(data), copy=False, client_contract=self.contract, **rest)
        decision = batch.layout_under(self.contract)
        source = batch.source
        if decision is None or decision.layout[0] != "N" or not isinstance(source, ArraySource):
            # One image: a list is a caption like any other, and for the rest the error that says so.
            self.add(data, options)
            return
        rest["layout"] = decision.layout[1:]
        self.add_list(_split(source, decision.layout), {**rest, **{name: options[name] for name in one_each}})

    def add(self, data: object, options: Mapping[str, Any]) -> None:
        """Describe one image; a batch without a grid becomes one item for each of its images."""
        if isinstance(data, Image):
            self.images.append((data, len(self.items)))
        if isinstance(data, Image) and not options:
            content = data._content
        else:
            content = take_content(_raw(data), copy=False, client_contract=self.contract, **options)
        decision = content.layout_under(self.contract)
        source = content.source
        if decision is None or not isinstance(source, ArraySource):
            self.items.append(self._item(content, self._data(source)))
            return
        if decision.ambiguous is not None:
            self.warnings.append(decision.ambiguous)
        if decision.layout[0] != "N":
            self.items.append(self._item(content, self._array(source, decision.layout)))
            return
        grid = content.options.get("grid")
        if grid or (grid is None and (content.contract or self.contract) == "wandb"):
            item = self._item(content, self._array(source, decision.layout))
            item["grid"] = grid or True
            self.items.append(item)
            return
        self.is_list = True
        for one in _split(source, decision.layout):
            self.items.append(self._item(content, self._array(one, decision.layout[1:])))

    def _item(self, content: Content, data: Item) -> Item:
        item: Item = {"data": data}
        for name, value in content.options.items():
            if name not in _IN_DATA:
                item[name] = value
        if classes := content.class_set or content.inherited:
            item["classes"] = classes
            self.warnings += warn_of_colors(classes)
        if content.overlays:
            self._add_overlays(item, content.overlays)
        return item

    def _add_overlays(self, item: Item, overlays: Overlays) -> None:
        if overlays.boxes:
            item["boxes"] = {name: group.to_item() for name, group in overlays.boxes.items()}
        if overlays.masks:
            item["masks"] = masks = {}
            for name, mask in overlays.masks.items():
                masks[name] = entry = {"data": self._data(mask.source), "labels_given": mask.labels_given}
                if mask.given_labels is not None:
                    entry["class_labels"] = mask.given_labels
        if overlays.polygons:
            item["polygons"] = {name: group.to_item() for name, group in overlays.polygons.items()}
        if overlays.keypoints:
            item["keypoints"] = {name: group.to_item() for name, group in overlays.keypoints.items()}

    def _data(self, source: Source) -> Item:
        match source:
            case ArraySource():
                return self._array(source, "HW")
            case PilSource():
                return self._pil(source)
            case EncodedSource():
                return {"kind": "encoded", "buffer": self._add(source.data), "suffix": source.suffix}
            case ReferenceSource():
                return {"kind": "reference", "url": source.url}
            case EarlierSource():
                return {"kind": "ref", "client": source.client, "seq": source.seq, "index": source.index}

    def _array(self, source: ArraySource, layout: str) -> Item:
        array = source.array
        item: Item = {
            "kind": "array",
            "buffer": len(self.buffers),
            "dtype": source.dtype,
            "shape": list(array.shape),
            "layout": layout,
            "origin": source.origin,
        }
        if not array.flags.c_contiguous:
            axes = dense_axes(array)
            if axes is not None:
                item["axes"] = list(axes)
                array = array.transpose(axes)
        if source.masked:
            item["masked"] = True
        self.buffers.append(array)
        return item

    def _pil(self, source: PilSource) -> Item:
        item: Item = {
            "kind": "pil",
            "buffer": self._add(source.raw),
            "mode": source.mode,
            "size": [source.width, source.height],
            "origin": source.origin,
        }
        if source.palette is not None:
            mode, palette = source.palette
            item["palette"] = {"mode": mode, "buffer": self._add(palette)}
        if source.icc is not None:
            item["icc"] = self._add(source.icc)
        if source.transparency is not None:
            told = source.transparency
            item["transparency"] = list(told) if isinstance(told, tuple) else told
        return item

    def _add(self, buffer: bytes | memoryview) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1


def dense_axes(array: Array) -> tuple[int, ...] | None:
    """Return the axis order in which the array is C-contiguous; None when it has gaps or runs backwards."""
    axes = tuple(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))
    return axes if array.transpose(axes).flags.c_contiguous else None


def _split(source: ArraySource, layout: str) -> Sequence[ArraySource]:
    """View a batch as its single images; surplus axes of length 1 go."""
    array = source.array
    if array.ndim != len(layout):
        kept = kept_axes(array.shape, layout)
        array = array[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))]
    return [ArraySource(one, source.dtype, source.origin, source.masked) for one in array]


def _deal(options: Mapping[str, Any], count: int) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Part the options that every image shares from those that are dealt out one by one."""
    shared: dict[str, Any] = {}
    dealt: dict[str, Sequence[Any]] = {}
    for name, value in options.items():
        if name not in PER_IMAGE_OPTIONS or not isinstance(value, (list, tuple)):
            shared[name] = value
        elif len(value) != count:
            raise InputError(f"got {len(value)} entries in {name} for {count} images, expected one each")
        else:
            dealt[name] = value
    return shared, dealt


def _raw(data: object) -> object:
    return data._content if isinstance(data, Image) else data
