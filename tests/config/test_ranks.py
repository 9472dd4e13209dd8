"""Ranks come from whichever launcher is nearest to the process."""

from __future__ import annotations

import pytest

from pixlog.environment import Ranks, detect_ranks

TORCHRUN = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
}
MPICH = {"PMI_RANK": "6", "MPI_LOCALRANKID": "0", "PMI_SIZE": "7"}
SLURM_STEP = {"SLURM_PROCID": "9", "SLURM_LOCALID": "1", "SLURM_NTASKS": "16"}


@pytest.mark.parametrize(
    ("environ", "ranks"),
    [
        (TORCHRUN, Ranks(5, 1, 8)),
        (OPEN_MPI, Ranks(3, 2, 4)),
        (MPICH, Ranks(6, 0, 7)),
        (SLURM_STEP, Ranks(9, 1, 16)),
        ({}, Ranks(0, None, None)),
    ],
)
def test_detect_ranks_reads_launcher(environ: dict[str, str], ranks: Ranks) -> None:
    """Each launcher's rank, local rank and world size are found; without one, rank 0 of an unknown number."""
    assert detect_ranks(environ) == ranks


@pytest.mark.parametrize(
    ("outer", "inner", "ranks"),
    [
        (SLURM_STEP, TORCHRUN, Ranks(5, 1, 8)),
        (OPEN_MPI, TORCHRUN, Ranks(5, 1, 8)),
        (SLURM_STEP, OPEN_MPI, Ranks(3, 2, 4)),
        (SLURM_STEP, MPICH, Ranks(6, 0, 7)),
    ],
)
def test_detect_ranks_prefers_inner_launcher(
    outer: dict[str, str], inner: dict[str, str], ranks: Ranks
) -> None:
    """torchrun wins over MPI, and MPI over Slurm, which leaves the batch step's rank in every process."""
    assert detect_ranks({**outer, **inner}) == ranks


def test_detect_ranks_ignores_slurm_outside_step() -> None:
    """A job's SLURM_NTASKS without SLURM_PROCID, as in an allocation's shell, is no rank."""
    assert detect_ranks({"SLURM_NTASKS": "16", "SLURM_JOB_ID": "1"}) == Ranks(0, None, None)


def test_detect_ranks_prefers_step_size_to_job_size() -> None:
    """A step of two tasks in a job of sixteen has a world of two."""
    assert detect_ranks({**SLURM_STEP, "SLURM_STEP_NUM_TASKS": "2"}).world_size == 2


@pytest.mark.parametrize("text", ["", "-1", "first", "1.5", "²"])
def test_detect_ranks_skips_launcher_without_number(text: str) -> None:
    """A rank variable that holds something else is somebody else's and the next launcher is asked."""
    assert detect_ranks({"RANK": text, **OPEN_MPI}) == Ranks(3, 2, 4)


def test_detect_ranks_leaves_unknown_parts_out() -> None:
    """A launcher that tells the rank alone does not borrow the rest from another one."""
    assert detect_ranks({"RANK": "2", "LOCAL_RANK": "-1", **OPEN_MPI}) == Ranks(2, None, None)
