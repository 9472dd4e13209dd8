"""Everything pixlog raises, under one root.

PixlogError
├── ConnectError            the daemon cannot be reached or started; the message says what to do
│   ├── VersionMismatch     client and daemon speak different major protocol versions
│   └── RunDirError         the daemon cannot write the run directory
├── InputError              an image, mask, box or option that cannot be logged (also a ValueError)
│   ├── InputTypeError      the same, for a wrong type (also a TypeError)
│   ├── InputKeyError       the same, for an entry that is missing from a dict (also a KeyError)
│   └── InputFileError      an image file that cannot be read or is not an image (also an OSError)
│       ├── InputFileMissing      no such file (also a FileNotFoundError)
│       ├── InputFileIsDirectory  a directory where a file is expected (also an IsADirectoryError)
│       └── InputFileDenied       no permission to read it (also a PermissionError)
├── ConfigError             a setting that is unknown or has an unusable value (also a ValueError)
├── MissingExtra            a feature whose optional packages are not installed (also an ImportError)
├── ProtocolError           bytes on the socket that are not the protocol
├── ClientClosed            a call on a client after ``close``
└── RunError                a run directory that cannot be read as one
    └── RunKeyError             a key that was not logged in a run (also a KeyError)
"""


class PixlogError(Exception):
    """Root of every exception that pixlog raises on purpose."""


class ConnectError(PixlogError):
    """The daemon of a run cannot be reached or started."""


class VersionMismatch(ConnectError):
    """Client and daemon speak different major versions of the protocol."""


class RunDirError(ConnectError):
    """The daemon cannot create or write the run directory."""


class InputError(PixlogError, ValueError):
    """Something handed over for logging has a wrong value, shape or dtype."""


class InputTypeError(InputError, TypeError):
    """Something handed over for logging has a wrong type."""


class InputKeyError(InputError, KeyError):
    """A dict handed over for logging lacks an entry, or has one too many."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, quotes and all; this one carries a sentence.
        return str(self.args[0]) if self.args else ""


class InputFileError(InputError, OSError):
    """A path, file object or bytes that cannot be read, or hold no image."""


class InputFileMissing(InputFileError, FileNotFoundError):
    """A path at which there is nothing."""


class InputFileIsDirectory(InputFileError, IsADirectoryError):
    """A path at which there is a directory."""


class InputFileDenied(InputFileError, PermissionError):
    """A path that this user may not read."""


class ConfigError(PixlogError, ValueError):
    """A setting is unknown or has a value that cannot be used."""


class MissingExtra(PixlogError, ImportError):
    """A feature needs packages of an extra that is not installed."""

    def __init__(self, feature: str, extra: str, package: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}: install it with  pip install 'pixlog[{extra}]'"
        )
        self.extra = extra
        self.package = package


class ProtocolError(PixlogError):
    """Bytes on the wire break the protocol; the connection they came over is dead."""


class ClientClosed(PixlogError):
    """The client was closed before this call."""


class RunError(PixlogError):
    """A directory cannot be read as a run."""


class RunKeyError(RunError, KeyError):
    """A run has nothing under the key asked for."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # without the quotes that KeyError puts around it
