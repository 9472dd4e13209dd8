"""``pixlog.Image``: pixels with everything that is to be stored beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pixlog.capture import EarlierSource
from pixlog.classes import Classes
from pixlog.content import Content, take_content
from pixlog.errors import InputTypeError
from pixlog.plain import Plain

if TYPE_CHECKING:
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

    * ``mode``: Pillow mode that an array is converted to; files, figures and PIL images keep theirs.
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

    def __init__(  # noqa: PLR0917 - the positions are wandb.Image's
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

    def __repr__(self) -> str:
        """Show size, format and caption."""
        size = f"{self.width}×{self.height} " if self._content.size else ""
        caption = f" {self.caption!r}" if self.caption is not None else ""
        return f"<pixlog.Image {size}{self.format or '?'}{caption}>"

    def _bind(self, receipt: Receipt, index: int) -> None:
        """Remember the row that this image was logged with; the client calls it."""
        self._receipt = receipt
        self._index = index
