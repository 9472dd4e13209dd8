"""Whatever a decoder says about damaged bytes costs the image that they are of, and is told with its path."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import Image, features

import pixlog
from pixlog.compare.run_diff import diff
from pixlog.errors import RunError
from pixlog.reading.decoding import decode_image, size_of_image
from pixlog.reading.verify import verify
from written_runs import WrittenRun, encode, gray

PIXELS = gray(width=24, height=24)
_DAMAGED = ["avif", "bmp", "tiff"]


def _damaged(file_type: str) -> bytes:
    """Return a file in which one bit, or one number, is another: what the decoder raises is no common error."""
    if file_type == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = bytearray(encode(PIXELS, file_type))
    if file_type == "avif":
        data[data.index(b"mdat") + 4] ^= 255  # RuntimeError
    elif file_type == "bmp":
        data[18:26] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)  # MemoryError or OverflowError
    else:
        first = struct.unpack_from("<I", data, 4)[0]
        for number in range(struct.unpack_from("<H", data, first)[0]):
            at = first + 2 + 12 * number
            if struct.unpack_from("<H", data, at)[0] in (256, 257):  # width and height; MemoryError
                data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 2**31 - 1)
    return bytes(data)


def _image(written: WrittenRun, step: int, data: bytes, file_type: str) -> None:
    entry = written.media("k", step, data, file_type, role="image")
    value = {"_type": "image-file", **{name: entry[name] for name in ("path", "sha256", "size")}}
    written.row("k", step, value=value | {"format": file_type}, files=[entry])


@pytest.mark.parametrize("file_type", _DAMAGED)
def test_damaged_file_is_an_error_that_names_it(file_type: str) -> None:
    """The error of every reader is raised, not whatever the decoder of the format has."""
    with pytest.raises(RunError, match=r"^a/b does not decode: \S"):
        decode_image(_damaged(file_type), name="a/b")


@pytest.mark.parametrize("file_type", _DAMAGED)
def test_damaged_file_is_counted_by_verify_and_diff(tmp_path: Path, file_type: str) -> None:
    """Verify lists it, and a comparison says that it is unreadable and goes on."""
    runs = [WrittenRun(tmp_path / name) for name in "ab"]
    for written, data in zip(runs, (_damaged(file_type), encode(PIXELS, file_type)), strict=True):
        _image(written, 0, data, file_type)
        _image(written, 1, encode(PIXELS), "png")
    assert [failure.kind for failure in verify(tmp_path / "a").failures] == ["decode"]
    assert [pair.state for pair in diff(tmp_path / "a", tmp_path / "b", "k")] == ["unreadable", "same"]


@pytest.mark.parametrize("file_type", _DAMAGED)
@pytest.mark.parametrize("form", ["html", "gif", "contact-sheet", "coco", "imagefolder", "webdataset"])
def test_damaged_file_does_not_end_an_export(tmp_path: Path, form: str, file_type: str) -> None:
    """The image beside it is exported, whether the format draws pixels, asks for their size or only copies bytes."""
    written = WrittenRun(tmp_path / "run")
    _image(written, 0, _damaged(file_type), file_type)
    _image(written, 1, encode(PIXELS), "png")
    suffix = {"gif": ".gif", "contact-sheet": ".png"}.get(form, "")
    report = pixlog.export_run(written.path, form, tmp_path / f"out{suffix}")
    left_out = sum(report.counts.left_out.values())
    assert report.counts.images + left_out == 2
    assert report.counts.images >= 1


def test_damaged_file_above_pillows_limit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large image that is cut short is no other case than a small one."""
    data = encode(gray(width=40, height=30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(RunError, match="large does not decode"):
        decode_image(data[:-60], name="large")
    assert size_of_image(data, name="large") == (40, 30)


def test_head_that_says_more_pixels_than_any_file_has_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No room is made for pixels that the file cannot hold; the error says how many, and how few bytes there are."""
    data = bytearray(encode(PIXELS, "bmp"))
    data[18:26] = struct.pack("<ii", 2**14, 2**15)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were asked for"))
    with pytest.raises(RunError, match=rf"damaged and says 16384×32768 pixels in {len(data)} bytes"):
        decode_image(bytes(data), name="k")


def test_large_image_of_one_colour_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not believed is far from what a sound file has, be it as small as it can be."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "png")
    monkeypatch.setattr(Image.Image, "load", lambda self: None)
    assert decode_image(buffer.getvalue(), name="k").size == (20_000, 20_000)
