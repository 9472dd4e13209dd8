"""One logged image as ``Run.images`` yields it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.reading.class_labels import labels_by_id
from pixlog.reading.meta_numbers import with_numbers
from pixlog.reading.stored_media import ImageFile, MediaFile, overlay_files

if TYPE_CHECKING:
    from PIL import Image as pil_image

    from pixlog.reading.rows import Row


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image of a saved row.  Nothing of it is read from disk before it is asked for."""

    row: Row
    index: int
    """Number of the image in its row: 0 unless several were logged in one call."""
    url: str | None
    """Where the pixels are if they are not in the run: an image that was logged as a reference."""
    file: ImageFile | None
    """The stored file; None for a reference."""

    @property
    def path(self) -> Path:
        """Absolute path of the stored file; raises ``RunError`` for a reference, which has none."""
        return self._stored().path

    @property
    def caption(self) -> Any:
        """The caption as it was given, or None."""
        return _of_image(self.row.value, "caption", "captions", self.index)

    @property
    def masks(self) -> dict[str, ImageFile]:
        """Segmentation masks by group; a pixel's value is its class id."""
        return cast("dict[str, ImageFile]", dict(self._overlays("mask")))

    @property
    def boxes(self) -> dict[str, Any]:
        """Bounding boxes by group, each the logged ``{"box_data": [...], "class_labels": {...}}``."""
        return {group: file.json() for group, file in self._overlays("boxes").items()}

    @property
    def polygons(self) -> dict[str, Any]:
        """Polygons by group, as logged."""
        return {group: file.json() for group, file in self._overlays("polygons").items()}

    @property
    def keypoints(self) -> dict[str, Any]:
        """Keypoints by group, as logged."""
        return {group: file.json() for group, file in self._overlays("keypoints").items()}

    @property
    def preview(self) -> ImageFile | None:
        """The 8-bit rendering beside an image that was kept in 16 bits or floats, or None."""
        return next(iter(cast("dict[str, ImageFile]", self._overlays("preview")).values()), None)

    @property
    def meta(self) -> dict[str, Any]:
        """The ``meta`` of the call and of the image itself, which wins where both have an entry."""
        own = self.input.get("meta")
        return self.row.meta | with_numbers(own) if isinstance(own, dict) else self.row.meta

    @property
    def classes(self) -> list[dict[str, Any]]:
        """The ``classes`` given with the image, each with id and name; empty if none were."""
        given = self.input.get("classes")
        return [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []

    @property
    def mask_labels(self) -> dict[str, dict[int, str]]:
        """Names of the class ids in each mask group, where they are known."""
        records = self.input.get("masks")
        if not isinstance(records, dict):
            return {}
        return {
            group: labels_by_id(record["class_labels"])
            for group, record in records.items()
            if isinstance(record, dict) and record.get("class_labels")
        }

    @property
    def input(self) -> dict[str, Any]:
        """What was logged (dtype, shape, range) and the rule that made pixels of it."""
        given = self.row.input
        if isinstance(given, list):
            return given[self.index] if self.index < len(given) else {}
        return given or {}

    def pil(self) -> pil_image.Image:
        """Return the decoded file as a PIL image; needs Pillow."""
        return self._stored().pil()

    def array(self) -> npt.NDArray[Any]:
        """Return the pixels, (H, W) or (H, W, C), in the dtype they were stored with; needs Pillow."""
        return self._stored().array()

    def __repr__(self) -> str:
        where = self.url or (self.file.relative_path if self.file else None)
        row = self.row
        return f"<SavedImage {row.key!r} step={row.step} rank={row.rank} index={self.index} {where}>"

    def _repr_html_(self) -> str | None:
        from pixlog.notebook.displays import image_html

        return image_html(self)

    def _stored(self) -> ImageFile:
        if self.file is None:
            raise RunError(
                f"{self.row.key!r} step {self.row.step} is a reference to {self.url}: nothing is stored"
            )
        return self.file

    def _overlays(self, role: str) -> Mapping[str, MediaFile]:
        return overlay_files(self.row.files, index=self.index, role=role)


def images_of(row: Row) -> list[SavedImage]:
    """Return the images of a row, in the order in which they were logged; none unless it was saved."""
    if row.state != "saved":
        return []
    stored = {file.index: file for file in row.files if isinstance(file, ImageFile) and file.role == "image"}
    value = row.value
    images = []
    for index in sorted(stored.keys() | range(_named_count(value))):
        path = _of_image(value, "path", "filenames", index)
        is_reference = index not in stored and isinstance(path, str) and "://" in path
        if index in stored or is_reference:
            images.append(SavedImage(row, index, path if is_reference else None, stored.get(index)))
    return images


def _named_count(value: Any) -> int:
    """Return how many images a row's value names."""
    if not isinstance(value, dict):
        return 0
    names = value.get("filenames")
    return len(names) if isinstance(names, list) else "path" in value


def _of_image(value: Any, name: str, name_in_list: str, index: int) -> Any:
    """Return a field of image ``index`` from the row's value, for a single image or a list of them."""
    if not isinstance(value, dict):
        return None
    several = value.get(name_in_list)
    if isinstance(several, list):
        return several[index] if index < len(several) else None
    return value.get(name) if index == 0 else None
