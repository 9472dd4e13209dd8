"""One log call becomes the files and the value of its row.

Pure: no disk, no socket, no clock, so any number of calls can be rendered at once.  The value has exactly the shape
that W&B writes into its history, one image as "image-file", a list of images as "images/separated", plus "polygons"
and "keypoints" where used.  What that shape cannot say lies in ``input`` (one record for each image) and in the
files' roles, indices and groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from pixlog.errors import InputError
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.convert import Converted, convert
from pixlogd.convert.encoded import probe_encoded
from pixlogd.convert.fit import fit, fit_wandb
from pixlogd.encode import EncodeOptions, encode
from pixlogd.rendering.media_file import EarlierFile, MediaFile, Naming
from pixlogd.rendering.overlays import Overlays, render_overlays
from pixlogd.rendering.picture import Picture
from pixlogd.rundir.store import Placement

WANDB_MAX_ITEM_COUNT: Final = 108
_QUALITY_TYPES: Final = ("jpg", "jpeg", "webp", "avif")
_LOSSLESS_TYPES: Final = ("webp", "avif")
_WANDB_FILE_TYPES: Final = ("png", "jpg", "jpeg", "bmp")
_DEEP_FILE_TYPES: Final = {"F": ("tiff",), "I;16": ("png", "tiff")}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image file of an earlier row, for items that lay new overlays over it."""

    path: str
    sha256: str
    size: int
    format: str
    width: int | None
    height: int | None
    placement: Placement | None = None


class StoredImages(Protocol):
    """What rendering asks about images that the run has already."""

    def find(self, data: Mapping[str, Any]) -> StoredImage:
        """Return the image that item data of kind "ref" name."""

    def settle(self, media: MediaFile) -> MediaFile | EarlierFile:
        """Return where equal content lives."""


@dataclass(slots=True)
class Rendered:
    """The row's files in order, its ``value`` and ``input``, and notes for the user."""

    files: list[MediaFile | EarlierFile]
    value: dict[str, Any]
    input: dict[str, Any] | list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def new_files(self) -> list[MediaFile]:
        """The files that the store does not have yet."""
        return [file for file in self.files if isinstance(file, MediaFile)]


@dataclass(slots=True)
class _One:
    """One image of the call: its value as a single image would have it, its files and its record."""

    value: dict[str, Any]
    files: list[MediaFile | EarlierFile]
    input: dict[str, Any]
    notes: list[str]


def render(
    log: Mapping[str, Any],
    buffers: Sequence[memoryview],
    defaults: EncodeDefaults,
    stored: StoredImages | None = None,
) -> Rendered:
    """Render the call that the header ``log`` describes; ``buffers`` are only read.

    ``defaults`` are the encoding options of the key, over which each image's own win.  ``stored`` knows the
    images that an item of kind "ref" names and those that ``dedup`` may share.  Raises InputError when any image
    of the call cannot be rendered.
    """
    items = log["items"]
    contract = log.get("contract", "pixlog")
    naming = Naming(log["key"], log["step"], contract)
    if not log.get("list"):
        one = _render_one(items[0], buffers, defaults, naming, 0, stored)
        return Rendered(one.files, one.value, one.input, one.notes)
    notes: list[str] = []
    if contract == "wandb" and len(items) > WANDB_MAX_ITEM_COUNT:
        notes.append(
            f"only the first {WANDB_MAX_ITEM_COUNT} of {len(items)} images were kept (contract 'wandb')"
        )
        items = items[:WANDB_MAX_ITEM_COUNT]
    images: list[_One] = []
    for index, item in enumerate(items):
        try:
            images.append(_render_one(item, buffers, defaults, naming, index, stored))
        except InputError as exc:
            raise type(exc)(f"image {index} of {len(items)}: {exc}") from exc
    for image in images:
        notes += [note for note in image.notes if note not in notes]
    return Rendered(
        [file for image in images for file in image.files],
        _list_value(images, [item.get("caption") for item in items], contract),
        [image.input for image in images],
        notes,
    )


def _render_one(
    item: Mapping[str, Any],
    buffers: Sequence[memoryview],
    defaults: EncodeDefaults,
    naming: Naming,
    index: int,
    stored: StoredImages | None,
) -> _One:
    own = item.get("contract")
    if own is not None and own != naming.contract:
        naming = Naming(naming.key, naming.step, own)
    data = item["data"]
    kind = data.get("kind")
    if kind in ("array", "pil"):
        one = _render_pixels(item, buffers, defaults, naming, index, stored)
    elif kind == "encoded":
        one = _render_encoded(item, buffers, defaults, naming, index, stored)
    elif kind == "reference":
        one = _render_reference(data["url"])
    elif kind == "ref":
        one = _render_ref(data, stored, index)
    else:
        raise InputError(f"got image data of kind {kind!r}, expected array, pil, encoded, reference or ref")
    if len(item) == 1:
        return one  # the common call, without any option
    _add_labels(one.value, item, naming.contract)
    width, height = one.value.get("width"), one.value.get("height")
    size = None if width is None or height is None else (width, height)
    if any(item.get(name) for name in ("boxes", "masks", "polygons", "keypoints")):
        overlays = render_overlays(item, buffers, naming, index, size, _level(item, defaults))
        _add_overlays(one, overlays)
    for name in ("classes", "meta"):
        if item.get(name):
            one.input[name] = item[name]
    return one


def _render_pixels(
    item: Mapping[str, Any],
    buffers: Sequence[memoryview],
    defaults: EncodeDefaults,
    naming: Naming,
    index: int,
    stored: StoredImages | None,
) -> _One:
    converted = convert(item, buffers, contract=naming.contract)
    file_type = _file_type(item, defaults, naming.contract, converted)
    picture, notes = _fit(item, converted, file_type, naming.contract)
    options, option_notes = _options(item, defaults, file_type)
    encoded = encode(picture, options)
    media = _settle(naming.file(encoded.data, f".{file_type}", "image", index), item, defaults, stored)
    files: list[MediaFile | EarlierFile] = [media]
    if converted.preview is not None:
        preview = encode(converted.preview, EncodeOptions(level=options.level))
        files.append(naming.file(preview.data, ".png", "preview", index))
    value = _image_value(media, file_type, picture.width, picture.height)
    return _One(value, files, converted.input, [*converted.notes, *notes, *option_notes, *encoded.notes])


def _settle(
    media: MediaFile, item: Mapping[str, Any], defaults: EncodeDefaults, stored: StoredImages | None
) -> MediaFile | EarlierFile:
    """Let equal content share one file where that is wanted."""
    wanted = defaults.dedup if item.get("dedup") is None else item["dedup"]
    return stored.settle(media) if wanted and stored is not None else media


def _render_encoded(
    item: Mapping[str, Any],
    buffers: Sequence[memoryview],
    defaults: EncodeDefaults,
    naming: Naming,
    index: int,
    stored: StoredImages | None,
) -> _One:
    image = probe_encoded(item["data"], buffers)
    media = _settle(naming.file(image.data, image.suffix, "image", index), item, defaults, stored)
    notes = []
    if naming.contract != "wandb":
        ignored = [
            name for name in ("mode", "file_type", "normalize", "quality") if item.get(name) is not None
        ]
        if ignored:
            notes.append(
                f"{', '.join(ignored)} not applied: a file that is an image already is stored as it is"
            )
    return _One(_image_value(media, image.format, image.width, image.height), [media], image.input, notes)


def _render_reference(url: str) -> _One:
    last = urlsplit(url).path.rsplit("/", 1)[-1]
    value = {
        "_type": "image-file",
        "sha256": hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest(),
        "size": None,
        "path": url,
        "format": last.rsplit(".", 1)[-1],
    }
    return _One(value, [], {"kind": "reference", "url": url}, [])


def _render_ref(data: Mapping[str, Any], stored: StoredImages | None, index: int) -> _One:
    if stored is None:
        raise InputError(
            "got a reference to an image of an earlier row, expected pixels: it cannot be looked up"
        )
    image = stored.find(data)
    media = EarlierFile(image.path, image.sha256, image.size, index, placement=image.placement)
    value = _image_value(media, image.format, image.width, image.height)
    record = {"kind": "ref", "client": data["client"], "seq": data["seq"], "index": data.get("index", 0)}
    return _One(value, [media], record, [])


def _file_type(item: Mapping[str, Any], defaults: EncodeDefaults, contract: str, converted: Converted) -> str:
    """Return the literal file type: the item's own, else the key's default as far as the pixels allow it."""
    given = item.get("file_type")
    mode = converted.picture.mode
    deep = _DEEP_FILE_TYPES.get(mode, ("png",)) if converted.preview is not None else None
    if given is None:
        fallback = defaults.file_type
        if deep is not None:
            return fallback if fallback in deep else deep[0]
        return "png" if contract == "wandb" and fallback not in _WANDB_FILE_TYPES else fallback
    file_type = str(given)
    known = _WANDB_FILE_TYPES if contract == "wandb" else None
    if known is not None and file_type not in known:
        raise InputError(
            f"got file_type={file_type!r}, expected one of {', '.join(known)} (contract 'wandb')"
        )
    if deep is not None and file_type not in deep:
        raise InputError(
            f"got file_type={file_type!r} with depth='keep' for {converted.input['dtype']}, "
            f"expected {' or '.join(deep)}"
        )
    return file_type


def _fit(
    item: Mapping[str, Any], converted: Converted, file_type: str, contract: str
) -> tuple[Picture, list[str]]:
    picture = converted.picture
    if contract == "wandb" and converted.preview is None:
        is_tensor = item["data"].get("origin") == "torch"
        mode_given = item.get("mode") is not None and not is_tensor
        return fit_wandb(picture, file_type, from_array=converted.from_array, mode_given=mode_given)
    return fit(picture, file_type)


def _options(
    item: Mapping[str, Any], defaults: EncodeDefaults, file_type: str
) -> tuple[EncodeOptions, list[str]]:
    """Merge the item's options over the key's; options that the file type lacks are dropped and noted."""
    notes = []
    quality, lossless = defaults.quality, defaults.lossless
    if item.get("quality") is not None:
        quality = item["quality"]
        if file_type not in _QUALITY_TYPES:
            notes.append(f"quality={quality} has no effect on {file_type}")
    if item.get("lossless") is not None:
        lossless = item["lossless"]
        if lossless and file_type in ("jpg", "jpeg", "gif"):
            notes.append(f"lossless=True has no effect on {file_type}")
    background = item.get("background")
    if quality is defaults.quality and lossless is defaults.lossless and background is None:
        return _default_options(defaults, file_type, _level(item, defaults)), notes
    return EncodeOptions(
        file_type=file_type,
        level=_level(item, defaults),
        quality=quality if file_type in _QUALITY_TYPES else None,
        lossless=lossless if file_type in _LOSSLESS_TYPES else None,
        background=defaults.background if background is None else tuple(background),
    ), notes


@lru_cache(maxsize=256)
def _default_options(defaults: EncodeDefaults, file_type: str, level: str) -> EncodeOptions:
    """Return what the key's defaults come to; few combinations occur, and checking one takes longer than finding it."""
    return EncodeOptions(
        file_type=file_type,
        level=level,
        quality=defaults.quality if file_type in _QUALITY_TYPES else None,
        lossless=defaults.lossless if file_type in _LOSSLESS_TYPES else None,
        background=defaults.background,
    )


def _level(item: Mapping[str, Any], defaults: EncodeDefaults) -> str:
    return str(item.get("level") or defaults.level)


def _image_value(
    media: MediaFile | EarlierFile, file_format: str, width: int | None, height: int | None
) -> dict[str, Any]:
    return {
        "_type": "image-file",
        "sha256": media.sha256,
        "size": media.size,
        "path": media.path,
        "format": file_format,
        "width": width,
        "height": height,
    }


def _add_labels(value: dict[str, Any], item: Mapping[str, Any], contract: str) -> None:
    if item.get("grouping"):
        value["grouping"] = item["grouping"]
    caption = item.get("caption")
    if caption is not None and (contract != "wandb" or caption):
        value["caption"] = caption


def _add_overlays(one: _One, overlays: Overlays) -> None:
    one.value.update(overlays.value)
    one.files += overlays.files
    if overlays.masks_record:
        one.input["masks"] = overlays.masks_record


def _list_value(images: Sequence[_One], captions: Sequence[Any], contract: str) -> dict[str, Any]:
    """Return the "images/separated" value; its size and format are the first image's, as in W&B."""
    value: dict[str, Any] = {"_type": "images/separated"}
    if images:
        first = images[0].value
        value |= {"width": first.get("width"), "height": first.get("height"), "format": first["format"]}
    value["count"] = len(images)
    value["filenames"] = [image.value["path"] for image in images]
    deciding = captions[:1] if contract == "wandb" else captions
    if any(caption is not None for caption in deciding):
        value["captions"] = list(captions)
    for plural, name in (
        ("all_masks", "masks"),
        ("all_boxes", "boxes"),
        ("all_polygons", "polygons"),
        ("all_keypoints", "keypoints"),
    ):
        groups = [image.value.get(name) for image in images]
        if any(groups):
            value[plural] = groups
    return value
