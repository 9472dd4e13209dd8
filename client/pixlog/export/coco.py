"""``coco``: images, and their overlays as ``annotations.json``, which pycocotools and most trainers of detectors read.

Images lie in ``images`` by key, and in ``previews`` the 8-bit renderings of those that were kept deep.  What COCO has
no field for (key, step, rank, caption, ``meta``; group and scores of an overlay) stands beside its fields under its own
name, where readers of COCO pass over it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pixlog.errors import RunError
from pixlog.export.coco_annotations import Annotator
from pixlog.export.file_names import FileNames, suffix_of
from pixlog.export.image_facts import UNREADABLE, References, image_facts, json_bytes
from pixlog.export.media_bytes import Folder
from pixlog.export.selection import Selection
from pixlog.reading.picture_size import picture_size
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import MediaFile


def write(selection: Selection, target: Path, *, group: str | Iterable[str] | None = None) -> None:
    """Write the directory ``target``.

    ``group`` names the overlays that become annotations, such as only those of the truth; by default all do.  The ids
    of images depend on the rows alone, so that exports of other groups of the same rows fit together.
    """
    target.mkdir()
    groups = None if group is None else {group} if isinstance(group, str) else set(group)
    annotator = Annotator(selection, groups)
    names, references = FileNames(), References()
    folder = Folder(target)
    image_id = annotation_id = 0
    parts = target / "images.part", target / "annotations.part"
    with parts[0].open("xb") as images, parts[1].open("xb") as annotations:
        for image in selection.images(references=True):
            if image.file is None:
                references.add(image)
                continue
            image_id += 1
            stem = names.stem(image)
            name = f"{stem}{suffix_of(image.file.relative_path)}"
            wanted: list[tuple[str, MediaFile]] = [(f"images/{name}", image.file)]
            try:
                entry = _image(image, image_id, name)
                if (preview := image.preview) is not None:
                    entry["preview_file_name"] = f"previews/{stem}{suffix_of(preview.relative_path)}"
                    wanted.append((entry["preview_file_name"], preview))
                folder.place(wanted)
            except RunError as error:
                selection.leave_out(image, UNREADABLE, str(error))
                continue
            found = annotator.annotations(image, entry["width"], entry["height"])
            images.write(b",\n" * (images.tell() > 0) + json_bytes(entry))
            for annotation in found:
                annotation_id += 1
                numbered = {"id": annotation_id, "image_id": image_id, **annotation}
                annotations.write(b",\n" * (annotations.tell() > 0) + json_bytes(numbered))
    _join(target / "annotations.json", selection, annotator, parts)
    references.write(target)


def _image(image: SavedImage, image_id: int, name: str) -> dict[str, Any]:
    size = picture_size(image)
    assert size is not None
    logged = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.row.time))
    entry = {"id": image_id, "file_name": name, "width": size[0], "height": size[1], "date_captured": logged}
    return entry | image_facts(image) | {"meta": image.meta}


def _join(path: Path, selection: Selection, annotator: Annotator, parts: tuple[Path, Path]) -> None:
    info = {"description": f"images of {selection.run.path.name}", "contributor": "pixlog"}
    with path.open("xb") as whole:
        whole.write(b'{"info":' + json_bytes(info) + b',"licenses":[],\n"categories":')
        whole.write(json_bytes(annotator.categories.to_json()))
        for name, part in zip((b"images", b"annotations"), parts, strict=True):
            whole.write(b',\n"' + name + b'":[\n')
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, whole)
            part.unlink()
            whole.write(b"]")
        whole.write(b"}\n")
