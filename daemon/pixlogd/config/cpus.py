"""How many CPUs this process may really use.

A container with a limit of four CPUs on a host of sixty-four sees all sixty-four; threads beyond the limit do not run
faster, they make the kernel pause every process of the container, the trainer too.
"""

from __future__ import annotations

import os

from pixlog.cgroup import CGROUP_ROOT, PROC, group_directories, read_file


def usable_cpu_count(*, proc: str = PROC, cgroup_root: str = CGROUP_ROOT) -> int:
    """Return the CPUs of the affinity mask or of the smallest cgroup quota above this process, at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        count = os.cpu_count() or 1
    for directory in group_directories("cpu", proc=proc, root=cgroup_root):
        quota, _, period = read_file(f"{directory}/cpu.max").partition(" ")
        if not quota:
            quota = read_file(f"{directory}/cpu.cfs_quota_us")
            period = read_file(f"{directory}/cpu.cfs_period_us")
        if quota.strip().isdigit() and period.strip().isdigit():  # v2 says "max" and v1 -1 for no limit
            count = min(count, int(quota) // int(period))
    return max(1, count)
