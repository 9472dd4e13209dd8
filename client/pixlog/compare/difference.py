"""What two images that belong together differ by, and a picture of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pixlog.compare.metrics import (
    WINDOW_PX,
    absolute_difference,
    default_data_range,
    mean_squared_error,
    psnr_db,
    structural_similarity,
)
from pixlog.compare.pairing import ImagePair
from pixlog.errors import RunError
from pixlog.reading.decoding import pillow
from pixlog.reading.saved_image import SavedImage

if TYPE_CHECKING:
    from PIL import Image as pil_image

State = Literal["same", "differs", "size", "dtype", "absent", "unreadable"]

_GRAY: Final = 1
_GRAY_ALPHA: Final = 2


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """How two images that belong together differ.

    ``state`` is ``same`` or ``differs`` where both could be compared; ``size`` and ``dtype`` where these differ,
    ``absent`` where one side has no such image, ``unreadable`` where a file is missing or damaged: ``note`` says
    the rest of it, and the numbers are None.
    """

    key_a: str
    key_b: str
    step: int
    rank: int
    turn: int
    """Number of the row among those of its key, step and rank."""
    index: int
    """Number of the image in its row."""
    state: State
    note: str = ""
    mse: float | None = None
    """Mean squared error, in squares of the stored values."""
    psnr_db: float | None = None
    """Peak signal-to-noise ratio in dB; infinite for images that are the same."""
    ssim: float | None = None
    """Mean structural similarity; None for images below 11×11 pixels or with values that are not finite."""
    max_abs: float | None = None
    """Largest difference of two samples."""
    data_range: float | None = None
    """The range of values that PSNR and SSIM were computed for."""
    shape: tuple[int, ...] | None = None
    """Height, width and, unless gray, channels in which both were compared."""
    dtype: str | None = None
    a: SavedImage | None = None
    b: SavedImage | None = None

    @property
    def is_compared(self) -> bool:
        """Whether there are numbers."""
        return self.state in ("same", "differs")

    def picture(self, gain: float = 1.0) -> pil_image.Image:
        """Return |a − b| · gain as an 8-bit PIL image, gray or RGB; raise ``RunError`` where nothing was compared.

        A difference as large as ``data_range`` is white; for 8-bit images a level is a level.  A difference in
        alpha shows in all channels.
        """
        if self.a is None or self.b is None or self.data_range is None:
            raise RunError(f"{self.key_a!r} step {self.step} has no difference to show: {self.note}")
        difference = absolute_difference(*_common_channels(self.a.array(), self.b.array()))
        levels = np.nan_to_num(difference * (255 * gain / self.data_range), nan=255, posinf=255)
        levels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        if levels.ndim == 3 and levels.shape[2] in (2, 4):
            levels = np.maximum(levels[..., :-1], levels[..., -1:])
        if levels.ndim == 3 and levels.shape[2] == 1:
            levels = levels[..., 0]
        picture: pil_image.Image = pillow().fromarray(levels)
        return picture

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can say of it; an infinite PSNR is the string ``"inf"``."""
        return {
            "key": self.key_a,
            "key_b": self.key_b,
            "step": self.step,
            "rank": self.rank,
            "turn": self.turn,
            "index": self.index,
            "state": self.state,
            "note": self.note,
            "mse": _for_json(self.mse),
            "psnr_db": _for_json(self.psnr_db),
            "ssim": self.ssim,
            "max_abs": _for_json(self.max_abs),
            "data_range": self.data_range,
            "shape": None if self.shape is None else list(self.shape),
            "dtype": self.dtype,
            "path_a": _path(self.a),
            "path_b": _path(self.b),
        }

    def __repr__(self) -> str:
        where = f"{self.key_a!r} step={self.step} rank={self.rank} index={self.index}"
        if not self.is_compared:
            return f"<ImageDiff {where} {self.state}: {self.note}>"
        ssim = "" if self.ssim is None else f" ssim={self.ssim:.4f}"
        return f"<ImageDiff {where} mse={self.mse:.6g} psnr_db={self.psnr_db:.2f}{ssim} max_abs={self.max_abs:g}>"


def compare_pair(pair: ImagePair, keys: tuple[str, str], data_range: float | None) -> ImageDiff:
    """Decode and measure one pair."""
    known: dict[str, Any] = {
        "key_a": keys[0],
        "key_b": keys[1],
        "step": pair.step,
        "rank": pair.rank,
        "turn": pair.turn,
        "index": pair.index,
        "a": pair.a,
        "b": pair.b,
    }
    if pair.a is None or pair.b is None:
        return ImageDiff(**known, state="absent", note=pair.absent)
    try:
        a, b = pair.a.array(), pair.b.array()
    except RunError as error:
        return ImageDiff(**known, state="unreadable", note=str(error))
    if a.shape[:2] != b.shape[:2]:
        note = f"A is {_size(a)}, B is {_size(b)} pixels"
        return ImageDiff(**known, state="size", note=note)
    if a.dtype != b.dtype:
        return ImageDiff(**known, state="dtype", note=f"A is {a.dtype}, B is {b.dtype}")
    a, b = _common_channels(a, b)
    return ImageDiff(**known, **_measured(a, b, data_range), shape=a.shape, dtype=str(a.dtype))


def _measured(a: npt.NDArray[Any], b: npt.NDArray[Any], data_range: float | None) -> dict[str, Any]:
    wanted_range = default_data_range(a, b) if data_range is None else data_range
    difference = absolute_difference(a, b)
    max_abs = float(difference.max(initial=0))
    if max_abs == 0:
        return {
            "state": "same",
            "mse": 0.0,
            "psnr_db": math.inf,
            "ssim": 1.0,
            "max_abs": 0.0,
            "data_range": wanted_range or 1.0,
        }
    notes, ssim = [], None
    is_finite = np.isfinite(difference)
    if not is_finite.all():
        notes.append(
            f"not finite on one side: {np.count_nonzero(~is_finite):,} values, left out of MSE and PSNR"
        )
        difference = difference[is_finite]
        max_abs = math.inf
    elif not (np.isfinite(a).all() and np.isfinite(b).all()):
        notes.append("no SSIM: values that are not finite")
    elif min(a.shape[:2]) < WINDOW_PX:
        notes.append(f"no SSIM below {WINDOW_PX}×{WINDOW_PX} pixels")
    else:
        ssim = structural_similarity(a, b, data_range=wanted_range)
    mse = mean_squared_error(difference) if difference.size else None
    return {
        "state": "differs",
        "note": "; ".join(notes),
        "mse": mse,
        "psnr_db": None if mse is None else psnr_db(mse, wanted_range),
        "ssim": ssim,
        "max_abs": max_abs,
        "data_range": wanted_range,
    }


def _common_channels(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Give both the channels of the richer one: gray is equal red, green and blue, and no alpha is opaque."""
    if a.shape == b.shape:
        return a, b
    counts = [1 if image.ndim == 2 else image.shape[2] for image in (a, b)]
    in_color, has_alpha = max(counts) > _GRAY_ALPHA, any(count in (2, 4) for count in counts)
    return _with_channels(a, in_color, has_alpha), _with_channels(b, in_color, has_alpha)


def _with_channels(image: npt.NDArray[Any], in_color: bool, has_alpha: bool) -> npt.NDArray[Any]:
    image = image[..., None] if image.ndim == 2 else image
    has_own_alpha = image.shape[2] in (2, 4)
    values = image[..., :-1] if has_own_alpha else image
    if in_color and values.shape[2] == _GRAY:
        values = np.repeat(values, 3, axis=2)
    if not has_alpha:
        return values
    if has_own_alpha:
        return np.concatenate([values, image[..., -1:]], axis=2)
    opaque = np.full_like(values[..., :1], _opaque(image.dtype))
    return np.concatenate([values, opaque], axis=2)


def _opaque(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1


def _size(image: npt.NDArray[Any]) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"


def _path(image: SavedImage | None) -> str | None:
    return None if image is None else image.url or (image.file.relative_path if image.file else None)


def _for_json(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "inf" if value > 0 else "-inf"
