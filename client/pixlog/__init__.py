"""pixlog: an asynchronous streaming image logger for machine-learning training."""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    # The version is asked for rarely, and importlib.metadata would be a third of the time that importing takes.
    if name == "__version__":
        from importlib.metadata import version

        return version("pixlog")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
