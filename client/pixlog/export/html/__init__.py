"""A run as a page in a folder, which a browser opens from the disk."""

from pixlog.export.html.folder import write

__all__ = ["write"]
