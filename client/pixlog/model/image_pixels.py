"""The pixels that an image will have once it is saved, worked out here instead of in the daemon.

Only ``Image.image`` and comparing images need them, so this module and Pillow are loaded at the first use.  The range
rules are ``pixlog.pixels``'; what is left is the order of steps, which a test holds equal to the daemon's.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.capture import ArraySource, EncodedSource, PilSource, Source
from pixlog.capture.source import Array
from pixlog.errors import InputError, InputFileError, InputTypeError, RunError
from pixlog.model.content import Content
from pixlog.model.plain import Plain
from pixlog.pixels import wandb_rules
from pixlog.pixels.arrange import densify, to_image
from pixlog.pixels.grid import MAX_COLUMN_COUNT, make_grid
from pixlog.pixels.ranges import check_range_choice, to_uint8
from pixlog.pixels.samples import Samples, read_samples
from pixlog.reading.decoding import pillow

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_WITH_ALPHA: Final = {"1": "LA", "L": "LA", "RGB": "RGBA"}
_LOSSY: Final = {"jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}


def pil_image_of(content: Content) -> PilImage | None:
    """Return the pixels as a PIL image; None where they are not here: references and earlier images.

    Raises ``MissingExtra`` without Pillow, ``InputError`` for a batch that is not one image and for a conversion that
    Pillow does not have, ``InputFileError`` for a file that does not decode.
    """
    source, options = content.source, content.options
    if isinstance(source, EncodedSource):
        return _decode(bytes(source.data))
    if isinstance(source, ArraySource):
        picture = _of_array(source, content)
    elif isinstance(source, PilSource):
        picture = _of_pil(source, content)
    else:
        return None
    return _after_encoding(picture, options)


def wandb_uint8(source: Source) -> npt.NDArray[np.uint8]:
    """Apply the array rule of wandb.Image 0.18.0 to an array of any shape."""
    if not isinstance(source, ArraySource):
        raise InputTypeError("to_uint8 got something else than an array, expected a numeric array")
    array = source.array
    if not array.size:
        raise InputError(f"to_uint8 got an empty array of shape {array.shape}, expected at least one value")
    levels = wandb_rules.array_to_uint8(_samples(source)).levels
    return np.array(levels).reshape(array.shape)


def same_pixels(one: PilImage | None, other: PilImage | None) -> bool:
    """Whether two images have the same size and the same pixel values, band for band; modes may differ."""
    if one is None or other is None:
        return one is other
    if one.size != other.size or len(one.getbands()) != len(other.getbands()):
        return False
    return np.array_equal(_values(one), _values(other))


def _values(image: PilImage) -> Array:
    values: Array = np.asarray(image)
    return values.astype(np.uint8) * 255 if values.dtype == np.bool_ else values


def _decode(data: bytes) -> PilImage:
    try:
        image: PilImage = pillow().open(BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, RunError) as exc:
        raise InputFileError(f"an image file of {len(data)} bytes does not decode: {exc}") from exc
    return image


def _of_array(source: ArraySource, content: Content) -> PilImage:
    options, decision = content.options, content.decision
    assert decision is not None  # every array has a layout
    wandb = content.checked_as == "wandb"
    tensor = source.origin == "torch"
    grid = options.get("grid")
    if content.batch_count is not None and not grid and not (wandb and tensor and grid is None):
        raise InputError(
            f"a batch of {content.batch_count} images has no one image: log a list, or pass grid=True"
        )
    array = source.array
    levels = _levels(
        _samples(source), options, wandb=wandb, tensor=tensor, image_count=content.batch_count or 1
    )
    pixels = to_image(levels, array.shape, None, decision.layout)
    if content.batch_count is not None:
        pixels = make_grid(pixels, MAX_COLUMN_COUNT if isinstance(grid, bool) or grid is None else grid)
    if options.get("color") in ("BGR", "BGRA"):
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    pixels = densify(pixels)
    if wandb and tensor and pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    image = _from_array(pixels)
    mode = options.get("mode")
    return image if mode is None or (wandb and tensor) else _in_mode(image, mode)


def _samples(source: ArraySource) -> Samples:
    dense = np.ascontiguousarray(source.array)
    return read_samples(dense.reshape(-1).view(np.uint8).data, source.dtype, math.prod(dense.shape))


def _levels(
    samples: Samples, options: dict[str, Plain], *, wandb: bool, tensor: bool, image_count: int
) -> Array:
    if options.get("depth") == "keep" and samples.name not in ("bool", "uint8"):
        return _deep(samples)
    normalize, value_range = options.get("normalize"), options.get("value_range")
    if wandb and normalize is None and value_range is None:
        rule = wandb_rules.tensor_to_uint8 if tensor else wandb_rules.array_to_uint8
        return rule(samples).levels
    choice = check_range_choice(normalize, value_range)
    return to_uint8(samples, choice, is_tensor=tensor, image_count=image_count).levels


def _deep(samples: Samples) -> Array:
    """Return the values that ``depth="keep"`` stores."""
    if samples.name == "uint16":
        return samples.flat.astype(np.uint16, copy=False)
    return np.concatenate([values for _, _, values in samples.chunks()])


def _of_pil(source: PilSource, content: Content) -> PilImage:
    module, wandb = pillow(), content.checked_as == "wandb"
    if source.mode == "F" and not wandb and content.options.get("depth") != "keep":
        samples = read_samples(source.raw, "<f4", source.width * source.height)
        levels = _levels(samples, content.options, wandb=False, tensor=False, image_count=1)
        return _from_array(levels.reshape(source.height, source.width))
    image: PilImage = module.frombytes(source.mode, (source.width, source.height), source.raw)
    if source.palette is not None:
        mode, palette = source.palette
        image.putpalette(palette, mode)
    if source.transparency is not None and not wandb:
        image = _with_transparency(image, source.transparency)
    if source.mode == "I":  # saved with 16 bits
        image = _from_array(np.clip(np.asarray(image), 0, 65535).astype(np.uint16))
    wanted = content.options.get("mode")
    return image if wanted is None or wandb else _in_mode(image, wanted)


def _with_transparency(image: PilImage, told: int | tuple[int, ...]) -> PilImage:
    if image.mode == "P":
        image.info["transparency"] = bytes(told) if isinstance(told, tuple) else told
    elif image.mode in _WITH_ALPHA:
        image.info["transparency"] = told
        image = image.convert(_WITH_ALPHA[image.mode])
    return image


def _from_array(pixels: Array) -> PilImage:
    module = pillow()
    height, width = pixels.shape[:2]
    if pixels.dtype == np.uint16:
        mode, pixels = "I;16", pixels.astype("<u2", copy=False)
    elif pixels.dtype.kind == "f":
        mode = "F"
    else:
        mode = {2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]] if pixels.ndim == 3 else "L"
    image: PilImage = module.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes())
    return image


def _in_mode(image: PilImage, mode: str) -> PilImage:
    if image.mode == mode:
        return image
    try:
        return image.convert(mode)
    except (ValueError, KeyError, OSError) as exc:
        raise InputError(f"got mode={mode!r}, expected a mode that {image.mode} converts to: {exc}") from exc


def _after_encoding(image: PilImage, options: dict[str, Plain]) -> PilImage:
    """Return what a lossy file type leaves of the image."""
    kind = _LOSSY.get(options.get("file_type", "png"))
    if kind is None or options.get("lossless"):
        return image
    if kind == "JPEG" and image.mode in ("RGBA", "LA"):
        image = _flattened(image, tuple(options.get("background", (255, 255, 255))))
    settings: dict[str, Any] = {"quality": options["quality"]} if "quality" in options else {}
    encoded = BytesIO()
    try:
        image.save(encoded, kind, **settings)
    except (OSError, ValueError, KeyError) as exc:
        raise InputError(f"an image of mode {image.mode} cannot be saved as {kind}: {exc}") from exc
    return _decode(encoded.getvalue())


def _flattened(image: PilImage, background: tuple[int, ...]) -> PilImage:
    below: PilImage = pillow().new("RGB", image.size, background)
    below.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return below if image.mode == "RGBA" else below.convert("L")
