"""pixlog: an asynchronous streaming image logger for machine-learning training.

import pixlog

client = pixlog.connect("runs/exp1")
client.log_image("val/pred", array, step=3, caption="epoch 3")

for image in pixlog.Run("runs/exp1").images("val/pred"):
    print(image.path, image.row.step)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixlog.boxes import BoundingBoxes2D
    from pixlog.classes import Classes
    from pixlog.client import Client, connect
    from pixlog.errors import (
        ClientClosed,
        ConfigError,
        ConnectError,
        InputError,
        InputFileDenied,
        InputFileError,
        InputFileIsDirectory,
        InputFileMissing,
        InputKeyError,
        InputTypeError,
        MissingExtra,
        PixlogError,
        ProtocolError,
        RunDirError,
        RunError,
        VersionMismatch,
    )
    from pixlog.image import Image
    from pixlog.keypoints import Keypoints
    from pixlog.masks import ImageMask
    from pixlog.polygons import Polygons
    from pixlog.receipt import Receipt
    from pixlog.run import Run
    from pixlog.stats import Stats

    __version__: str

__all__ = [
    "BoundingBoxes2D",
    "Classes",
    "Client",
    "ClientClosed",
    "ConfigError",
    "ConnectError",
    "Image",
    "ImageMask",
    "InputError",
    "InputFileDenied",
    "InputFileError",
    "InputFileIsDirectory",
    "InputFileMissing",
    "InputKeyError",
    "InputTypeError",
    "Keypoints",
    "MissingExtra",
    "PixlogError",
    "Polygons",
    "ProtocolError",
    "Receipt",
    "Run",
    "RunDirError",
    "RunError",
    "Stats",
    "VersionMismatch",
    "connect",
]

# Names are loaded when they are first used: a program that imports pixlog and logs nothing, such as a data loader's
# worker or a test, pays next to nothing for it.
_HOMES = {
    "BoundingBoxes2D": "boxes",
    "Classes": "classes",
    "Client": "client",
    "Image": "image",
    "ImageMask": "masks",
    "Keypoints": "keypoints",
    "Polygons": "polygons",
    "Receipt": "receipt",
    "Run": "run",
    "Stats": "stats",
    "connect": "client",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("pixlog")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if sys.platform == "win32" and name in ("connect", "Client"):
        raise ImportError(
            "pixlog logs on Linux and macOS; on Windows, use WSL 2. pixlog.Run reads runs anywhere"
        )
    from importlib import import_module

    value: object = getattr(import_module(f"pixlog.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__, "__version__"]
