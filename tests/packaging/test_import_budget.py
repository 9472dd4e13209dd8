"""Importing pixlog loads NumPy, msgpack and nothing else that is not needed to log."""

from __future__ import annotations

import subprocess
import sys

import pixlog
from waiting import scaled_s

SCRIPT = """
import sys
bare = set(sys.modules)
{code}
# A module without a spec is a compiled extension's own invention, not something that was imported.
print(*(name for name, module in sys.modules.items() if name not in bare and getattr(module, '__spec__', None)))
"""


def modules_loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after ``code``, beyond those of a bare start."""
    script = SCRIPT.format(code=code)
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=scaled_s(60)
    )
    return set(done.stdout.split())


def third_party(modules: set[str]) -> set[str]:
    """Return the top-level packages among ``modules`` that are not the standard library's."""
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)


def test_import_loads_only_numpy_and_msgpack() -> None:
    """``import pixlog`` loads no third-party package but NumPy and msgpack, and nothing of the daemon."""
    assert third_party(modules_loaded_by("import pixlog")) <= {"pixlog", "numpy", "msgpack"}
    assert third_party(modules_loaded_by("import pixlog; pixlog.connect")) == {"pixlog", "numpy", "msgpack"}


def test_using_every_public_name_loads_no_other_package() -> None:
    """Looking at each public name, lazy ones included, still loads nothing else."""
    code = "import pixlog\nfor name in pixlog.__all__: getattr(pixlog, name)"
    assert third_party(modules_loaded_by(code)) == {"pixlog", "numpy", "msgpack"}


def test_import_loads_no_slow_standard_module() -> None:
    """``import pixlog`` does not load event loops, pools, HTTP, or the metadata reader beyond what NumPy loads."""
    slow = {
        "asyncio",
        "multiprocessing",
        "concurrent.futures",
        "http",
        "urllib.request",
        "importlib.metadata",
    }
    slow |= {"sqlite3", "unittest", "xml", "tomllib", "argparse", "logging.handlers", "email"}
    loaded = modules_loaded_by("import numpy; bare |= set(sys.modules)\nimport pixlog; pixlog.connect")
    assert loaded & slow == set()


def test_public_names_exist() -> None:
    """Each name of ``__all__`` is there."""
    assert [name for name in pixlog.__all__ if not hasattr(pixlog, name)] == []


def test_settings_load_no_event_loop() -> None:
    """Reading the daemon's settings needs neither Pillow nor an event loop, so that --print-config works anywhere."""
    loaded = modules_loaded_by("import pixlogd.config.settings_merge, pixlogd.config.settings_text")
    assert loaded & {"PIL", "asyncio", "uvloop", "isal", "aiofiles", "typer"} == set()


def test_windows_gets_a_clear_error_at_connect() -> None:
    """On Windows asking for ``connect`` says what works there, rather than failing in an import far away."""
    script = "import sys; sys.platform = 'win32'\nimport pixlog\npixlog.connect"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(60),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: pixlog logs on Linux and macOS; on Windows")
