"""Image files of a run that later calls point at: by receipt (``Image.ref``) or by equal content (``dedup``).

Nothing is kept of images that nobody points at.  An image is looked up by receipt in the manifest, once its call is
settled, and remembered while it is among the last that were asked for; contents are remembered from the first call
with ``dedup`` on, when those of earlier rows are read once.  A file is looked for before it is named again: the run
directory may have been removed, and begun again, meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pixlog.errors import InputError
from pixlogd.headers import CLIENT_ID
from pixlogd.rendering.media_file import EarlierFile, MediaFile
from pixlogd.rendering.render import StoredImage
from pixlogd.rundir.row_search import find_row, parse_row
from pixlogd.rundir.store import Placement

_REMEMBERED = 4096


class NotThereYet(Exception):
    """The image that a call points at is still on its way to the manifest."""


class StillToCome(NotThereYet):
    """The image that a call points at was logged, and this daemon has not been given it yet."""

    def __init__(self, client: str, seq: int) -> None:
        super().__init__(f"the earlier call {client}/{seq} is not in this run")
        self.client = client


class _Home(NamedTuple):
    """Where content that may be shared lives, or is about to."""

    path: str
    stored: bool = False
    placement: Placement | None = None


class Library:
    """The stored images of one run.  Called from worker threads.

    ``is_on_its_way`` says whether a call, by client and number, is accepted here and not yet in the manifest,
    ``is_still_to_come`` whether one that has no row may be accepted here yet, or get its row from another daemon.
    """

    def __init__(
        self,
        run_dir: Path,
        is_on_its_way: Callable[[str, int], bool],
        is_still_to_come: Callable[[str, int], bool],
    ) -> None:
        self._run_dir = run_dir
        self._is_on_its_way = is_on_its_way
        self._is_still_to_come = is_still_to_come
        self._lock = threading.Lock()
        self._by_call: OrderedDict[tuple[str, int], list[StoredImage]] = OrderedDict()
        self._homes: dict[tuple[str, str], _Home] | None = None

    def find(self, data: Mapping[str, Any]) -> StoredImage:
        """Return the image that item data of kind "ref" name; raises NotThereYet or InputError."""
        client, seq, index = data.get("client"), data.get("seq"), data.get("index", 0)
        if not isinstance(client, str) or type(seq) is not int or type(index) is not int:
            raise InputError(f"an earlier image is named by client, seq and index, got {dict(data)!r}")
        if not CLIENT_ID.fullmatch(client):
            raise InputError(
                f"an earlier image is one of a client of 16 hexadecimal digits, got {client!r:.60}"
            )
        images = self._images_of(client, seq)
        if not 0 <= index < len(images):
            raise InputError(
                f"the earlier call {client}/{seq} has {len(images)} saved images, asked for {index}"
            )
        image = images[index]
        if not self._is_there(image.path, image.placement):
            raise InputError(
                f"the image of the earlier call {client}/{seq} is not there any more: {image.path}"
            )
        return image

    def settle(self, media: MediaFile) -> MediaFile | EarlierFile:
        """Return where equal content lives: ``media`` at the first path that had it, or that stored file itself."""
        content = (media.sha256, Path(media.path).suffix)
        with self._lock:
            if self._homes is None:
                self._homes = self._read_homes()
            home = self._homes.setdefault(content, _Home(media.path))
            if home.stored and not self._is_there(home.path, home.placement):
                home = self._homes[content] = _Home(media.path)
        if home.stored:
            return EarlierFile(home.path, media.sha256, media.size, media.index, placement=home.placement)
        return replace(media, path=home.path)

    def on_stored(self, files: Sequence[MediaFile], placements: Sequence[Placement | None]) -> None:
        """Note that files are in their places, so that equal content need not be written again."""
        if self._homes is None:
            return
        with self._lock:
            for media, placement in zip(files, placements, strict=True):
                content = (media.sha256, Path(media.path).suffix)
                home = self._homes.get(content)
                # Not where it was to be: the call that was to put it there may have failed since.
                if home is not None and not home.stored:
                    self._homes[content] = _Home(media.path, True, placement)

    def _images_of(self, client: str, seq: int) -> list[StoredImage]:
        with self._lock:
            if (client, seq) in self._by_call:
                self._by_call.move_to_end((client, seq))
                return self._by_call[client, seq]
        if self._is_on_its_way(client, seq):
            raise NotThereYet
        row = find_row(self._run_dir, client, seq)
        if row is None and self._is_still_to_come(client, seq):
            raise StillToCome(client, seq)
        row = row or find_row(self._run_dir, client, seq)  # it may have come between the two looks
        if row is None:
            raise InputError(f"the earlier call {client}/{seq} is not in this run")
        images = list(_images_in(row))
        with self._lock:
            self._by_call[client, seq] = images
            while len(self._by_call) > _REMEMBERED:
                self._by_call.popitem(last=False)
        return images

    def _is_there(self, path: str, placement: Placement | None) -> bool:
        """Whether a stored file is still where it was; raises OSError when the disk does not tell."""
        try:
            os.stat(self._run_dir / (path if placement is None else placement["shard"]))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _read_homes(self) -> dict[tuple[str, str], _Home]:
        homes: dict[tuple[str, str], _Home] = {}
        for segment in sorted((self._run_dir / "manifest").glob("*.jsonl")):
            with segment.open("rb") as lines:
                for line in lines:
                    for image in _images_in(parse_row(line) or {}) if line.endswith(b"\n") else ():
                        content = (image.sha256, Path(image.path).suffix)
                        homes.setdefault(content, _Home(image.path, True, image.placement))
        return homes


def _images_in(row: Mapping[str, Any]) -> Iterator[StoredImage]:
    """Yield the images of a saved row; sizes that its value does not tell are None."""
    value = row.get("value") or {}
    for entry in row.get("files") or ():
        if entry["role"] != "image":
            continue
        first = entry["index"] == 0
        yield StoredImage(
            path=entry["path"],
            sha256=entry["sha256"],
            size=entry["size"],
            format=Path(entry["path"]).suffix[1:],
            width=value.get("width") if first else None,
            height=value.get("height") if first else None,
            placement={"shard": entry["shard"], "offset": entry["offset"]} if "shard" in entry else None,
        )
