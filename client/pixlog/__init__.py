"""pixlog: an asynchronous streaming image logger for machine-learning training.

import pixlog

client = pixlog.connect("runs/exp1")
client.log_image("val/pred", array, step=3, caption="epoch 3")

for image in pixlog.Run("runs/exp1").images("val/pred"):
    print(image.path, image.row.step)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixlog.boxes import BoundingBoxes2D
from pixlog.classes import Classes
from pixlog.client import Client, connect
from pixlog.errors import (
    ClientClosed,
    ConfigError,
    ConnectError,
    InputError,
    InputTypeError,
    MissingExtra,
    PixlogError,
    ProtocolError,
    RunDirError,
    RunError,
    VersionMismatch,
)
from pixlog.image import Image
from pixlog.masks import ImageMask
from pixlog.receipt import Receipt
from pixlog.stats import Stats

if TYPE_CHECKING:
    from pixlog.run import Run

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
    "InputTypeError",
    "MissingExtra",
    "PixlogError",
    "ProtocolError",
    "Receipt",
    "Run",
    "RunDirError",
    "RunError",
    "Stats",
    "VersionMismatch",
    "connect",
]


def __getattr__(name: str) -> object:
    # The reader and importlib.metadata cost time that a training process need not spend on importing.
    if name == "Run":
        from pixlog.run import Run

        return Run
    if name == "__version__":
        from importlib.metadata import version

        return version("pixlog")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
