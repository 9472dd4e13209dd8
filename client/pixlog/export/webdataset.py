"""``webdataset``: tar shards of samples, which ``webdataset`` and ``tar`` read in one stream.

A sample is the files whose names agree up to the first dot: the image as it is stored (``.png``), what is said of it
(``.json``: what it was logged as, caption, ``meta``, boxes, polygons, keypoints, names of the classes), and where there
are such its masks (``.mask.GROUP.png``) and the 8-bit rendering of an image that was kept deep (``.preview.png``).  A
shard is begun when the next sample would exceed its count or its size.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any, BinaryIO, Final

from pixlog.bytecount import parse_bytes
from pixlog.errors import InputError, RunError
from pixlog.export.file_names import FileNames, safe_word, suffix_of
from pixlog.export.image_facts import UNREADABLE, References, image_facts, json_bytes
from pixlog.export.media_bytes import media_bytes
from pixlog.export.selection import Selection
from pixlog.reading.picture_size import picture_size
from pixlog.reading.saved_image import SavedImage

_BLOCK_NBYTES: Final = tarfile.BLOCKSIZE
_DEFAULT_COUNT: Final = 10_000
_DEFAULT_NBYTES: Final = 1_000_000_000


def write(
    selection: Selection,
    target: Path,
    *,
    shard_count: int = _DEFAULT_COUNT,
    shard_size: int | str = _DEFAULT_NBYTES,
) -> None:
    """Write shards ``shard-000000.tar`` and on into the directory ``target``.

    A shard has at most ``shard_count`` samples and ``shard_size`` bytes (a number or text such as ``"300MB"``), but
    never less than one sample.  Raises ``InputError`` for a limit that is none.
    """
    try:
        shard_nbytes = parse_bytes(shard_size)
    except ValueError as error:
        raise InputError(f"shard_size: {error}") from None
    if shard_count < 1 or shard_nbytes < 1:
        raise InputError(f"a shard has 1 sample and 1 byte or more, got {shard_count} and {shard_nbytes}")
    target.mkdir()
    names = FileNames()
    references = References()
    with _Shards(target, shard_count, shard_nbytes) as shards:
        for image in selection.images(references=True):
            if image.file is None:
                references.add(image)
                continue
            stem = names.stem(image)
            try:
                members = _members(selection, image)
            except RunError as error:
                selection.leave_out(image, UNREADABLE, str(error))
                continue
            shards.add(stem, image.row.time, members)
    references.write(target)


def _members(selection: Selection, image: SavedImage) -> list[tuple[str, bytes]]:
    """Return the files of a sample: (what follows its name, bytes)."""
    assert image.file is not None
    members = [(suffix_of(image.file.relative_path), media_bytes(image.file))]
    facts = image_facts(image) | {"meta": image.meta}
    facts["width"], facts["height"] = picture_size(image) or (None, None)
    preview = image.preview
    if preview is not None:
        members.append((f".preview{suffix_of(preview.relative_path)}", media_bytes(preview)))
    masks: dict[str, Any] = {}
    labels = image.mask_labels
    for group, mask in image.masks.items():
        word = (
            safe_word(group).replace(".", "_").lower()
        )  # readers take what follows the first dot in lower case
        while any(entry["file"] == word for entry in masks.values()):
            word += "_"
        try:
            data = media_bytes(mask)
        except RunError as error:
            selection.leave_out_overlay(image, error)
            continue
        masks[group] = {"file": word, "class_labels": labels.get(group, {})}
        members.append((f".mask.{word}{suffix_of(mask.relative_path)}", data))
    for group, entry in masks.items():
        entry["file"] = f"mask.{entry['file']}{suffix_of(image.masks[group].relative_path)}"
    overlays = {
        "masks": masks,
        **{role: selection.groups(image, role) for role in ("boxes", "polygons", "keypoints")},
    }
    facts |= {name: groups for name, groups in overlays.items() if groups}
    if image.classes:
        facts["classes"] = image.classes
    members.append((".json", json_bytes(facts)))
    return members


class _Shards:
    """Writes samples into one shard after the other."""

    def __init__(self, directory: Path, count: int, nbytes: int) -> None:
        self._directory = directory
        self._most = (count, nbytes)
        self._shard_number = -1
        self._count = self._nbytes = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_shard()

    def add(self, stem: str, unix_s: float, members: list[tuple[str, bytes]]) -> None:
        """Append one sample."""
        blocks: list[bytes] = []
        for suffix, data in members:
            member = tarfile.TarInfo(f"{stem}{suffix}")
            member.size, member.mtime, member.mode = len(data), max(int(unix_s), 0), 0o644
            blocks += [member.tobuf(tarfile.PAX_FORMAT), data, bytes(-len(data) % _BLOCK_NBYTES)]
        nbytes = sum(map(len, blocks))
        if self._file is None or self._count >= self._most[0] or self._nbytes + nbytes > self._most[1]:
            self._end_shard()
            self._shard_number += 1
            self._file = (self._directory / f"shard-{self._shard_number:06d}.tar").open("xb")
        self._file.writelines(blocks)
        self._count += 1
        self._nbytes += nbytes

    def _end_shard(self) -> None:
        if self._file is not None:
            with self._file as file:
                file.write(bytes(2 * _BLOCK_NBYTES))
        self._file, self._count, self._nbytes = None, 0, 0
