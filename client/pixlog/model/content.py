"""What an image to log consists of, checked: source, options, overlays, classes and the layout of its array.

``Image`` keeps one of these; a log call that got raw data makes one in passing, which may share the caller's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pixlog.capture import ArraySource, EncodedSource, PilSource, ReferenceSource, Source, capture
from pixlog.capture.source import SOURCES
from pixlog.errors import InputError
from pixlog.model.classes import check_class_set, merge_classes
from pixlog.model.image_options import check_options
from pixlog.model.overlays import Overlays, take_overlays
from pixlog.model.plain import Plain, plain
from pixlog.pixels.layout import LayoutDecision, infer_layout, kept_axes

_ARRAYS_ONLY: Final = ("layout", "value_range", "grid")


@dataclass(frozen=True, slots=True)
class Content:
    """The parts of one image.

    ``class_set`` are the classes given with it, ``inherited`` the merged ones of the image it is a copy of.
    ``checked_as`` is the contract under which ``decision`` was made.
    """

    source: Source
    options: dict[str, Plain]
    overlays: Overlays
    class_set: list[dict[str, Plain]]
    inherited: list[dict[str, Plain]]
    decision: LayoutDecision | None
    checked_as: str

    @property
    def contract(self) -> str | None:
        """The contract given with the image; None leaves it to the client."""
        contract: str | None = self.options.get("contract")
        return contract

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the image, or of each of a batch; None where only decoding a file would tell."""
        source = self.source
        if isinstance(source, PilSource):
            return source.width, source.height
        if isinstance(source, EncodedSource):
            return source.size
        width, height = self._axis_length("W"), self._axis_length("H")
        return None if width is None or height is None else (width, height)

    @property
    def batch_count(self) -> int | None:
        """How many images a batch holds; None for a single image."""
        return self._axis_length("N")

    @property
    def format(self) -> str:
        """The file type it is stored as, or the suffix of its file or URL, without the dot."""
        if isinstance(self.source, EncodedSource):
            return self.source.suffix[1:]
        if isinstance(self.source, ReferenceSource):
            from urllib.parse import urlsplit

            return urlsplit(self.source.url).path.rpartition("/")[2].rpartition(".")[2]
        return str(self.options.get("file_type", "png"))

    def merged_classes(self) -> list[dict[str, Plain]]:
        """Return the classes of boxes, then masks, then the explicit ones; without any, the inherited ones."""
        return merge_classes(self.overlays.labels(), self.class_set) or self.inherited

    def layout_under(self, contract: str) -> LayoutDecision | None:
        """Return how the array is read under the client's contract, unless the image brought its own."""
        contract = self.contract or contract
        return self.decision if contract == self.checked_as else _decide(self.source, self.options, contract)

    def _axis_length(self, letter: str) -> int | None:
        if self.decision is None or not isinstance(self.source, ArraySource):
            return None
        layout = self.decision.layout
        at = layout.find(letter)
        if at < 0:
            return None
        shape = self.source.array.shape
        return int(shape[kept_axes(shape, layout)[at]])


def take_content(
    data: object,
    *,
    copy: bool,
    client_contract: str = "pixlog",
    caption: object = None,
    grouping: object = None,
    classes: object = None,
    boxes: object = None,
    masks: object = None,
    polygons: object = None,
    keypoints: object = None,
    **options: object,
) -> Content:
    """Check everything a user gave for one image.

    ``data`` is raw, a source, or the content of another image, whose overlays are left behind.  With ``copy`` the
    result shares no memory with the caller.  ``client_contract`` holds where the options name none.
    """
    given = check_options(**options) if options else {}
    if caption is not None:
        given["caption"] = plain(caption, "caption")
    if grouping is not None:
        given["grouping"] = plain(grouping, "grouping")
    class_set = [] if classes is None else check_class_set(classes, "classes")
    inherited: list[dict[str, Plain]] = []
    source: Source
    if isinstance(data, Content):
        given = _inherit(data.options, given)
        inherited = data.merged_classes()
        source = data.source
    elif isinstance(data, SOURCES):
        source = data
    else:
        source = capture(data, copy=copy)
    overlays = take_overlays(boxes=boxes, masks=masks, polygons=polygons, keypoints=keypoints, copy=copy)
    contract = given.get("contract", client_contract)
    decision = _decide(source, given, contract)
    content = Content(source, given, overlays, class_set, inherited, decision, contract)
    _check_options_fit(content)
    if overlays:
        _check_overlays_fit(content)
    return content


def _decide(source: Source, options: dict[str, Plain], contract: str) -> LayoutDecision | None:
    if not isinstance(source, ArraySource):
        return None
    return infer_layout(
        source.array.shape,
        origin=source.origin,
        dtype_kind=source.dtype_kind,
        layout=options.get("layout"),
        contract=contract,
    )


def _inherit(options: dict[str, Plain], given: dict[str, Plain]) -> dict[str, Plain]:
    """Return the options of a copy: the original's, with what is given in front."""
    merged = {**options, **given}
    if merged.get("contract") == "wandb":  # whose copies share the original's file
        for name in ("mode", "file_type"):
            merged.pop(name, None)
            if name in options:
                merged[name] = options[name]
    return merged


def _check_options_fit(content: Content) -> None:
    color = content.options.get("color")
    if isinstance(content.source, ArraySource):
        if color is not None and (channels := content._axis_length("C") or 1) != len(color):
            raise InputError(
                f"color={color!r} expects {len(color)} channels, got {channels} in shape {content.source.array.shape}"
            )
        return
    for name in _ARRAYS_ONLY:
        if name in content.options:
            raise InputError(
                f"{name}={content.options[name]!r} says how an array is read; this image is no array"
            )
    if color in ("BGR", "BGRA"):
        raise InputError(
            f"color={color!r} says how an array is read; PIL images and files know their own order"
        )


def _check_overlays_fit(content: Content) -> None:
    if content.batch_count is None:
        if content.checked_as != "wandb":  # which stores a mask of any size
            content.overlays.check_mask_sizes(content.size)
    elif not content.options.get("grid") and content.checked_as != "wandb":
        raise InputError(
            f"boxes, masks, polygons and keypoints belong to one image, got a batch of {content.batch_count}: "
            "log a list of images, or pass grid=True"
        )
