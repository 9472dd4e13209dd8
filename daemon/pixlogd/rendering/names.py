"""Where a media file lies: a key, a step and a digest become a path that stays inside the run directory.

``{directory}/{key}_{step}_{first 20 hex digits of the sha256}{suffix}``, with "/" in the key making
sub-directories, as W&B 0.31 lays files out on POSIX: leading slashes are dropped, and the path parts "." and ".."
become "_" and "__".  On top of that NUL, lone surrogates and over-long names, which no file system takes, are
replaced or cut.

The default contract also replaces control characters, and it tells keys apart that would meet: whenever the path
does not spell the key exactly, "~" and twelve digits of the key's own digest are appended to it.  A key that
already ends that way is marked too, so no key can pass for another's marked form.

File names are opaque to readers, which follow the manifest.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

DIRECTORIES: Final = {
    "image": "media/images",
    "preview": "media/images/preview",
    "mask": "media/images/mask",
    "boxes": "media/metadata/boxes2D",
    "polygons": "media/metadata/polygons",
    "keypoints": "media/metadata/keypoints",
}
MAX_COMPONENT_BYTES: Final = 240  # file systems end at 255; the rest is for the marks of temporary names
MAX_PATH_BYTES: Final = 1024
_MAX_SUFFIX_BYTES: Final = 32
_MAX_TAIL_BYTES: Final = (
    _MAX_SUFFIX_BYTES + 42
)  # two "_", 20 characters of a step of 64 bits, 20 of the digest

_MARKED: Final = re.compile(r"~[0-9a-f]{12}\Z")
_IMPOSSIBLE: Final = re.compile("[\x00\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def media_path(
    kind: str, key: str, step: int, sha256_hex: str, suffix: str, *, contract: str = "pixlog"
) -> str:
    """Return the relative POSIX path of a media file; never raises for any ``key``.

    ``kind`` is one of `DIRECTORIES`, ``suffix`` begins with a dot (or is empty) and is kept with its case.
    """
    plain = contract == "wandb"
    directory = DIRECTORIES[kind]
    exact_stem = _exact_stem(key, plain)
    if exact_stem is not None:
        return f"{directory}/{exact_stem}_{step}_{sha256_hex[:20]}{_safe_suffix(suffix)}"
    tail = f"_{step}_{sha256_hex[:20]}{_safe_suffix(suffix)}"
    stem = _safe_key(key, plain)
    exact = stem == key
    bound = MAX_PATH_BYTES - len(directory) - len(tail.encode()) - 1
    short = _shorten(stem, bound, MAX_COMPONENT_BYTES, MAX_COMPONENT_BYTES - len(tail.encode()))
    marked = short != stem or (not plain and (not exact or _MARKED.search(key) is not None))
    if marked:
        mark = "~" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        room = len(mark)
        short = _shorten(
            stem, bound - room, MAX_COMPONENT_BYTES, MAX_COMPONENT_BYTES - len(tail.encode()) - room
        )
        short += mark
    return f"{directory}/{short}{tail}"


@lru_cache(maxsize=4096)
def _exact_stem(key: str, plain: bool) -> str | None:
    """Return the stem of a key that is one as it stands, behind any step; None for any other key."""
    stem = _safe_key(key, plain)
    is_short = len(stem) * 4 <= MAX_COMPONENT_BYTES - _MAX_TAIL_BYTES
    if not is_short or (not plain and (stem != key or _MARKED.search(key) is not None)):
        return None
    return stem


def _safe_key(key: str, plain: bool) -> str:
    """Return the key as a relative path without empty, "." or ".." directories; the last part may be empty."""
    text = (_IMPOSSIBLE if plain else _CONTROL).sub("_", key)
    parts = text.lstrip("/").split("/")
    kept = [part for part in parts[:-1] if part]
    kept.append(parts[-1])
    return "/".join({".": "_", "..": "__"}.get(part, part) for part in kept)


def _shorten(stem: str, max_bytes: int, max_directory_bytes: int, max_last_bytes: int) -> str:
    """Cut the whole and then each part to its limit, at character boundaries."""
    if len(stem) * 4 <= max_last_bytes:
        return stem
    parts = _cut(stem, max_bytes).split("/")
    directories = [_cut(part, max_directory_bytes) for part in parts[:-1]]
    return "/".join([*directories, _cut(parts[-1], max_last_bytes)])


def _cut(text: str, max_bytes: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= max_bytes else encoded[:max_bytes].decode(errors="ignore")


@lru_cache(maxsize=256)
def _safe_suffix(suffix: str) -> str:
    safe = _CONTROL.sub("_", suffix).replace("/", "_")
    return _cut(safe, _MAX_SUFFIX_BYTES)
