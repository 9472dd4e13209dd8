"""PIL images of every mode are taken apart so that they can be put together again."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageCms

from described_arrays import buffer_bytes
from pixlog.errors import InputError
from pixlog.model.describe import describe
from pixlog.model.image import Image

MODES = [
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "PA",
    "RGBX",
    "RGBa",
    "La",
]
MODES += ["I;16", "I;16B"]


def _picture(mode: str, size: tuple[int, int] = (5, 3)) -> PilImage.Image:
    count = len(PilImage.new(mode, size).tobytes())
    return PilImage.frombytes(
        mode, size, np.random.default_rng(0).bytes(count) if mode != "F" else bytes(count)
    )


def _rebuilt(described: Any) -> PilImage.Image:
    data = described.items[0]["data"]
    raw = [buffer_bytes(buffer) for buffer in described.buffers]
    picture = PilImage.frombytes(data["mode"], tuple(data["size"]), raw[data["buffer"]])
    if "palette" in data:
        picture.putpalette(raw[data["palette"]["buffer"]], data["palette"]["mode"])
    return picture


@pytest.mark.parametrize("mode", MODES)
def test_pil_image_of_every_mode_round_trips(mode: str) -> None:
    """Mode, size and raw bytes are enough to make the same image again."""
    picture = _picture(mode)
    described = describe(picture)
    assert described.items[0]["data"]["kind"] == "pil"
    rebuilt = _rebuilt(described)
    assert (rebuilt.mode, rebuilt.size, rebuilt.tobytes()) == (mode, picture.size, picture.tobytes())


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_pil_palette_travels_with_its_image(mode: str) -> None:
    """A palette image keeps its colours, and their transparency where the palette has any."""
    picture = PilImage.new("P", (4, 2))
    colours = [10, 20, 30, 40, 50, 60, 70, 80] if mode == "RGBA" else [10, 20, 30, 40, 50, 60]
    picture.putpalette(colours, mode)
    picture.putpixel((1, 1), 1)
    rebuilt = _rebuilt(describe(picture))
    assert rebuilt.convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()


def test_pil_colour_profile_is_kept() -> None:
    """The ICC profile goes along as a buffer of its own."""
    picture = _picture("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.info["icc_profile"] = profile
    described = describe(picture)
    assert bytes(described.buffers[described.items[0]["data"]["icc"]]) == profile


@pytest.mark.parametrize(
    ("mode", "told", "travels"),
    [
        ("1", 255, 255),
        ("L", 7, 7),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("P", 7, 7),
        ("P", b"\0\x80", [0, 128]),
        ("I;16", 40_000, 40_000),
        ("L", 256, None),
        ("L", "none", None),
        ("RGB", 7, None),
        ("P", b"", None),
        ("RGBA", (1, 2, 3), None),
    ],
)
def test_pil_transparent_colour_travels_with_its_image(mode: str, told: object, travels: object) -> None:
    """The transparent colour that an image was opened with goes along; what Pillow does not take there is left out."""
    picture = _picture(mode)
    picture.info["transparency"] = told
    assert describe(picture).items[0]["data"].get("transparency") == travels


def test_pil_image_opened_from_file_is_decoded(tmp_path: Path) -> None:
    """A lazily opened image is read at the call, so that closing and removing the file is harmless."""
    path = tmp_path / "a.png"
    _picture("RGB").save(path)
    with PilImage.open(path) as picture:
        image = Image(picture)
    path.unlink()
    assert buffer_bytes(describe(image).buffers[0]) == _picture("RGB").tobytes()


def test_pil_image_cut_off_raises_os_error(tmp_path: Path) -> None:
    """A truncated file raises Pillow's own error at construction."""
    encoded = BytesIO()
    _picture("RGB", (64, 64)).save(encoded, "png")
    with (
        PilImage.open(BytesIO(encoded.getvalue()[:500])) as picture,
        pytest.raises(OSError, match="truncated"),
    ):
        Image(picture)


def test_pil_image_changed_later_changes_nothing() -> None:
    """An Image made of a PIL image is a snapshot."""
    picture = PilImage.new("L", (4, 4), 7)
    image = Image(picture)
    picture.paste(9, (0, 0, 4, 4))
    assert set(buffer_bytes(describe(image).buffers[0])) == {7}


def test_pil_subclass_is_recognised() -> None:
    """A class from elsewhere that derives from PIL's is a PIL image."""

    class Tagged(PilImage.Image):
        pass

    picture = Tagged()
    picture.__dict__.update(_picture("L").__dict__)
    assert describe(picture).items[0]["data"]["mode"] == "L"


def test_pil_image_without_pixels_is_refused() -> None:
    """An image of no width is an error that says so."""
    with pytest.raises(InputError, match="0×4"):
        Image(PilImage.new("L", (0, 4)))
