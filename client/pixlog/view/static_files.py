"""The page's own files, read from the package once and served by exact name."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

from starlette.responses import Response

from pixlog.view.guarded_files import FileGone

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class StaticFiles:
    """Every file of the folder ``static`` beside this module."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for file in (files("pixlog.view") / "static").iterdir():
            kind = _TYPES.get(file.name.rpartition(".")[2])
            if kind is not None:
                data = file.read_bytes()
                self._files[file.name] = (data, kind, f'"{hashlib.sha256(data).hexdigest()[:24]}"')

    def response(self, name: str, known_tag: str | None = None) -> Response:
        """Return a file; a short answer if the browser has it already.  Raises ``FileGone`` for other names."""
        if name not in self._files:
            raise FileGone(f"the page has no file {name!r}")
        data, kind, tag = self._files[name]
        headers = {"etag": tag, "cache-control": "no-cache"}
        if known_tag == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)
