"""The viewer's web application: the page, and the API that it asks.

Rows go by their number within the open run; keys, captions and groups never become part of a path.  What belongs
to a row never changes, so media are cached by the browser for good, under a mark that each start makes anew.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import parse_qs, quote

import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixlog import __version__
from pixlog.errors import InputError, PixlogError
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import ImageFile, MediaFile, parse_json
from pixlog.view.expression import parse_expression
from pixlog.view.gate import Access, Gate
from pixlog.view.guarded_files import FileGone, FileRefused, content_type, read_guarded
from pixlog.view.open_runs import OpenRun
from pixlog.view.packing import json_bytes, pack
from pixlog.view.pictures import (
    mask_of,
    packed_values,
    picture_png,
    shown_file,
    stored_file,
    thumbnail_bytes,
    thumbnail_file,
)
from pixlog.view.row_json import overlays_json, row_json
from pixlog.view.static_files import StaticFiles
from pixlog.view.thumbnails import ThumbnailCache

THUMBNAIL_SIDES_PX: Final = (128, 256, 512, 1024)
_ROWS_AT_ONCE: Final = 256
_DEFLATE_FROM_NBYTES: Final = 4096
_FOREVER: Final = {"cache-control": "private, max-age=31536000, immutable"}
_FRESH: Final = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Viewer:
    """What the endpoints answer from."""

    runs: Sequence[OpenRun]
    thumbnails: ThumbnailCache
    static: StaticFiles
    start_mark: str
    """Differs at each start, because rows may be numbered anew."""

    @property
    def mark(self) -> str:
        """What a page knows by that the rows it has are still those of the runs."""
        return f"{self.start_mark}.{sum(run.run.revision for run in self.runs)}"

    async def page(self, request: Request) -> Response:
        return self.static.response("index.html", request.headers.get("if-none-match"))

    async def static_file(self, request: Request) -> Response:
        return self.static.response(request.path_params["name"], request.headers.get("if-none-match"))

    # Every other endpoint is an ordinary function: Starlette runs it in a thread, as it reads files.

    def state(self, request: Request) -> Response:
        runs = [{"name": run.name, "path": str(run.run.path), "rows": run.refresh()} for run in self.runs]
        return _json({"version": __version__, "mark": self.mark, "runs": runs})

    def changes(self, request: Request) -> Response:
        runs = [
            {"rows": run.refresh(), "daemon": run.daemon(), "problems": run.run.problems.total}
            for run in self.runs
        ]
        return _json({"mark": self.mark, "runs": runs})

    def table(self, request: Request) -> Response:
        run = self._run(request)
        table = run.run.table(_number(request, "from", 0))
        known_keys, known_clients = _number(request, "keys", 0), _number(request, "clients", 0)
        header = {
            "first": table.first,
            "keys": table.key_names[known_keys:],
            "clients": table.client_names[known_clients:],
        }
        arrays = {
            "key": table.key,
            "step": table.step.astype("f8"),
            "rank": table.rank,
            "state": table.state,
            "time": table.time,
        }
        return _packed(header, arrays, headers=_FRESH)

    def rows(self, request: Request) -> Response:
        numbers = _numbers(request, "ids")
        rows = self._run(request).run.rows_by_number(numbers).numbered()
        return _json([row_json(number, row) for number, row in rows])

    def linked(self, request: Request) -> Response:
        rows = self._run(request).linked(_number(request, "id"))
        return _json([row_json(number, row) for number, row in rows])

    def meta_names(self, request: Request) -> Response:
        return _json(self._run(request).scans.meta_names())

    def meta(self, request: Request) -> Response:
        first = _number(request, "from", 0)
        values = self._run(request).scans.meta(_text(request, "name"), first)
        return _packed({"first": first}, {"value": values}, headers=_FRESH)

    def matches(self, request: Request) -> Response:
        first = _number(request, "from", 0)
        values = self._run(request).scans.matches(_text(request, "where"), first)
        return _packed({"first": first}, {"match": values}, headers=_FRESH)

    def filter_error(self, request: Request) -> Response:
        try:
            parse_expression(_text(request, "where"))
        except InputError as error:
            return _json({"error": str(error)})
        return _json({"error": ""})

    def order(self, request: Request) -> Response:
        order = self._run(request).scans.order(_text(request, "by"))
        return _packed({}, {"order": order}, headers=_FRESH)

    def lengths(self, request: Request) -> Response:
        lengths = self._run(request).list_lengths(_text(request, "key"))
        columns = {"id": np.array(list(lengths), np.int32), "length": np.array([*lengths.values()], np.int32)}
        return _packed({}, columns, headers=_FRESH)

    def overlays(self, request: Request) -> Response:
        def read(file: MediaFile) -> Any:
            return parse_json(read_guarded(file), name=file.relative_path)

        return _json(overlays_json(self._image(request), read), headers=_FOREVER)

    def mask(self, request: Request) -> Response:
        file = self._file(request, self._image(request), "mask")
        if not isinstance(file, ImageFile):
            raise InputError(f"{file.relative_path} holds no mask")
        ids = mask_of(file)
        size = {"width": ids.shape[1], "height": ids.shape[0]}
        return _packed(size, {"ids": ids.ravel()}, headers=_FOREVER)

    def values(self, request: Request) -> Response:
        return _octets(packed_values(self._image(request)), headers=_FOREVER)

    def media(self, request: Request) -> Response:
        image = self._image(request)
        role = _text(request, "role", "image")
        file = stored_file(image) if role == "image" else self._file(request, image, role)
        kind = content_type(file)
        name = quote(PurePosixPath(file.relative_path).name, errors="replace")
        saved = "download" in request.query_params or kind == "application/octet-stream"
        disposition = f"{'attachment' if saved else 'inline'}; filename*=UTF-8''{name}"
        headers = {**_FOREVER, "content-disposition": disposition, "content-security-policy": "sandbox"}
        return Response(read_guarded(file), media_type=kind, headers=headers)

    def picture(self, request: Request) -> Response:
        image = self._image(request)
        file = shown_file(image)
        if file is None:
            return Response(picture_png(image), media_type="image/png", headers=_FOREVER)
        return Response(read_guarded(file), media_type=content_type(file), headers=_FOREVER)

    def thumbnail(self, request: Request) -> Response:
        side_px = int(request.path_params["side"])
        if side_px not in THUMBNAIL_SIDES_PX:
            raise InputError(f"thumbnails have sides of {THUMBNAIL_SIDES_PX}, got {side_px}")
        image = self._image(request)
        sha256 = thumbnail_file(image).sha256
        data, kind = self.thumbnails.get(sha256, side_px, lambda: thumbnail_bytes(image, side_px))
        return Response(data, media_type=kind, headers=_FOREVER)

    def _run(self, request: Request) -> OpenRun:
        number = int(request.path_params["run"])
        if number >= len(self.runs):
            raise FileGone(f"runs are numbered 0 to {len(self.runs) - 1}, got {number}")
        return self.runs[number]

    def _image(self, request: Request) -> SavedImage:
        path = request.path_params
        number = int(path["row"]) if "row" in path else _number(request, "id")
        index = int(path["image"]) if "image" in path else _number(request, "image", 0)
        row = self._run(request).row(number)
        for image in row.images:
            if image.index == index:
                return image
        raise FileGone(f"row {number} ({row.state}) has no image {index}")

    def _file(self, request: Request, image: SavedImage, role: str) -> MediaFile:
        group = _text(request, "group")
        for file in image.row.files:
            if file.index == image.index and file.role == role and (file.group or "") == group:
                return file
        raise FileGone(f"the image has no {role} named {group!r}")


def make_app(
    runs: Sequence[OpenRun], *, access: Access | None = None, thumbnails: ThumbnailCache | None = None
) -> Starlette:
    """Return the application on ``runs``; thumbnails stay in memory unless a cache is given."""
    viewer = Viewer(runs, thumbnails or ThumbnailCache(None), StaticFiles(), secrets.token_hex(4))

    def get(path: str, endpoint: Callable[[Request], Response | Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=["GET"])

    routes = [
        get("/", viewer.page),
        get("/static/{name}", viewer.static_file),
        get("/api/state", viewer.state),
        get("/api/changes", viewer.changes),
        get("/api/filter-error", viewer.filter_error),
        get("/api/runs/{run:int}/table", viewer.table),
        get("/api/runs/{run:int}/rows", viewer.rows),
        get("/api/runs/{run:int}/linked", viewer.linked),
        get("/api/runs/{run:int}/meta-names", viewer.meta_names),
        get("/api/runs/{run:int}/meta", viewer.meta),
        get("/api/runs/{run:int}/matches", viewer.matches),
        get("/api/runs/{run:int}/order", viewer.order),
        get("/api/runs/{run:int}/lengths", viewer.lengths),
        get("/api/runs/{run:int}/overlays", viewer.overlays),
        get("/api/runs/{run:int}/mask", viewer.mask),
        get("/api/runs/{run:int}/values", viewer.values),
        get("/media/{run:int}/{row:int}/{image:int}", viewer.media),
        get("/picture/{run:int}/{row:int}/{image:int}", viewer.picture),
        get("/thumbnail/{run:int}/{row:int}/{image:int}/{side:int}", viewer.thumbnail),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Gate, access=access or Access())],
        exception_handlers={PixlogError: _explain, HTTPException: _explain_http},
    )


def _json(content: Any, status: int = 200, *, headers: dict[str, str] = _FRESH) -> Response:
    return Response(json_bytes(content), status, headers=headers, media_type="application/json")


def _packed(
    header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], *, headers: Mapping[str, str]
) -> Response:
    return _octets(pack(header, arrays), headers=headers)


def _octets(body: bytes, *, headers: Mapping[str, str]) -> Response:
    """Return a response with packed arrays, deflated where that pays."""
    sent = dict(headers)
    if len(body) >= _DEFLATE_FROM_NBYTES:
        body = zlib.compress(body, 1)
        sent["content-encoding"] = "deflate"
    return Response(body, media_type="application/octet-stream", headers=sent)


def _explain(request: Request, error: Exception) -> Response:
    status = 422
    for kind, code in ((FileRefused, 403), (FileGone, 404), (InputError, 400)):
        if isinstance(error, kind):
            status = code
    return _json({"error": str(error)}, status)


def _explain_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _json({"error": str(error)}, status)


def _text(request: Request, name: str, default: str = "") -> str:
    """Return a text that the address says; the page writes half surrogates as UTF-8 would if it could."""
    try:
        said: dict[str, list[str]] = parse_qs(
            request.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="surrogatepass"
        )
    except UnicodeDecodeError:
        raise InputError(f"{name} takes text in UTF-8, got {request.url.query!r:.80}") from None
    return said.get(name, [default])[0]


def _number(request: Request, name: str, default: int | None = None) -> int:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InputError(f"{name} takes a whole number, got {text!r}")
    return int(text)


def _numbers(request: Request, name: str) -> list[int]:
    texts = request.query_params.get(name, "").split(",")
    if len(texts) > _ROWS_AT_ONCE:
        raise InputError(f"{name} takes at most {_ROWS_AT_ONCE} numbers, got {len(texts)}")
    if not all(text.isascii() and text.isdecimal() and len(text) <= 15 for text in texts):
        raise InputError(f"{name} takes whole numbers with commas between them")
    return [int(text) for text in texts]
