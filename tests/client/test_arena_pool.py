"""Recycled memory under one budget, shared with the daemon or private."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import numpy as np
import pytest

from memfds import open_count
from pixlog.sending.arena import ALIGN_NBYTES, SHARED_SUPPORTED, Arena, ArenaPool, Region

MIB = 1024 * 1024
shared_only = pytest.mark.skipif(not SHARED_SUPPORTED, reason="this system has no memfds")


@pytest.fixture(params=[pytest.param(True, marks=shared_only), False], ids=["shared", "private"])
def shared(request: pytest.FixtureRequest) -> bool:
    """Return whether arenas are memfds."""
    return bool(request.param)


@pytest.fixture
def pool(shared: bool) -> Iterator[ArenaPool]:
    """Return a pool of 24 MiB, empty."""
    pool = ArenaPool(24 * MIB, shared=shared, max_arenas=4)
    yield pool
    pool.close()


def reserve(pool: ArenaPool, nbytes: int) -> Region | None:
    """Reserve as a delivery does, growing where that is needed and allowed."""
    region = pool.reserve(nbytes)
    if region is None and pool.grow(nbytes) is not None:
        region = pool.reserve(nbytes)
    return region


def test_pool_hands_out_memory_within_its_budget(pool: ArenaPool) -> None:
    """It grows by whole arenas up to the budget and not a byte beyond, and counts what is used."""
    regions: list[Region] = []
    while (region := reserve(pool, MIB)) is not None:
        regions.append(region)
    assert len(regions) == 24
    assert pool.nbytes == pool.used_nbytes == 24 * MIB
    assert [arena.nbytes for arena in pool.arenas] == [8 * MIB, 8 * MIB, 8 * MIB]
    for region in regions:
        pool.release(region)
    assert pool.used_nbytes == 0


def test_pool_regions_do_not_overlap(pool: ArenaPool) -> None:
    """What is written into one region does not change another, and each begins at an aligned address."""
    regions = [reserve(pool, nbytes) for nbytes in (1, 64, 65, 1000, 0, 4096)]
    for number, region in enumerate(regions):
        assert region is not None
        assert region.offset % ALIGN_NBYTES == 0
        region.memory[:] = number
    for number, region in enumerate(regions):
        assert region is not None
        assert (region.memory == number).all()


def test_pool_grows_for_one_large_call(pool: ArenaPool) -> None:
    """A call larger than the usual arena gets one of its size, if the budget has it."""
    region = reserve(pool, 20 * MIB)
    assert region is not None
    assert region.nbytes == 20 * MIB
    assert reserve(pool, 5 * MIB) is None
    assert reserve(pool, 4 * MIB) is not None


def test_pool_refuses_more_than_its_budget(pool: ArenaPool) -> None:
    """A call larger than the budget finds no room, however empty the pool is."""
    assert reserve(pool, 24 * MIB + 1) is None
    assert pool.arenas == []


def test_pool_refuses_more_arenas_than_allowed(shared: bool) -> None:
    """The number of arenas, which are descriptors on both sides, has a limit too."""
    pool = ArenaPool(1000 * MIB, shared=shared, max_arenas=2)
    assert [reserve(pool, 8 * MIB) is not None for _ in range(3)] == [True, True, False]
    pool.close()


def test_pool_wants_growth_before_it_is_full(pool: ArenaPool) -> None:
    """More memory is wanted once half is used, as long as the budget has some."""
    assert not pool.wants_growth()
    first = reserve(pool, 4 * MIB)
    assert not pool.wants_growth()
    assert reserve(pool, ALIGN_NBYTES) is not None
    assert pool.wants_growth()
    assert first is not None
    pool.release(first)
    assert not pool.wants_growth()
    while reserve(pool, 4 * MIB) is not None:
        pass
    assert not pool.wants_growth()


def test_pool_is_rebuilt_from_the_regions_in_use(pool: ArenaPool) -> None:
    """Whatever an interruption left behind, exactly the given regions are in use afterwards."""
    kept = [region for _ in range(6) if (region := reserve(pool, MIB)) is not None][::2]
    pool.rebuild(kept)
    assert pool.used_nbytes == 3 * MIB
    again = [reserve(pool, MIB) for _ in range(3)]
    assert [(region.arena.id, region.offset) for region in again if region is not None] == [
        (0, MIB),
        (0, 3 * MIB),
        (0, 5 * MIB),
    ]


@shared_only
def test_arena_is_sealed_against_every_change_of_size() -> None:
    """Neither side can shrink or grow an arena, nor take the seals away."""
    arena = Arena(0, MIB, shared=True)
    assert arena.fd is not None
    seals = fcntl.fcntl(arena.fd, fcntl.F_GET_SEALS)
    assert seals & fcntl.F_SEAL_SHRINK
    assert seals & fcntl.F_SEAL_GROW
    assert seals & fcntl.F_SEAL_SEAL
    for nbytes in (0, 2 * MIB):
        with pytest.raises(PermissionError):
            os.ftruncate(arena.fd, nbytes)
    assert not os.get_inheritable(arena.fd)
    arena.close()


@shared_only
def test_arena_is_what_the_daemon_sees() -> None:
    """Bytes written into the memory are in the descriptor's file."""
    arena = Arena(0, MIB, shared=True)
    assert arena.fd is not None
    arena.populate()
    arena.memory[1000:1003] = (1, 2, 3)
    assert os.pread(arena.fd, 3, 1000) == b"\1\2\3"
    arena.close()


def test_pool_closes_every_descriptor(shared: bool) -> None:
    """A closed pool keeps no descriptor, also when its memory is still looked at."""
    before = open_count()
    pool = ArenaPool(24 * MIB, shared=shared, max_arenas=4)
    region = reserve(pool, MIB)
    assert region is not None
    memory = region.memory
    pool.close()
    memory[:] = 7
    del region, memory
    assert open_count() == before


def test_pool_turns_private_before_it_is_used(shared: bool) -> None:
    """A pool whose first arena nobody can see begins again with private memory."""
    pool = ArenaPool(24 * MIB, shared=shared, max_arenas=4)
    pool.grow()
    pool.make_private()
    region = reserve(pool, MIB)
    assert region is not None
    assert region.arena.fd is None
    pool.close()


@pytest.mark.parametrize("dtype", ["uint8", "float16", ">u2", "bool", "complex64", "M8[s]"])
@pytest.mark.parametrize("order", ["C", "F", "backwards", "read-only"])
def test_arena_takes_small_array_of_any_kind(pool: ArenaPool, dtype: str, order: str) -> None:
    """An array of any dtype and strides is put into its region in C order, and nothing beside it changes."""
    region = reserve(pool, 4096)
    assert region is not None
    region.memory[:] = 0
    array = np.arange(60).reshape(3, 4, 5).astype(dtype)
    if order == "F":
        array = np.asfortranarray(array)
    elif order == "backwards":
        array = array[::-1, ::2]
    array.flags.writeable = order != "read-only"
    region.arena.put(region.offset + 1, array)
    assert region.memory[1 : 1 + array.nbytes].tobytes() == array.tobytes("C")
    assert not region.memory[0]
    assert not region.memory[1 + array.nbytes :].any()
    pool.release(region)
