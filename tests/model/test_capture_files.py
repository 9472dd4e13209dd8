"""Files, bytes and URLs: read at the call, told by their content, refused clearly."""

from __future__ import annotations

import os
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import NamedTemporaryFile, SpooledTemporaryFile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage
from PIL import features

from pixlog.capture import EncodedSource, ReferenceSource, capture
from pixlog.capture.sniff import sniff, sniff_type
from pixlog.errors import (
    InputFileDenied,
    InputFileError,
    InputFileIsDirectory,
    InputFileMissing,
    InputTypeError,
)
from pixlog.model.image import Image

SIZE = (37, 21)


def _encoded(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    PilImage.new(mode, SIZE, 3 if mode == "L" else (1, 2, 3)).save(file, kind, **options)
    return file.getvalue()


PNG = _encoded("png")


@pytest.mark.parametrize(
    ("kind", "options", "file_type"),
    [
        ("png", {}, "png"),
        ("jpeg", {}, "jpg"),
        ("jpeg", {"progressive": True}, "jpg"),
        ("gif", {}, "gif"),
        ("bmp", {}, "bmp"),
        ("webp", {}, "webp"),
        ("webp", {"lossless": True}, "webp"),
        ("webp", {"exif": b"Exif\0\0"}, "webp"),
        ("tiff", {}, None),
        ("ppm", {}, None),
        ("ico", {}, None),
        ("jpeg2000", {}, None),
    ],
)
def test_encoded_bytes_are_told_by_content(kind: str, options: dict[str, Any], file_type: str | None) -> None:
    """The first bytes tell the type of what Pillow writes, and for the common types the size."""
    if kind == "jpeg2000" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    data = _encoded(kind, **options)
    sniffed = sniff(data)
    if file_type is None:
        assert sniffed.file_type in ("tiff", "ppm", "ico", "jp2")
    else:
        assert sniffed == (file_type, SIZE)


def test_encoded_avif_is_told_by_content() -> None:
    """AVIF is told by its brand."""
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert sniff(_encoded("avif")).file_type == "avif"


@given(head=st.binary(max_size=40))
def test_sniff_survives_any_bytes(head: bytes) -> None:
    """No content makes telling it raise, whatever signature it begins with."""
    sniff(head)
    for signature in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM"):
        sniff(signature + head)


@pytest.mark.parametrize("text", [b"hello", b"BMI = 22", b"P5", b"", b"{}", b"%PDF-1.7", b"\x80\x04\x95"])
def test_other_content_is_no_image(text: bytes) -> None:
    """Text, JSON, PDF and pickles are told from images."""
    assert sniff_type(text) is None


@pytest.mark.parametrize("name", ["a.PNG", "b.tar.png", "noext", "c.jpg"])
def test_path_is_read_at_the_call(tmp_path: Path, name: str) -> None:
    """Bytes are those of the moment, and the suffix keeps its case, whatever the content is."""
    path = tmp_path / name
    path.write_bytes(PNG)
    for given_path in (path, str(path)):
        image = Image(given_path)
        path.write_bytes(b"overwritten")
        source = image._content.source
        assert isinstance(source, EncodedSource)
        assert (bytes(source.data), source.suffix, source.size) == (PNG, path.suffix, SIZE)
        assert image.format == path.suffix[1:]
        path.write_bytes(PNG)


@pytest.mark.parametrize(
    ("wrap", "kind"),
    [(bytes, "bytes"), (bytearray, "bytearray"), (memoryview, "memoryview"), (BytesIO, "BytesIO")],
)
def test_encoded_bytes_are_kept(wrap: Any, kind: str) -> None:
    """Bytes-like objects and BytesIO are stored byte for byte under the suffix of their content."""
    image = Image(wrap(PNG))
    source = image._content.source
    assert isinstance(source, EncodedSource)
    assert (bytes(source.data), source.suffix, image.format) == (PNG, ".png", "png")


def test_mutable_bytes_are_copied() -> None:
    """A bytearray that changes after the construction changes nothing; borrowed, it is not copied."""
    data = bytearray(PNG)
    image = Image(data)
    borrowed = capture(data, copy=False)
    data[-1] ^= 255
    assert isinstance(image._content.source, EncodedSource)
    assert bytes(image._content.source.data) == PNG
    assert isinstance(borrowed, EncodedSource)
    assert bytes(borrowed.data) == bytes(data)


def test_open_file_is_read_from_its_position(tmp_path: Path) -> None:
    """A binary file is read from where it stands, or from its start if it stands at the end; then put back."""
    path = tmp_path / "a.JPG"
    path.write_bytes(b"junk" + PNG)
    with path.open("rb") as file:
        file.seek(4)
        source = capture(file, copy=False)
        assert isinstance(source, EncodedSource)
        assert (source.data, source.suffix, file.tell()) == (PNG, ".JPG", 4)
    buffer = BytesIO()
    buffer.write(PNG)
    assert isinstance(capture(buffer, copy=False), EncodedSource)
    with SpooledTemporaryFile() as spooled, NamedTemporaryFile() as named:
        for written in (spooled, named):
            written.write(PNG)
            rewound = capture(written, copy=False)
            assert isinstance(rewound, EncodedSource)
            assert rewound.data == PNG


def test_refused_buffer_may_still_be_written() -> None:
    """Who keeps the error of a refused BytesIO, and so its traceback, does not keep the file from growing."""
    file = BytesIO(b"no image")
    with pytest.raises(InputFileError) as refusal:
        capture(file, copy=False)
    file.seek(0)
    file.write(b"something longer")
    assert refusal.traceback


def test_text_file_is_refused(tmp_path: Path) -> None:
    """A file opened as text says how to open it."""
    (tmp_path / "a.png").write_bytes(PNG)
    with (tmp_path / "a.png").open() as file, pytest.raises(InputTypeError, match="rb"):
        capture(file, copy=False)
    with pytest.raises(InputTypeError, match="text"):
        capture(StringIO("x"), copy=False)


def test_missing_path_raises_file_not_found(tmp_path: Path) -> None:
    """A path at which there is nothing raises the built-in class too, and says where it looked."""
    with pytest.raises(FileNotFoundError, match=r"no\.png") as caught:
        Image("no.png")
    assert isinstance(caught.value, InputFileMissing)
    assert os.getcwd() in str(caught.value)
    with pytest.raises(InputFileMissing):
        Image("")


def test_directory_raises_is_a_directory(tmp_path: Path) -> None:
    """A directory raises the built-in class too."""
    with pytest.raises(IsADirectoryError, match="directory") as caught:
        Image(tmp_path)
    assert isinstance(caught.value, InputFileIsDirectory)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_path_raises_permission_error(tmp_path: Path) -> None:
    """A file that may not be read raises the built-in class too."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"a\.png") as caught:
        Image(path)
    assert isinstance(caught.value, InputFileDenied)


@pytest.mark.parametrize(("content", "told"), [(b"", "empty"), (b"not an image at all", "b'not an i'")])
def test_path_without_image_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    """An empty file, and one that is no image, raise an OSError that says what was found."""
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for data in (path, content, BytesIO(content)):
        with pytest.raises(InputFileError) as caught:
            Image(data)
        assert isinstance(caught.value, OSError)
        assert told in str(caught.value)


def test_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    """A named pipe is refused instead of waiting for a writer."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputFileError, match="regular file"):
        Image(tmp_path / "pipe.png")


def test_impossible_paths_are_refused() -> None:
    """A null byte and an endless name are input errors."""
    with pytest.raises(ValueError, match="not a path"):
        Image("a\0b")
    with pytest.raises(InputFileError):
        Image("x" * 5000)


@pytest.mark.parametrize(
    ("url", "file_format"),
    [
        ("s3://bucket/a.tar.png", "png"),
        ("gs://bucket/a", "a"),
        ("http://host/a.jpg?x=1.5", "jpg"),
        ("https://host/", ""),
        ("https://host", ""),
    ],
)
def test_url_is_a_reference(url: str, file_format: str) -> None:
    """The four prefixes make references, whose format is what follows the last dot of the path's last segment."""
    image = Image(url)
    assert image._content.source == ReferenceSource(url)
    assert (image.format, image.width, image.image) == (file_format, None, None)


@pytest.mark.parametrize("text", ["ftp://h/a.png", "file:///a.png", "S3://b/a.png", " s3://b/a.png"])
def test_other_urls_are_paths(text: str) -> None:
    """Other schemes, capitals and leading spaces are ordinary paths, as in wandb.Image."""
    with pytest.raises(FileNotFoundError):
        Image(text)


def test_path_object_is_never_a_reference() -> None:
    """A Path that looks like a URL is a path."""
    with pytest.raises(FileNotFoundError):
        Image(Path("s3://bucket/a.png"))
