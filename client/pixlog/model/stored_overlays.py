"""Where the boxes and masks of logged images were stored, as the manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from pixlog.errors import InputError, InputTypeError, RunError

if TYPE_CHECKING:
    from pixlog.model.image import Image
    from pixlog.reading.run import Run
    from pixlog.receipt import Receipt

WAIT_TIMEOUT_S: Final = 30.0

OverlayJson = dict[str, Any]


def stored_overlays(
    images: Sequence[Image], run: object, kind: Literal["boxes", "masks"], timeout_s: float = WAIT_TIMEOUT_S
) -> list[OverlayJson | None] | Literal[False]:
    """Return the JSON of each image's boxes or masks, None for an image without; False when none has any.

    ``run`` is the ``Client`` that logged the images or a ``Run`` of the same directory.  Waits up to ``timeout_s`` for
    images whose row is not written yet.  Raises ``InputError`` for an image that was not logged, and ``RunError`` for
    one that was not saved, or not in time.
    """
    if not any(_has(image, kind) for image in images):
        return False
    for image in images:
        if _has(image, kind):
            _await(_receipt_of(image, kind), timeout_s)
    reader = _reader(run)
    return [_read(reader, image, kind) if _has(image, kind) else None for image in images]


def _has(image: Image, kind: Literal["boxes", "masks"]) -> bool:
    overlays = image._content.overlays
    return bool(overlays.boxes if kind == "boxes" else overlays.masks)


def _receipt_of(image: Image, kind: str) -> Receipt:
    if image._receipt is None:
        raise InputError(f"{image!r} was not logged yet: its {kind} have no path before that")
    return image._receipt


def _await(receipt: Receipt, timeout_s: float) -> None:
    if not receipt.wait(timeout_s):
        raise RunError(f"{receipt!r} is still pending after {timeout_s:g} s: is the daemon alive?")
    if receipt.state != "saved":
        raise RunError(f"{receipt!r} was not saved, so its overlays have no path: {receipt.reason}")


def _reader(run: object) -> Run:
    from pixlog.reading.run import Run

    if isinstance(run, Run):
        return run
    run_dir = getattr(run, "run_dir", None)
    if run_dir is None:
        raise InputTypeError(f"run is of type {type(run).__name__}, expected a pixlog Client or Run")
    return Run(run_dir)


def _read(reader: Run, image: Image, kind: Literal["boxes", "masks"]) -> OverlayJson | None:
    receipt = _receipt_of(image, kind)
    rows = reader.rows(
        receipt.key, receipt.step, client=receipt.client, where=lambda row: row.seq == receipt.seq
    )
    row = next(iter(rows), None)
    if row is None or row.value is None:
        raise RunError(f"{reader.path} has no row for {receipt!r}: is it the run that it was logged to?")
    if kind in row.value:
        single: OverlayJson = row.value[kind]
        return single
    several = row.value.get(f"all_{kind}", ())
    return several[image._index] if image._index < len(several) else None
