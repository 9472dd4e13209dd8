"""The order of what is asked of CUDA, told by a stand-in for ``torch.cuda`` that notes it; tensors are real.

A stand-in cannot show that a GPU does what it is asked: ``test_cuda_tensors`` does, where there is one.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import pixlog
from pixlog.device import cuda as cuda_device
from pixlog.device import snapshots
from pixlog.device.copies import Part
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]


class StandIn:
    """What ``torch.cuda`` was asked, in order; events fire when the test says, or at once with ``fires``."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.fires = False
        self.fault: Exception | None = None
        self.register_code = 0
        self.known_as_pinned = True
        self.registered: list[tuple[int, int]] = []
        self.unregistered: list[int] = []
        self.events: list[Any] = []
        self.current = "the caller's stream"
        self.device: object = None
        stand_in = self

        class Event:
            def __init__(self) -> None:
                self.fired = stand_in.fires
                self.name = f"event {len(stand_in.events)}"
                stand_in.events.append(self)

            def record(self, stream: object = None) -> None:
                stand_in.said.append(f"{self.name} on {stream or stand_in.current}")

            def query(self) -> bool:
                assert stand_in.device is not None, "asked on the first device"
                if stand_in.fault is not None:
                    raise stand_in.fault
                return self.fired

            def synchronize(self) -> None:
                stand_in.said.append(f"wait for {self.name}")

        class Stream:
            def __init__(self, device: object) -> None:
                del device

            def wait_event(self, event: Any) -> None:
                stand_in.said.append(f"side stream waits for {event.name}")

            def __str__(self) -> str:
                return "the side stream"

        @contextmanager
        def stream(side: object) -> Iterator[None]:
            before, stand_in.current = stand_in.current, str(side)
            yield
            stand_in.current = before

        @contextmanager
        def device(where: object) -> Iterator[None]:
            before, stand_in.device = stand_in.device, where
            yield
            stand_in.device = before

        class Cudart:
            @staticmethod
            def cudaHostRegister(address: int, nbytes: int, flags: int) -> int:
                assert flags == 1
                assert stand_in.device is not None, "registered on the first device"
                if not stand_in.register_code:
                    stand_in.registered.append((address, nbytes))
                return stand_in.register_code

            @staticmethod
            def cudaHostUnregister(address: int) -> int:
                assert stand_in.device is not None, "unregistered on the first device"
                stand_in.unregistered.append(address)
                return 0

        self.patches: dict[str, Any] = {
            "Event": Event,
            "Stream": Stream,
            "stream": stream,
            "device": device,
            "cudart": Cudart,
            "is_current_stream_capturing": lambda: False,
        }


@pytest.fixture
def torch() -> Any:
    """Return torch, or skip."""
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def stand_in(torch: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Put a stand-in in the place of ``torch.cuda``'s parts, and of the driver's one function."""
    stand_in = StandIn()
    for name, part in stand_in.patches.items():
        monkeypatch.setattr(torch.cuda, name, part)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self: stand_in.known_as_pinned)
    monkeypatch.setattr(cuda_device, "_side_streams", {})

    def exchange(mode: Any) -> int:
        assert ctypes.cast(mode, ctypes.POINTER(ctypes.c_int)).contents.value == 1
        stand_in.said.append(f"capture mode of {threading.current_thread().name}")
        return 0

    monkeypatch.setattr(cuda_device, "_exchange_capture_mode", lambda: exchange)
    monkeypatch.setattr(cuda_device, "unusable_because", lambda: None)
    return stand_in


class OnCuda:
    """A tensor that says it lies on a GPU; its values are in host memory."""

    def __init__(self, torch: Any, tensor: Any) -> None:
        self.device = torch.device("cuda", 0)
        self._tensor = tensor

    def detach(self) -> Any:
        """Return the tensor itself."""
        return self._tensor


def taken(torch: Any, tensor: Any) -> Any:
    """Return the snapshot of a tensor."""
    array = cuda_device.take(OnCuda(torch, tensor))
    assert array is not None
    return array


def test_call_takes_a_snapshot_and_marks_the_callers_stream(torch: Any, stand_in: StandIn) -> None:
    """In the call there is a clone and one event on the caller's stream, nothing else, and nothing is waited for."""
    tensor = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    array = taken(torch, tensor)
    tensor.zero_()
    assert stand_in.said == ["event 0 on the caller's stream"]
    assert (array.shape, array.dtype_name, array.origin) == ((3, 4), "<f4", "torch")
    values = array.block.read().view(np.float32)
    assert values.tolist() == list(range(12))
    assert stand_in.said[1:] == ["wait for event 0"]


def test_locked_copy_is_started_at_once_behind_the_clone(torch: Any, stand_in: StandIn) -> None:
    """Into page-locked memory: the side stream waits for the clone, copies, and marks the end; that mark counts."""
    array = taken(torch, torch.arange(12, dtype=torch.uint8))
    host = np.zeros(20, np.uint8)
    copy = array.block.start([Part(2, host[:4]), Part(8, host[10:14])], locked=True)
    assert stand_in.said[1:] == ["side stream waits for event 0", "event 1 on the side stream"]
    assert stand_in.current == "the caller's stream"
    stand_in.events[0].fired = True
    assert not copy.ready()
    stand_in.events[1].fired = True
    assert copy.ready()
    assert copy.error is None
    assert host[:4].tolist() == [2, 3, 4, 5]
    assert host[10:14].tolist() == [8, 9, 10, 11]


def test_unlocked_copy_is_started_when_the_clone_is_made(torch: Any, stand_in: StandIn) -> None:
    """Into other memory a copy would wait in the driver: it is started only when there is nothing to wait for."""
    array = taken(torch, torch.arange(12, dtype=torch.uint8))
    host = np.zeros(12, np.uint8)
    copy = array.block.start([Part(0, host)], locked=False)
    assert not copy.ready()
    assert len(stand_in.events) == 1
    stand_in.events[0].fired = stand_in.fires = True
    assert copy.ready()
    assert host.tolist() == list(range(12))


def test_error_of_the_device_ends_a_copy(torch: Any, stand_in: StandIn) -> None:
    """What CUDA raises when it is asked, after an illegal access for example, is the copy's error."""
    array = taken(torch, torch.arange(12, dtype=torch.uint8))
    copy = array.block.start([Part(0, np.zeros(12, np.uint8))], locked=True)
    stand_in.fault = RuntimeError("CUDA error: an illegal memory access was encountered")
    assert copy.ready()
    assert copy.error == "RuntimeError: CUDA error: an illegal memory access was encountered"
    stand_in.fault = None


def test_memory_is_registered_and_unregistered(torch: Any, stand_in: StandIn) -> None:
    """Memory is locked if CUDA takes it and then knows it; otherwise nothing stays registered."""
    block = taken(torch, torch.zeros(4, dtype=torch.uint8)).block
    memory = np.zeros(4096, np.uint8)
    unlock = block.lock_pages(memory)
    assert stand_in.registered == [(memory.ctypes.data, 4096)]
    unlock()
    assert stand_in.unregistered == [memory.ctypes.data]
    stand_in.known_as_pinned = False
    with pytest.raises(RuntimeError, match="does not know"):
        block.lock_pages(memory)
    assert stand_in.unregistered == [memory.ctypes.data] * 2
    stand_in.register_code = 801  # cudaErrorNotSupported
    with pytest.raises(RuntimeError, match="cudaHostRegister of 4096 bytes returned 801"):
        block.lock_pages(memory)
    assert len(stand_in.unregistered) == 2


def test_thread_is_prepared_once(torch: Any, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread's capture mode is set before its first copy; a driver that refuses is an error."""
    monkeypatch.setattr(cuda_device, "_prepared", threading.local())
    block = taken(torch, torch.zeros(4, dtype=torch.uint8)).block
    block.prepare_thread()
    block.prepare_thread()
    assert stand_in.said[1:] == ["capture mode of MainThread"]
    monkeypatch.setattr(cuda_device, "_prepared", threading.local())
    monkeypatch.setattr(cuda_device, "_exchange_capture_mode", lambda: lambda mode: 3)
    with pytest.raises(RuntimeError, match="returned 3"):
        block.prepare_thread()


def test_capture_and_forked_process_are_refused(
    torch: Any, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During a graph capture and in a forked child nothing is asked of CUDA: the call is refused, with what to do."""
    tensor = OnCuda(torch, torch.zeros(4, 4))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(pixlog.InputTypeError, match="log it after a replay"):
        cuda_device.take(tensor)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(pixlog.InputTypeError, match="log it in the parent"):
        cuda_device.take(tensor)
    assert stand_in.said == []


def test_machine_without_a_driver_cannot_use_this_way(torch: Any) -> None:
    """Without the driver's library a reason is given; a GPU's owner sees None."""
    reason = cuda_device.unusable_because()
    if torch.cuda.is_available():
        assert reason is None or "ROCm" in reason
    else:
        assert reason is None or "driver" in reason


def test_client_copies_what_it_takes_from_cuda(
    torch: Any, stand_in: StandIn, connect: Connect, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a whole client: the call marks, the background thread copies and asks; what was logged is sent."""
    monkeypatch.setattr(snapshots, "_takers", {OnCuda: snapshots._take_torch})
    client = connect()
    tensor = torch.arange(3 * 8 * 9, dtype=torch.uint8).reshape(3, 8, 9)
    expected = tensor.numpy().tobytes()
    client.log_image("k", OnCuda(torch, tensor))
    tensor.zero_()
    wait_until(lambda: len(stand_in.events) == 2)
    assert not daemon.logs
    for event in stand_in.events:
        event.fired = True
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert daemon.pixels[0] == expected
    assert daemon.logs[0].header["items"][0]["data"]["layout"] == "CHW"
    assert stand_in.said == [
        "event 0 on the caller's stream",
        "capture mode of pixlog-device",
        "side stream waits for event 0",
        "event 1 on the side stream",
    ]
    (arena,) = client._delivery._pool.arenas
    address = arena.memory.ctypes.data
    assert stand_in.registered == [(address, arena.nbytes)]
    del arena
    client.close()
    assert stand_in.unregistered == [address]
