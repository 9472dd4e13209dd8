"""``pixlog.Image``: pixels with everything that is to be stored beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from pixlog.capture import ArraySource, EarlierSource, ReferenceSource, capture
from pixlog.errors import InputError, InputTypeError
from pixlog.model.classes import Classes
from pixlog.model.content import Content, take_content
from pixlog.model.plain import Plain

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image as PilImage

    from pixlog.client import Client
    from pixlog.reading.run import Run
    from pixlog.receipt import Receipt


class Image:
    """One image to log: pixels, caption, overlays, and how to store it.

    ``data_or_path`` is one of

    * an array or tensor (NumPy, torch, JAX, TensorFlow, CuPy, DLPack, anything with ``.numpy()`` or ``__array__``) of
      bool, integer or floating-point dtype, shaped (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels, or a batch of
      them with N in front.  Torch is channel-first, everything else channel-last, where both are possible;
    * a PIL image of any mode; a matplotlib figure, axes, artist or ``pyplot``, rendered now;
    * a path (``str``, ``Path``), ``bytes`` or an open binary file of an image: read now, stored byte for byte;
    * a ``gs://``, ``s3://``, ``http://`` or ``https://`` URL: recorded, not fetched;
    * another ``Image``: the same pixels, options, caption, grouping and classes, without its overlays.  What is given
      here wins, as in wandb.Image 0.18.0.

    Data is copied here, so the array may be reused at once.  Conversion and encoding happen in the daemon.

    Arguments of wandb.Image 0.18.0, positional in this order:

    * ``mode``: Pillow mode that an array, a figure or a PIL image is converted to (under the contract "wandb" a NumPy
      array alone); files keep theirs.
    * ``caption``: any JSON-able value.  ``grouping``: a number.
    * ``classes``: ``Classes``, or dicts with "id" and "name" (and "color").
    * ``boxes``, ``masks``: ``{group: BoundingBoxes2D or dict}``, ``{group: ImageMask or dict}``.
    * ``file_type``: "png" (default), "jpg", "jpeg", "bmp", "webp", "gif", "tiff" or "avif"; not for files.

    pixlog's own, by keyword:

    * ``normalize``: "auto", "none" (cast with clipping), "minmax" or "wandb"; ``value_range``: (low, high), mapped to
      0…255.  One of the two.
    * ``layout``: "HW", "HWC", "CHW", "NHWC" or "NCHW".  ``color``: "BGR" or "BGRA" swaps red and blue.
    * ``quality`` 1…100, ``lossless`` (webp, avif), ``level`` "fast", "small" or "pillow" (png).
    * ``background``: (r, g, b) or "#rrggbb", shows through transparent pixels of a jpg.
    * ``depth="keep"``: 16-bit integers and floats keep their depth, with an 8-bit preview.
    * ``grid``: True or a number of columns turns a batch into one image.
    * ``meta``: a JSON-able dict.  ``dedup``: store equal files once.
    * ``polygons``, ``keypoints``: groups of further shapes, see ``Polygons`` and ``Keypoints``.
    * ``contract``: "pixlog" or "wandb", else that of the client.

    Raises ``InputError`` (a ``ValueError``) for a value, shape or option that cannot be logged, ``InputTypeError``
    (also a ``TypeError``) for a wrong type, ``InputKeyError`` (also a ``KeyError``) for a missing dict entry, and
    the ``InputFileError`` family (also ``OSError``) for files.
    """

    MAX_DIMENSION: ClassVar[int] = 65500
    """The longest side that JPEG can hold, in pixels; as in W&B a constant, enforced by the encoder alone."""
    MAX_ITEMS: ClassVar[int] = 108
    """The longest list under ``contract="wandb"``; the default contract has no limit."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        data_or_path: object,
        mode: str | None = None,
        caption: object = None,
        grouping: int | None = None,
        classes: Classes | Sequence[Mapping[str, Any]] | None = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
        *,
        normalize: str | bool | None = None,
        value_range: Sequence[float] | None = None,
        layout: str | None = None,
        color: str | None = None,
        quality: int | None = None,
        lossless: bool | None = None,
        level: str | None = None,
        meta: Mapping[str, Any] | None = None,
        depth: str | None = None,
        background: Sequence[int] | str | None = None,
        grid: bool | int | None = None,
        dedup: bool | None = None,
        polygons: Mapping[str, Any] | None = None,
        keypoints: Mapping[str, Any] | None = None,
        contract: str | None = None,
    ) -> None:
        self._receipt: Receipt | None = None
        self._index = 0
        self._content: Content = take_content(
            data_or_path._content if isinstance(data_or_path, Image) else data_or_path,
            copy=True,
            mode=mode,
            caption=caption,
            grouping=grouping,
            classes=classes,
            boxes=boxes,
            masks=masks,
            file_type=file_type,
            normalize=normalize,
            value_range=value_range,
            layout=layout,
            color=color,
            quality=quality,
            lossless=lossless,
            level=level,
            meta=meta,
            depth=depth,
            background=background,
            grid=grid,
            dedup=dedup,
            polygons=polygons,
            keypoints=keypoints,
            contract=contract,
        )

    @classmethod
    def ref(cls, receipt: Receipt, index: int = 0, **options: Any) -> Image:
        """Make an image of pixels that were logged before, to store new overlays over them without sending them again.

        ``receipt`` is what logging them returned, ``index`` the image's place in a list.  ``options`` are those of the
        constructor that leave the pixels alone: caption, grouping, classes, boxes, masks, polygons, keypoints, meta.
        """
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise InputTypeError(
                f"Image.ref(index={index!r}), expected the place of an image in its list, from 0"
            )
        client, seq = getattr(receipt, "client", None), getattr(receipt, "seq", None)
        if not isinstance(client, str) or not isinstance(seq, int):
            raise InputTypeError(
                f"Image.ref got {type(receipt).__name__}, expected the Receipt of a log call"
            )
        return cls(EarlierSource(client, seq, index), **options)

    @property
    def format(self) -> str:
        """The file type it is stored as: the suffix of a file or URL without its dot, else ``file_type`` or "png"."""
        return self._content.format

    @property
    def caption(self) -> Plain:
        """The caption, in plain types; None without one."""
        return self._content.options.get("caption")

    @property
    def grouping(self) -> Plain:
        """The grouping; None without one."""
        return self._content.options.get("grouping")

    @property
    def width(self) -> int | None:
        """Columns in pixels; None where only decoding the file would tell."""
        return self._content.size[0] if self._content.size else None

    @property
    def height(self) -> int | None:
        """Rows in pixels; None where only decoding the file would tell."""
        return self._content.size[1] if self._content.size else None

    @property
    def classes(self) -> Classes | None:
        """The classes of boxes, masks and ``classes`` merged, as wandb.Image 0.18.0 merges them; None without any.

        Boxes come first, then masks, then ``classes``; a later name wins, the first occurrence fixes the position.
        Labels that nobody gave are "class_<id>" for the ids that occur.
        """
        merged = self._content.merged_classes()
        return Classes(merged) if merged else None

    @property
    def image(self) -> PilImage | None:
        """The pixels that are saved, as a PIL image made anew at each access; None for a reference.

        For a jpg, webp or avif these are the pixels that are left after encoding with Pillow.  Raises
        ``MissingExtra`` without Pillow, and ``InputError`` for a batch without ``grid``.
        """
        from pixlog.model.image_pixels import pil_image_of

        return pil_image_of(self._content)

    def guess_mode(self, data: object) -> str:
        """Return "L", "RGB" or "RGBA" for an array, by its shape alone; the rule of wandb.Image 0.18.0.

        (H, W) is "L", a last axis of 3 or 4 "RGB" or "RGBA".  The default contract also knows (H, W, 1).  Raises
        ``InputError`` for other shapes, ``InputTypeError`` for what is no array.
        """
        source = capture(data, copy=False)
        if not isinstance(source, ArraySource):
            raise InputTypeError(f"guess_mode got {type(data).__name__}, expected an array")
        shape = source.array.shape
        if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1 and self._content.contract != "wandb"):
            return "L"
        mode = {3: "RGB", 4: "RGBA"}.get(shape[-1]) if shape else None
        if mode is None:
            raise InputError(f"guess_mode got the shape {shape}, expected (H, W), (H, W, 3) or (H, W, 4)")
        return mode

    @classmethod
    def to_uint8(cls, data: object) -> npt.NDArray[np.uint8]:
        """Convert values to 8-bit levels with the rule of wandb.Image 0.18.0; shape kept, input unchanged.

        With any value below 0 the array is stretched from its minimum and maximum to [0, 1]; what is then at most 1
        everywhere is multiplied by 255; the rest is clipped to 0…255.  Fractions are cut off.  NaN becomes 0.
        Raises ``InputError`` for an empty array, ``InputTypeError`` for what is no numeric array.
        """
        from pixlog.model.image_pixels import wandb_uint8

        return wandb_uint8(capture(data, copy=False))

    @classmethod
    def all_captions(cls, images: Sequence[Image]) -> list[Plain] | Literal[False]:
        """Return the captions in order, None where missing; False if the *first* image has none.

        Looking at the first alone is wandb.Image 0.18.0's rule; logging keeps every caption under the default
        contract.  Raises ``InputError`` for an empty list.
        """
        if not images:
            raise InputError("all_captions got an empty list, expected at least one image")
        return False if images[0].caption is None else [image.caption for image in images]

    @classmethod
    def all_boxes(
        cls, images: Sequence[Image], run: Client | Run, run_key: str, step: int | str
    ) -> list[dict[str, Any] | None] | Literal[False]:
        """Return each image's stored boxes, None for an image without; False if none has any.

        An entry is ``{group: {"_type", "sha256", "size", "path"}}``, as the manifest has it.  The images
        must have been logged; the call waits up to 30 s until they are saved.  ``run`` is the client that logged them
        or a ``Run`` of the same directory; ``run_key`` and ``step`` are there for wandb.Image's signature.

        Raises ``InputError`` for an image that was not logged, ``RunError`` for one that was not saved.
        """
        from pixlog.model.stored_overlays import stored_overlays

        return stored_overlays(images, run, "boxes")

    @classmethod
    def all_masks(
        cls, images: Sequence[Image], run: Client | Run, run_key: str, step: int | str
    ) -> list[dict[str, Any] | None] | Literal[False]:
        """Return each image's stored masks, as ``all_boxes`` does the boxes."""
        from pixlog.model.stored_overlays import stored_overlays

        return stored_overlays(images, run, "masks")

    def __eq__(self, other: object) -> bool:
        """Compare grouping, caption, size, merged classes and decoded pixels, as wandb.Image 0.18.0 does.

        Overlays, formats and paths do not count; references compare by their URLs alone.
        """
        if not isinstance(other, Image):
            return False  # not NotImplemented: an array on the other side would compare element by element
        one, two = self._content, other._content
        if self is other:
            return True
        if isinstance(one.source, ReferenceSource) or isinstance(two.source, ReferenceSource):
            return one.source == two.source
        if isinstance(one.source, EarlierSource) or isinstance(two.source, EarlierSource):
            if one.source != two.source:
                return False
        elif one.size != two.size and one.size is not None and two.size is not None:
            return False
        if (self.grouping, self.caption) != (other.grouping, other.caption):
            return False
        if one.merged_classes() != two.merged_classes():
            return False
        from pixlog.model.image_pixels import same_pixels

        return same_pixels(self.image, other.image)

    def __repr__(self) -> str:
        """Show size, format and caption."""
        size = f"{self.width}×{self.height} " if self._content.size else ""
        caption = f" {self.caption!r}" if self.caption is not None else ""
        return f"<pixlog.Image {size}{self.format or '?'}{caption}>"

    def _bind(self, receipt: Receipt, index: int) -> None:
        """Remember the row that this image was logged with; the client calls it."""
        self._receipt = receipt
        self._index = index
