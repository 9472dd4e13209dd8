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
    from pixlog.client import Client, connect
    from pixlog.compare.run_diff import diff
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
        RunKeyError,
        VersionMismatch,
    )
    from pixlog.export.export_run import ExportReport, export_run
    from pixlog.model.boxes import BoundingBoxes2D
    from pixlog.model.classes import Classes
    from pixlog.model.image import Image
    from pixlog.model.keypoints import Keypoints
    from pixlog.model.masks import ImageMask
    from pixlog.model.polygons import Polygons
    from pixlog.reading.run import Run
    from pixlog.receipt import Receipt
    from pixlog.stats import Stats

    __version__: str

__all__ = [
    "BoundingBoxes2D",
    "Classes",
    "Client",
    "ClientClosed",
    "ConfigError",
    "ConnectError",
    "ExportReport",
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
    "RunKeyError",
    "Stats",
    "VersionMismatch",
    "connect",
    "diff",
    "export_run",
]

# Names are loaded when they are first used: a program that imports pixlog and logs nothing, such as a data loader's
# worker or a test, pays next to nothing for it.
_HOMES = {
    "BoundingBoxes2D": "model.boxes",
    "Classes": "model.classes",
    "Client": "client",
    "ExportReport": "export.export_run",
    "Image": "model.image",
    "ImageMask": "model.masks",
    "Keypoints": "model.keypoints",
    "Polygons": "model.polygons",
    "Receipt": "receipt",
    "Run": "reading.run",
    "Stats": "stats",
    "connect": "client",
    "diff": "compare.run_diff",
    "export_run": "export.export_run",
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
