"""Options are checked where they are made, and the deflate fallback needs no isal."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pixlog.errors import InputError
from pixlogd.encode import EncodeOptions, compiled, deflate, encode, huffman, plan, png
from pixlogd.rendering.picture import Picture


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file_type": "jp2"}, "file_type is 'jp2', expected one of png, jpg"),
        ({"file_type": "PNG"}, "file_type is 'PNG'"),
        ({"level": "best"}, "level is 'best', expected one of fast, small, pillow"),
        ({"quality": 0, "file_type": "jpg"}, "quality is 0, expected a whole number from 1 to 100"),
        ({"quality": 101, "file_type": "jpg"}, "quality is 101"),
        ({"quality": 7.5, "file_type": "webp"}, "quality is 7.5"),
        ({"quality": True, "file_type": "webp"}, "quality is True"),
        (
            {"lossless": True, "file_type": "jpg"},
            "lossless=True with file_type 'jpg', expected one of webp, png",
        ),
        ({"lossless": True, "file_type": "avif"}, "lossless=True with file_type 'avif'"),
        ({"background": (0, 0)}, "background is"),
        ({"background": (0, 0, 256)}, "background is"),
    ],
)
def test_options_refuse_what_no_encoder_understands(options: dict[str, Any], message: str) -> None:
    """The error names the option, its value and what was expected."""
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        EncodeOptions(**options)


def test_quality_without_effect_is_noted() -> None:
    """A quality asked of a lossless format does no harm, and is not passed over in silence."""
    encoded = encode(Picture(np.zeros((4, 4), np.uint8), "L"), EncodeOptions(quality=90))
    assert encoded.notes == ["quality=90 has no effect on png"]


@pytest.fixture
def without_isal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The encoder's modules loaded as if isal were not installed."""
    monkeypatch.setitem(sys.modules, "isal", None)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    for module in (huffman, deflate, plan, png):
        importlib.reload(module)
    yield
    monkeypatch.undo()
    for module in (huffman, deflate, plan, png):
        importlib.reload(module)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.usefixtures("without_isal")
def test_png_needs_no_isal(is_compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without isal, and without the compiled coder, every path falls back to zlib and keeps the pixels."""
    import io

    from PIL import Image

    assert not deflate.HAVE_ISAL
    if not is_compiled:
        monkeypatch.setattr(compiled, "library", None)
        assert deflate.encoder_names() == "NumPy, zlib"
    rng = np.random.default_rng(0)
    for pixels in (
        rng.integers(0, 256, (20, 20, 3), dtype=np.uint8),
        rng.integers(0, 256, (300, 200, 3), dtype=np.uint8),
        np.zeros((300, 200, 3), np.uint8),
    ):
        data = png.encode_png(Picture(pixels, "RGB"), level="fast")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
