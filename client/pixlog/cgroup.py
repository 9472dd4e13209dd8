"""The control groups above this process: where a container, a job or a service has its limits.

Both hierarchies are walked, v2's single one and v1's of a controller, each from the process's own group to the root:
a limit binds wherever on this path it is set.
"""

from __future__ import annotations

from collections.abc import Iterator

PROC = "/proc"
CGROUP_ROOT = "/sys/fs/cgroup"


def group_directories(controller: str, *, proc: str = PROC, root: str = CGROUP_ROOT) -> Iterator[str]:
    """Yield the directories of the groups that bind this process for ``controller``, the nearest first.

    A directory may be missing: inside a container the path in ``/proc/self/cgroup`` may be the host's, and then
    only the mount's own root answers.
    """
    for line in read_file(f"{proc}/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount = root
        elif controller in controllers.split(","):
            mount = f"{root}/{controller}"
        else:
            continue
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # outside of what this namespace shows
            parts = []
        for count in range(len(parts), -1, -1):
            yield "/".join([mount, *parts[:count]])


def read_file(path: str) -> str:
    """Return the text of a small system file; empty where there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
